//! One connection: a process of `ssh` and the SFTP session that goes through it.
//!
//! The one invariant: nothing waits for ever. Every call of the session is made through [`Connection::call`], which
//! gives it up, and the connection with it, once the server has answered nothing for [`SftpSettings::stall`]: a process
//! that is stopped, or a peer that is silent, would let it hang. A connection that failed once is never used again.

use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openssh_sftp_client::error::Error as SftpError;
use openssh_sftp_client::fs::Fs;
use openssh_sftp_client::{Sftp, SftpOptions};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::askpass::Desk;
use super::command;
use super::failure::{self, Trouble};
use super::settings::{SftpLogin, SftpSettings};
use crate::store::StoreErrorKind;

/// How many pieces of files may be under way: what a line of 100 MB/s with 80 ms there and back holds.
const PIECES: usize = 32;

/// How much of what `ssh` says is kept, in bytes.
const KEPT: usize = 16 << 10;

/// How long an `ssh` that fails has to end, so that all it says is known.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A connection that works, or worked.
#[derive(Debug)]
pub(super) struct Connection {
    sftp: Sftp,
    ssh: Ssh,
    stall: Duration,
    /// When the server last answered anything.
    answered: watch::Sender<Instant>,
    /// Permits for pieces of files.
    pub(super) pieces: Semaphore,
}

/// A process of `ssh`, which is killed when this is dropped.
#[derive(Debug)]
struct Ssh {
    kill: CancellationToken,
    ended: CancellationToken,
    said: Arc<Mutex<String>>,
    #[cfg(test)]
    id: Option<u32>,
}

impl Connection {
    /// Connects and logs in.
    pub(super) async fn open(settings: &SftpSettings) -> Result<Self, Trouble> {
        let here = |cause: std::io::Error| Trouble::Here(format!("a password cannot be given to ssh: {cause}"));
        let desk = match &settings.login {
            SftpLogin::Password(password) => Some(Desk::open(password.clone()).map_err(here)?),
            _ => None,
        };
        let mut child = command::ssh(settings, desk.as_ref()).spawn().map_err(|cause| {
            let text = format!("{} cannot be started: {cause}; install openssh-client", settings.ssh.display());
            Trouble::NotConnected(StoreErrorKind::Denied, text)
        })?;
        if let (Some(desk), Some(id)) = (&desk, child.id()) {
            desk.answers(id);
        }
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let ssh = Ssh::watch(child);
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(Trouble::Here("ssh has no standard input".to_owned()));
        };
        // In a task of its own: what goes wrong in there must not take the caller with it.
        let starting = AbortOnDropHandle::new(tokio::spawn(Sftp::new(stdin, stdout, SftpOptions::new())));
        let started = timeout(settings.connect, starting).await;
        let silent = started.is_err().then_some(settings.connect);
        let Ok(Ok(Ok(sftp))) = started else {
            let said = ssh.last_words(silent.is_some()).await;
            return Err(failure::why_not_connected(settings, &said, silent));
        };
        let stall = settings.stall;
        let answered = watch::Sender::new(Instant::now());
        Ok(Self { sftp, ssh, stall, answered, pieces: Semaphore::new(PIECES) })
    }

    /// Whether it can still be used, as far as anybody knows.
    pub(super) fn is_alive(&self) -> bool {
        !self.ssh.ended.is_cancelled() && !self.ssh.kill.is_cancelled()
    }

    /// What the session can do, and files by handle.
    pub(super) fn sftp(&self) -> &Sftp {
        &self.sftp
    }

    /// Files by name.
    pub(super) fn fs(&self) -> Fs {
        self.sftp.fs()
    }

    /// Waits for what the server answers, but not longer than it is silent.
    pub(super) async fn call<T>(&self, call: impl Future<Output = Result<T, SftpError>>) -> Result<T, Trouble> {
        let mut call = std::pin::pin!(call);
        let mut since = Instant::now();
        loop {
            let Ok(done) = tokio::time::timeout_at(since + self.stall, &mut call).await else {
                let answered = *self.answered.borrow();
                if answered > since {
                    since = answered;
                    continue;
                }
                self.ssh.kill.cancel();
                return Err(Trouble::Silent(self.stall));
            };
            return match done.map_err(Trouble::from) {
                Err(Trouble::Lost(what)) => Err(self.lost(what).await),
                done => {
                    self.answered.send_replace(Instant::now());
                    done
                }
            };
        }
    }

    async fn lost(&self, what: String) -> Trouble {
        let said = self.ssh.last_words(true).await;
        let why = failure::last_line(&said).unwrap_or(&what);
        Trouble::Lost(format!("the connection was lost: {why}"))
    }

    /// The process, for tests that torment it.
    #[cfg(test)]
    pub(super) fn ssh_id(&self) -> Option<u32> {
        self.ssh.id
    }
}

impl Ssh {
    fn watch(mut child: Child) -> Self {
        let ssh = Self {
            kill: CancellationToken::new(),
            ended: CancellationToken::new(),
            said: Arc::default(),
            #[cfg(test)]
            id: child.id(),
        };
        let listening = child.stderr.take().map(|stderr| tokio::spawn(listen(stderr, Arc::clone(&ssh.said))));
        let (kill, ended) = (ssh.kill.clone(), ssh.ended.clone());
        tokio::spawn(async move {
            let status: std::io::Result<ExitStatus> = tokio::select! {
                status = child.wait() => status,
                () = kill.cancelled() => child.kill().await.and(child.wait().await),
            };
            tracing::debug!(?status, "ssh has ended");
            if let Some(listening) = listening {
                // Somebody that it started may hold its standard error open for longer.
                let _ = timeout(LAST_WORDS, AbortOnDropHandle::new(listening)).await;
            }
            ended.cancel();
        });
        ssh
    }

    /// All that it said, once it has ended; it is killed if it does not end by itself.
    async fn last_words(&self, at_once: bool) -> String {
        if at_once || timeout(LAST_WORDS, self.ended.cancelled()).await.is_err() {
            // What is on its way is still heard.
            let _ = timeout(Duration::from_millis(100), self.ended.cancelled()).await;
            self.kill.cancel();
            let _ = timeout(LAST_WORDS, self.ended.cancelled()).await;
        }
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        self.kill.cancel();
    }
}

/// Keeps the last of what it says; without reading, it would stop once the pipe is full.
async fn listen(mut stderr: impl AsyncRead + Unpin, said: Arc<Mutex<String>>) {
    let mut bytes = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut bytes).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.push_str(&String::from_utf8_lossy(&bytes[..count]));
        if said.len() > KEPT {
            let start = said.ceil_char_boundary(said.len() - KEPT);
            said.drain(..start);
        }
    }
}
