//! How a password gets to `ssh`, which takes it from nothing but a terminal or a program that it starts.
//!
//! That program is this one again. It is told in its environment where the [`Desk`] of the daemon is, a socket of its own
//! for each connection, and asks there. The one invariant: the password is only ever in the memory of the two, and on
//! its way between them and to `ssh`; never on a command line, in an environment or in a file.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

/// The variable that tells where to ask. What it says is no secret: only the daemon's own user gets an answer there.
pub(super) const VARIABLE: &str = "CLOUDSTIC_ASKPASS";

/// The longest password, in bytes.
const LONGEST: u64 = 64 << 10;

/// Answers `ssh` if it was `ssh` that started this program, to ask for a password; the program then has to end with what
/// this gives. To be called first of all, before arguments are looked at.
pub fn answer() -> Option<ExitCode> {
    let address = std::env::var(VARIABLE).ok()?;
    // A question that is answered with yes or no is none for a password.
    let is_confirmation = std::env::var_os("SSH_ASKPASS_PROMPT").is_some();
    let told = if is_confirmation { None } else { ask(&address).ok() };
    Some(if told.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn ask(address: &str) -> std::io::Result<()> {
    let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(address)?)?;
    // All capacity at once: a growing vector would leave copies of the secret behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
    stream.take(LONGEST).read_to_end(&mut secret)?;
    if secret.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    secret.push(b'\n');
    std::io::stdout().write_all(&secret)?;
    std::io::stdout().flush()
}

/// Where the password of one login can be had, once. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Desk {
    address: String,
    /// The id of the `ssh` that may ask.
    ssh: Arc<OnceLock<u32>>,
    clerk: JoinHandle<()>,
}

impl Desk {
    pub(super) fn open(password: SecretString) -> std::io::Result<Self> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let address = format!("cloudstic-askpass-{}", hex::encode(random));
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&address)?)?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let ssh = Arc::<OnceLock<u32>>::default();
        let answered = Arc::clone(&ssh);
        let clerk = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let own = rustix::process::geteuid().as_raw();
                let Ok(peer) = stream.peer_cred() else { continue };
                // Another `ssh`, to a host on the way, finds this address in its environment, too.
                let is_started_by_ssh = peer.pid().and_then(parent).is_some_and(|id| answered.get() == Some(&id));
                if peer.uid() == own && is_started_by_ssh {
                    // Only once: a server that asks again was not content with it.
                    let _ = stream.write_all(password.expose_secret().as_bytes()).await;
                    return;
                }
            }
        });
        Ok(Self { address, ssh, clerk })
    }

    /// From now on, what this process starts is answered.
    pub(super) fn answers(&self, ssh: u32) {
        // There is one to a desk.
        let _ = self.ssh.set(ssh);
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

/// Who started a process.
fn parent(id: i32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // Its name, in brackets, may have any in it.
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.clerk.abort();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fetch(address: &str) -> std::io::Result<String> {
        let mut text = String::new();
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(address)?)?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_password_is_given_once_and_the_desk_is_gone_with_its_connection() {
        let desk = Desk::open(SecretString::from("hunter2")).unwrap();
        assert!(!format!("{desk:?}").contains("hunter2"));
        let address = desk.address().to_owned();
        let asked = address.clone();
        // Nobody that was not started by the right one.
        let other = tokio::task::spawn_blocking(move || fetch(&asked)).await.unwrap();
        assert_eq!(other.unwrap(), "");
        desk.answers(parent(std::process::id() as i32).unwrap());
        let asked = address.clone();
        let first = tokio::task::spawn_blocking(move || fetch(&asked)).await.unwrap();
        assert_eq!(first.unwrap(), "hunter2");
        drop(desk);
        let again = tokio::task::spawn_blocking(move || fetch(&address)).await.unwrap();
        assert_ne!(again.unwrap_or_default(), "hunter2");
    }
}
