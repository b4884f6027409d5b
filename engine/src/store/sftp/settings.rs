//! How to reach an SFTP store.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::SftpLocation;

/// How to reach an SFTP store.
#[derive(Debug, Clone)]
pub struct SftpSettings {
    /// The folder.
    pub location: SftpLocation,
    /// How to log in.
    pub login: SftpLogin,
    /// How the server proves who it is.
    pub host_key: HostKey,
    /// A configuration file for `ssh`, for a jump host say. Without it none is read, neither the user's nor the system's;
    /// what is set here counts before what is in it.
    pub ssh_config: Option<PathBuf>,
    /// The program.
    pub ssh: PathBuf,
    /// A program that calls [`super::askpass::answer`] first of all, where a password is needed.
    pub askpass: PathBuf,
    /// How long it may take to connect and log in.
    pub connect: Duration,
    /// How long a connection may give no answer to anything that was asked before it counts as dead.
    pub stall: Duration,
}

/// How to log in.
#[derive(Debug, Clone, Default)]
pub enum SftpLogin {
    /// As `ssh` does by itself: by the agent of `SSH_AUTH_SOCK`, or a key in `~/.ssh` without a passphrase.
    #[default]
    Standard,
    /// By the key in this file, which has no passphrase, and no other.
    Key(PathBuf),
    /// By the keys of the agent at this socket, and no other.
    Agent(PathBuf),
    /// By password.
    Password(SecretString),
}

/// How the server proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKey {
    /// Its key is in this file, in the form of `known_hosts`; in the user's and the system's one if it is `None`.
    Known(Option<PathBuf>),
    /// Not at all: anybody on the way can read and change what is sent.
    Insecure,
}

impl SftpSettings {
    /// With what is usual; nothing that can be left out is set.
    pub fn new(location: SftpLocation) -> Self {
        Self {
            location,
            login: SftpLogin::default(),
            host_key: HostKey::Known(None),
            ssh_config: None,
            ssh: "ssh".into(),
            askpass: this_program(),
            connect: Duration::from_secs(30),
            stall: Duration::from_secs(60),
        }
    }
}

/// This program, even if an update has removed its file since it was started.
fn this_program() -> PathBuf {
    let path = std::env::current_exe().ok().filter(|path| path.exists());
    path.unwrap_or_else(|| format!("/proc/{}/exe", std::process::id()).into())
}
