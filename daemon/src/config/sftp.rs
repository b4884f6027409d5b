//! `[repositories.NAME.sftp]`: how to log in to an SFTP server, and how it proves who it is.

use std::fmt;
use std::path::PathBuf;

use cloudstic_engine::store::sftp::{HostKey, SftpLocation};

use super::parse::absolute;
use super::reader::{At, Reader, Section};
use crate::secrets::SecretRef;

/// A folder on an SFTP server, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SftpConfig {
    /// The folder.
    pub location: SftpLocation,
    /// How to log in.
    pub login: SftpLoginConfig,
    /// How the server proves who it is.
    pub host_key: HostKey,
    /// A configuration file for `ssh`; without it, none is read.
    pub ssh_config: Option<PathBuf>,
}

/// How to log in to an SFTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SftpLoginConfig {
    /// As `ssh` does by itself.
    Standard,
    /// By this key.
    Key(PathBuf),
    /// By the agent at this socket.
    Agent(PathBuf),
    /// By a password.
    Password(SecretRef),
}

impl fmt::Display for SftpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

impl SftpConfig {
    pub(super) fn read(reader: &Reader<'_>, location: SftpLocation, section: Option<Section<'_, '_>>) -> Self {
        let host_key = HostKey::Known(None);
        let mut config = Self { location, login: SftpLoginConfig::Standard, host_key, ssh_config: None };
        let Some(mut section) = section else { return config };
        let (key, agent) = (section.string("key"), section.string("agent"));
        let password: Option<At<SecretRef>> = section.parsed("password");
        let lines = [key.as_ref().map(At::place), agent.as_ref().map(At::place), password.as_ref().map(At::place)];
        if let [_, second, ..] = lines.into_iter().flatten().collect::<Vec<_>>().as_slice() {
            reader.problem(second, "is a second way to log in: give one of \"key\", \"agent\" and \"password\"");
        }
        if let Some(key) = absolute(reader, key) {
            config.login = SftpLoginConfig::Key(key);
        } else if let Some(agent) = absolute(reader, agent) {
            config.login = SftpLoginConfig::Agent(agent);
        } else if let Some(password) = password {
            config.login = SftpLoginConfig::Password(password.value);
        }
        let (known_hosts, insecure) = (section.string("known_hosts"), section.boolean("insecure"));
        match (known_hosts, insecure.filter(|insecure| insecure.value)) {
            (Some(_), Some(insecure)) => reader.problem(&insecure, "and \"known_hosts\" contradict each other"),
            (None, Some(_)) => config.host_key = HostKey::Insecure,
            (known_hosts, None) => config.host_key = HostKey::Known(absolute(reader, known_hosts)),
        }
        config.ssh_config = absolute(reader, section.string("ssh_config"));
        section.finish();
        config
    }
}
