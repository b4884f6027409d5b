//! A bad line to a server: each connection is cut after it has carried so many bytes, each one later than the one before.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// A port of its own in front of another one.
#[derive(Debug)]
pub struct CuttingProxy {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server: u16,
    ends: AtomicBool,
    cut: AtomicU64,
}

impl CuttingProxy {
    /// Cuts the first connection after so many bytes in both directions, and each further one after twice as many.
    pub fn start(server: u16, first: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { server, ends: AtomicBool::new(false), cut: AtomicU64::new(0) });
        let serving = Arc::clone(&shared);
        let listener = Some(std::thread::spawn(move || serving.serve(&listener, first)));
        Self { port, shared, listener }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections it has cut.
    pub fn cut(&self) -> u64 {
        self.shared.cut.load(Ordering::SeqCst)
    }
}

impl Drop for CuttingProxy {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Wakes up who accepts.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Shared {
    fn serve(self: &Arc<Self>, listener: &TcpListener, first: u64) {
        let mut lasts = first;
        while let Ok((client, _)) = listener.accept() {
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server)) else { continue };
            let left = Arc::new(AtomicU64::new(lasts));
            lasts *= 2;
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let (shared, left) = (Arc::clone(self), Arc::clone(&left));
                std::thread::spawn(move || shared.carry(from, to, &left));
            }
        }
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, left: &AtomicU64) {
        let mut bytes = [0; 16 << 10];
        loop {
            let read = match from.read(&mut bytes) {
                Ok(0) | Err(_) => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(read) => read,
            };
            let carried = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(read as u64));
            if carried.is_err() {
                if left.swap(0, Ordering::SeqCst) > 0 {
                    self.cut.fetch_add(1, Ordering::SeqCst);
                }
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                return;
            }
            if to.write_all(&bytes[..read]).is_err() {
                let _ = from.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}
