//! A long line to a server: what is sent arrives later, and no faster than the line can carry, however many connections
//! there are. Nothing is lost, and as much is under way as the line holds.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// Bytes that go into the line at once.
const PIECE: usize = 32 << 10;

/// So much of what the line did not carry a moment ago it carries now: timers are no more exact.
const LATE: Duration = Duration::from_millis(5);

/// A port of its own in front of another one, as long as this lives.
#[derive(Debug)]
pub(super) struct Line {
    port: u16,
    serving: JoinHandle<()>,
}

/// One of the two directions.
#[derive(Debug)]
struct Direction {
    delay: Duration,
    /// Bytes a second.
    bandwidth: Option<u64>,
    /// When all that was sent so far has gone in.
    free: Mutex<Instant>,
}

impl Line {
    /// There and back takes `delay`.
    pub(super) async fn start(server: u16, delay: Duration, bandwidth: Option<u64>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let direction = || Arc::new(Direction { delay: delay / 2, bandwidth, free: Mutex::new(Instant::now()) });
        let (up, down) = (direction(), direction());
        let serving = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (up, down) = (Arc::clone(&up), Arc::clone(&down));
                tokio::spawn(async move {
                    // To connect takes as long as any question.
                    sleep(delay).await;
                    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).await else { return };
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::spawn(carry(from_client, to_server, up));
                    tokio::spawn(carry(from_server, to_client, down));
                });
            }
        });
        Ok(Self { port, serving })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Direction {
    /// When so many bytes will have gone in.
    fn enter(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let Some(bandwidth) = self.bandwidth else { return now };
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(LATE).unwrap_or(now);
        *free = (*free).max(earliest) + Duration::from_secs_f64(bytes as f64 / bandwidth as f64);
        *free
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, direction: Arc<Direction>) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Bytes)>();
    tokio::spawn(async move {
        while let Some((arrives, bytes)) = receiver.recv().await {
            sleep_until(arrives).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    });
    loop {
        let mut bytes = BytesMut::with_capacity(PIECE);
        match from.read_buf(&mut bytes).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
        let sent = direction.enter(bytes.len());
        // What has not gone in yet still lies with its sender.
        sleep_until(sent).await;
        if sender.send((sent + direction.delay, bytes.freeze())).is_err() {
            return;
        }
    }
}
