//! Where an SFTP store lies: `sftp://[user@]host[:port]/path`.

use std::fmt;
use std::str::FromStr;

/// A folder on an SFTP server. What it prints has no credentials in it, for there are none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SftpLocation {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    /// Absolute, or relative to where the login lands; without an empty part, `.` or `..`.
    path: String,
}

/// A text that is no location. It does not hold the text: there may be a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSftpLocation {
    /// Not of this form.
    #[error("write \"sftp://user@host/path\", or \"sftp://user@host/~/path\" for one in the user's home folder")]
    Form,
    /// A colon in the user.
    #[error("a password must not stand in the location: set \"password\" to where it is")]
    Password,
    /// A host or user that `ssh` could take for something else.
    #[error(
        "the user and the host are made of letters, digits, \".\", \"-\" and \"_\" (an IPv6 address stands in [ ])"
    )]
    Name,
    /// Not a number from 1 to 65535.
    #[error("the port is a number from 1 to 65535")]
    Port,
    /// A path with parts that mean something to the file system.
    #[error("the path must not have \".\" or \"..\" in it, and must name a folder")]
    Path,
}

impl SftpLocation {
    /// The user, if it is not the one that the daemon runs as, or that `ssh_config` names.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if it is not the usual one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The folder: absolute, or relative to the user's home.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether both are one folder, whoever logs in; as far as names tell.
    pub fn is_place_of(&self, other: &Self) -> bool {
        let place = |it: &Self| (it.host.to_lowercase(), it.port.unwrap_or(22), it.path.clone());
        // A path in the home folder is another one for another user.
        let same_home = self.path.starts_with('/') || self.user == other.user;
        same_home && place(self) == place(other)
    }

    /// What `known_hosts` calls the host.
    pub(super) fn known_as(&self) -> String {
        match self.port {
            Some(port) if port != 22 => format!("[{}]:{port}", self.host),
            _ => self.host.clone(),
        }
    }
}

impl FromStr for SftpLocation {
    type Err = BadSftpLocation;

    fn from_str(text: &str) -> Result<Self, BadSftpLocation> {
        let rest = text.strip_prefix("sftp://").ok_or(BadSftpLocation::Form)?;
        let (authority, path) = rest.split_once('/').ok_or(BadSftpLocation::Form)?;
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(BadSftpLocation::Password),
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let (host, port) = split_port(address)?;
        let is_user = |c: char| c.is_alphanumeric() || "._-+@\\$".contains(c);
        let is_host = |c: char| c.is_alphanumeric() || "._-:%".contains(c);
        // What begins with a dash would be an option of ssh.
        let good =
            |name: &str, is: fn(char) -> bool| !name.is_empty() && !name.starts_with('-') && name.chars().all(is);
        if !good(host, is_host) || !user.is_none_or(|user| good(user, is_user)) {
            return Err(BadSftpLocation::Name);
        }
        let (user, host) = (user.map(str::to_owned), host.to_owned());
        Ok(Self { user, host, port, path: clean(path)? })
    }
}

fn split_port(address: &str) -> Result<(&str, Option<u16>), BadSftpLocation> {
    let (host, port) = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let number = |port: &str| port.parse().ok().filter(|port| *port > 0).ok_or(BadSftpLocation::Port);
    Ok((host, port.map(number).transpose()?))
}

/// `path` is what follows the slash after the host.
fn clean(path: &str) -> Result<String, BadSftpLocation> {
    let (start, path) = match path.strip_prefix("~/") {
        Some(path) => ("", path),
        None => ("/", path),
    };
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let bad = |part: &&str| matches!(*part, "." | ".." | "~") || part.contains('\0');
    if parts.is_empty() || parts.iter().any(bad) {
        return Err(BadSftpLocation::Path);
    }
    Ok(format!("{start}{}", parts.join("/")))
}

impl fmt::Display for SftpLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sftp://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        match self.path.starts_with('/') {
            true => f.write_str(&self.path),
            false => write!(f, "/~/{}", self.path),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_location_says_again_what_was_written() {
        for text in [
            "sftp://backup@host.example/srv/backup",
            "sftp://host:2222/srv",
            "sftp://u@[::1]:22/srv/a b",
            "sftp://host/~/backup",
        ] {
            assert_eq!(text.parse::<SftpLocation>().unwrap().to_string(), text);
        }
        let same = |text: &str| text.parse::<SftpLocation>().unwrap();
        assert_eq!(same("sftp://host//srv//backup/"), same("sftp://host/srv/backup"));
        assert_eq!(same("sftp://host/~/a/b/").path(), "a/b");
        assert_eq!(same("sftp://host:2222/a").known_as(), "[host]:2222");
    }

    #[test]
    fn what_is_wrong_is_told_without_repeating_it() {
        for (text, problem) in [
            ("host:/srv", BadSftpLocation::Form),
            ("sftp://host", BadSftpLocation::Form),
            ("sftp://me:hunter2@host/srv", BadSftpLocation::Password),
            ("sftp://-oProxyCommand=x/srv", BadSftpLocation::Name),
            ("sftp://-l@host/srv", BadSftpLocation::Name),
            ("sftp:///srv", BadSftpLocation::Name),
            ("sftp://host:0/srv", BadSftpLocation::Port),
            ("sftp://host:ssh/srv", BadSftpLocation::Port),
            ("sftp://host/", BadSftpLocation::Path),
            ("sftp://host/a/../b", BadSftpLocation::Path),
        ] {
            assert_eq!(text.parse::<SftpLocation>(), Err(problem), "{text}");
            assert!(!problem.to_string().contains("hunter2"));
        }
    }
}
