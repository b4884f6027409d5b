//! A line to a server, on which things can go wrong: connections are cut or fall silent once they have carried so many
//! bytes, or carry few at a time.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A port of its own in front of another one.
#[derive(Debug)]
pub struct Line {
    port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It is cut.
    Cut,
    /// It stays, and carries nothing any more.
    Silence,
}

#[derive(Debug)]
struct Shared {
    server: u16,
    ends: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<Plan>,
    /// Bytes per second.
    rate: Option<u32>,
    connections: Vec<Connection>,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    trouble: Trouble,
    after: u64,
    times: u64,
    met: u64,
}

/// Both directions together.
#[derive(Debug, Default)]
struct Connection {
    carried: u64,
    met: Option<Trouble>,
}

impl Line {
    /// A good one to this port.
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { server, ends: AtomicBool::new(false), state: Mutex::default() });
        let serving = Arc::clone(&shared);
        let listener = Some(std::thread::spawn(move || serving.serve(&listener)));
        Self { port, shared, listener }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on this happens to connections that carry more than so many bytes, both directions together; so often.
    pub fn breaks(&self, trouble: Trouble, after: u64, times: u64) {
        let mut state = self.shared.state();
        state.plan = Some(Plan { trouble, after, times, met: 0 });
        state.connections.iter_mut().for_each(|connection| connection.carried = 0);
    }

    /// How many connections have met that since.
    pub fn broken(&self) -> u64 {
        self.shared.state().plan.map_or(0, |plan| plan.met)
    }

    /// From now on each connection carries so many bytes a second in each direction.
    pub fn slow(&self, rate: u32) {
        self.shared.state().rate = Some(rate);
    }
}

impl Drop for Line {
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
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((client, _)) = listener.accept() {
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server)) else { continue };
            let number = {
                let connections = &mut self.state().connections;
                connections.push(Connection::default());
                connections.len() - 1
            };
            for (from, to) in [(&client, &server), (&server, &client)] {
                let _ = from.set_nodelay(true);
                let (from, to, shared) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(self));
                std::thread::spawn(move || shared.carry(number, from, to));
            }
        }
    }

    fn carry(&self, number: usize, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 16 << 10];
        loop {
            let read = from.read(&mut bytes).unwrap_or(0);
            let (met, rate) = self.count(number, read as u64);
            if read == 0 && met.is_none() {
                // The other direction may have more to carry.
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            let is_over = match met {
                Some(Trouble::Cut) => true,
                // Whoever gives it up ends it for both.
                Some(Trouble::Silence) => read == 0,
                None => to.write_all(&bytes[..read]).is_err(),
            };
            if is_over {
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                return;
            }
            if let Some(rate) = rate {
                std::thread::sleep(Duration::from_secs(1) * read as u32 / rate);
            }
        }
    }

    /// So many bytes more are to be carried. Gives what has happened to the connection, and how fast they may go.
    fn count(&self, number: usize, bytes: u64) -> (Option<Trouble>, Option<u32>) {
        let State { plan, rate, connections } = &mut *self.state();
        let connection = &mut connections[number];
        connection.carried += bytes;
        if let Some(plan) = plan.as_mut().filter(|plan| connection.carried > plan.after && plan.met < plan.times)
            && connection.met.is_none()
        {
            plan.met += 1;
            connection.met = Some(plan.trouble);
        }
        (connection.met, *rate)
    }
}
