//! A bad line to a server: connections are cut after they have carried so many bytes, until it is a good one.

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
    after: u64,
    times: u64,
    ends: AtomicBool,
    cut: AtomicU64,
}

impl CuttingProxy {
    /// Cuts connections that have carried more than so many bytes, both directions together; so often.
    pub fn start(server: u16, after: u64, times: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { server, after, times, ends: AtomicBool::new(false), cut: AtomicU64::new(0) });
        let serving = Arc::clone(&shared);
        let listener = Some(std::thread::spawn(move || serving.serve(&listener)));
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
    fn serve(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((client, _)) = listener.accept() {
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server)) else { continue };
            let carried = Arc::new(AtomicU64::new(0));
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                let (shared, carried) = (Arc::clone(self), Arc::clone(&carried));
                std::thread::spawn(move || shared.carry(from, to, &carried));
            }
        }
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, carried: &AtomicU64) {
        let mut bytes = [0; 16 << 10];
        loop {
            let read = match from.read(&mut bytes) {
                Ok(0) | Err(_) => {
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(read) => read,
            };
            let before = carried.fetch_add(read as u64, Ordering::SeqCst);
            let is_last = before <= self.after && before + read as u64 > self.after;
            if (is_last && self.may_cut()) || to.write_all(&bytes[..read]).is_err() {
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                return;
            }
        }
    }

    /// Counts one more, if it is not the last one already.
    fn may_cut(&self) -> bool {
        let more = |cut| (cut < self.times).then_some(cut + 1);
        self.cut.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
    }
}
