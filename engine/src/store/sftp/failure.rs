//! What can go wrong with a connection, and what `ssh` means by what it says.

use std::time::Duration;

use openssh_sftp_client::error::{Error as SftpError, SftpErrorKind};

use super::settings::{HostKey, SftpLogin, SftpSettings};
use crate::store::StoreErrorKind;

/// Why something did not work.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// The server says that there is no such file or folder.
    Missing,
    /// The server refused, in these words.
    Refused(String),
    /// The server failed, in these words: which of many reasons, SFTP does not tell.
    Failed(String),
    /// The server cannot do this.
    Unsupported,
    /// The file is shorter than it should be.
    Short,
    /// The disk of the server is full.
    Full,
    /// Others change the same object all the time.
    Busy,
    /// The connection is lost; what `ssh` said of it.
    Lost(String),
    /// No answer for so long.
    Silent(Duration),
    /// There is no connection, and this is why.
    NotConnected(StoreErrorKind, String),
    /// Something on this host.
    Here(String),
}

impl Trouble {
    /// Whether the server answered at all.
    pub(super) fn is_answer(&self) -> bool {
        matches!(
            self,
            Self::Missing | Self::Refused(_) | Self::Failed(_) | Self::Unsupported | Self::Short | Self::Full
        )
    }

    /// The kind of a store's error, and its text.
    pub(super) fn told(self) -> (StoreErrorKind, String) {
        match self {
            Self::Missing => (StoreErrorKind::NotFound, "no such file".to_owned()),
            Self::Refused(text) => (StoreErrorKind::Denied, text),
            Self::Failed(text) => (StoreErrorKind::Other, format!("the server says {text:?}")),
            Self::Unsupported => (StoreErrorKind::Other, "the server cannot do this".to_owned()),
            Self::Short => (StoreErrorKind::Corrupt, "it ends too early".to_owned()),
            Self::Full => (StoreErrorKind::Full, "the disk of the server is full".to_owned()),
            Self::Busy => (StoreErrorKind::Transient, "others change it all the time".to_owned()),
            Self::Lost(text) => (StoreErrorKind::Transient, text),
            Self::Silent(time) => {
                (StoreErrorKind::Transient, format!("the server gave no answer for {} seconds", time.as_secs()))
            }
            Self::NotConnected(kind, text) => (kind, text),
            Self::Here(text) => (StoreErrorKind::Transient, text),
        }
    }
}

impl From<SftpError> for Trouble {
    fn from(error: SftpError) -> Self {
        match error {
            SftpError::SftpError(kind, message) => {
                let (text, _) = message.get();
                let text = if text.is_empty() { "failure" } else { text }.to_owned();
                match kind {
                    SftpErrorKind::NoSuchFile => Self::Missing,
                    SftpErrorKind::PermDenied => Self::Refused(text),
                    SftpErrorKind::OpUnsupported => Self::Unsupported,
                    _ => Self::Failed(text),
                }
            }
            SftpError::UnsupportedExtension(_) => Self::Unsupported,
            other => Self::Lost(other.to_string()),
        }
    }
}

/// Why `ssh` could not connect, from what it said on its standard error.
pub(super) fn why_not_connected(settings: &SftpSettings, said: &str, silent: Option<Duration>) -> Trouble {
    let host = settings.location.known_as();
    let file = match &settings.host_key {
        HostKey::Known(Some(file)) => file.display().to_string(),
        _ => "~/.ssh/known_hosts".to_owned(),
    };
    let has = |text: &str| said.contains(text);
    let (kind, text) = if has("REMOTE HOST IDENTIFICATION HAS CHANGED") || has("Host key for ") && has("has changed") {
        let shown = fingerprint(said).map(|key| format!(", and is now {key}")).unwrap_or_default();
        let text = format!(
            "the server's host key is not the known one{shown}: either somebody is in between, or the server was set up \
             anew. Ask its administrator for the fingerprint; only if it is the same, remove the old key with ssh-keygen \
             -R {host:?} -f {file} and add the new one"
        );
        (StoreErrorKind::Untrusted, text)
    } else if has("you have requested strict checking") || has("Host key verification failed") {
        let scan = settings.location.port().map(|port| format!("-p {port} ")).unwrap_or_default();
        let text = format!(
            "the server's host key is not known: fetch it with ssh-keyscan {scan}{} >>{file} and compare what ssh-keygen \
             -lf {file} shows with what its administrator says",
            settings.location.host()
        );
        (StoreErrorKind::Untrusted, text)
    } else if has("UNPROTECTED PRIVATE KEY FILE") {
        (StoreErrorKind::Denied, format!("ssh does not use {}, which others can read: chmod 600 it", login(settings)))
    } else if has("Permission denied") || has("Too many authentication failures") || has("No supported authentication")
    {
        (
            StoreErrorKind::Denied,
            format!("the server does not accept {}{}", login(settings), key_trouble(settings, said)),
        )
    } else if has("subsystem request failed") {
        let text = "the server has no SFTP: its sshd_config needs a line \"Subsystem sftp internal-sftp\"".to_owned();
        (StoreErrorKind::Denied, text)
    } else if let Some(time) = silent {
        let last = last_line(said).map(|line| format!("; ssh says: {line}")).unwrap_or_default();
        let text = format!("the server did not let anybody in for {} seconds{last}", time.as_secs());
        (StoreErrorKind::Transient, text)
    } else if has("Bad configuration option") || has("command-line: line") || has("Bad owner or permissions") {
        (StoreErrorKind::Denied, format!("ssh says: {}", last_line(said).unwrap_or_default()))
    } else {
        let line = last_line(said).unwrap_or("ssh ended without a word");
        (StoreErrorKind::Transient, format!("the server cannot be reached: {line}"))
    };
    Trouble::NotConnected(kind, text)
}

fn login(settings: &SftpSettings) -> String {
    match &settings.login {
        SftpLogin::Standard => "any key of this user's agent or ~/.ssh".to_owned(),
        SftpLogin::Key(file) => format!("the key {}", file.display()),
        SftpLogin::Agent(socket) => format!("any key of the agent at {}", socket.display()),
        SftpLogin::Password(_) => "the password".to_owned(),
    }
}

/// A key that cannot be used is passed by, and then the login fails.
fn key_trouble(settings: &SftpSettings, said: &str) -> String {
    let unreadable = match &settings.login {
        SftpLogin::Key(file) => std::fs::File::open(file).err().map(|cause| cause.to_string()),
        _ => None,
    };
    let told = said.lines().map(str::trim).find(|line| line.starts_with("Load key ")).map(str::to_owned);
    told.or(unreadable).map(|trouble| format!(" ({trouble})")).unwrap_or_default()
}

fn fingerprint(said: &str) -> Option<&str> {
    let word = said.split_whitespace().find(|word| word.starts_with("SHA256:"))?;
    Some(word.trim_end_matches('.'))
}

/// The last thing that was said, which is why it ended.
pub(super) fn last_line(said: &str) -> Option<&str> {
    said.lines().map(str::trim).rfind(|line| !line.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CHANGED: &str = "@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@@@@@@\n\
        IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!\nThe fingerprint for the ED25519 key sent by the remote \
        host is\nSHA256:abc/def.\nHost key for [h]:2222 has changed and you have requested strict checking.\nHost key \
        verification failed.\n";

    #[test]
    fn each_refusal_of_ssh_is_told_apart() {
        let settings = SftpSettings {
            host_key: HostKey::Known(Some("/etc/cloudstic/known_hosts".into())),
            login: SftpLogin::Key("/etc/cloudstic/key".into()),
            ..SftpSettings::new("sftp://me@h:2222/srv".parse().unwrap())
        };
        use StoreErrorKind::{Denied, Transient, Untrusted};
        for (said, kind, part) in [
            (CHANGED, Untrusted, "is now SHA256:abc/def: "),
            (CHANGED, Untrusted, "ssh-keygen -R \"[h]:2222\" -f /etc/cloudstic/known_hosts"),
            (
                "No ED25519 host key is known for [h]:2222 and you have requested strict checking.\r\nHost key \
                 verification failed.",
                Untrusted,
                "ssh-keyscan -p 2222 h >>/etc/cloudstic/known_hosts",
            ),
            ("me@h: Permission denied (publickey).", Denied, "does not accept the key /etc/cloudstic/key"),
            (
                "Load key \"/etc/cloudstic/key\": invalid format\r\nme@h: Permission denied (publickey).",
                Denied,
                "invalid format)",
            ),
            ("Connection closed by 1.2.3.4 port 22", Transient, "cannot be reached: Connection closed by"),
            ("ssh: Could not resolve hostname h: Name or service not known", Transient, "Name or service"),
            ("ssh: connect to host h port 2222: Connection refused\r\n", Transient, "Connection refused"),
            ("subsystem request failed on channel 0", Denied, "Subsystem sftp"),
            ("", Transient, "without a word"),
        ] {
            let (found, text) = why_not_connected(&settings, said, None).told();
            assert_eq!(found, kind, "{said}");
            assert!(text.contains(part), "{text}");
        }
        let (kind, text) = why_not_connected(&settings, "", Some(Duration::from_secs(30))).told();
        assert_eq!((kind, text.as_str()), (Transient, "the server did not let anybody in for 30 seconds"));
    }
}
