//! Secrets by reference: the configuration says where a secret is, never what it is.
//!
//! The one invariant: the secret itself is only ever in a [`SecretString`], from the moment it is read. No message of
//! this room holds a secret, nor what a command printed, nor the command line, which may hold one.

use std::fmt;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::SecretString;
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

/// The largest secret that is read, in bytes.
const MAX_SECRET: u64 = 64 << 10;

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a secret is.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// `env:NAME`: a variable of the daemon's environment.
    Env(String),
    /// `file:/path`: a file, without the newline at its end.
    File(PathBuf),
    /// `credential:NAME`: a systemd credential.
    Credential(String),
    /// `command:…`: what a shell command prints, without the newline at its end.
    Command(String),
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Credential(name) => write!(f, "credential:{name}"),
            Self::Command(_) => f.write_str("command:…"),
        }
    }
}

impl fmt::Debug for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that refers to no secret. It does not hold the text, which may be the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSecretRef {
    /// Probably the secret itself.
    #[error(
        "a secret must not stand in the configuration: say where it is with \
         \"env:NAME\", \"file:/path\", \"credential:NAME\" or \"command:…\""
    )]
    Literal,
    /// Nothing after the colon.
    #[error("nothing follows \"{0}:\"")]
    Empty(&'static str),
    /// A relative path.
    #[error("the path after \"file:\" must be absolute")]
    RelativePath,
    /// A credential's name with a slash.
    #[error("the name after \"credential:\" must be a file name, without \"/\"")]
    CredentialName,
}

impl FromStr for SecretRef {
    type Err = BadSecretRef;

    fn from_str(text: &str) -> Result<Self, BadSecretRef> {
        let (kind, rest) = text.split_once(':').ok_or(BadSecretRef::Literal)?;
        let rest = rest.to_owned();
        match kind {
            "env" if rest.is_empty() => Err(BadSecretRef::Empty("env")),
            "env" => Ok(Self::Env(rest)),
            "file" if rest.is_empty() => Err(BadSecretRef::Empty("file")),
            "file" if !rest.starts_with('/') => Err(BadSecretRef::RelativePath),
            "file" => Ok(Self::File(rest.into())),
            "credential" if rest.is_empty() => Err(BadSecretRef::Empty("credential")),
            "credential" if rest.contains('/') || rest.starts_with('.') => Err(BadSecretRef::CredentialName),
            "credential" => Ok(Self::Credential(rest)),
            "command" if rest.trim().is_empty() => Err(BadSecretRef::Empty("command")),
            "command" => Ok(Self::Command(rest)),
            _ => Err(BadSecretRef::Literal),
        }
    }
}

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No such variable.
    #[error(
        "the environment variable {0} is not set: set it for the daemon (Environment= or EnvironmentFile= in its unit)"
    )]
    NotSet(String),
    /// A file.
    #[error(
        "the secret file {path} cannot be read: {cause}; see that it is there and that the daemon's user may read it"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// No credentials at all.
    #[error("the daemon has no credentials folder: add LoadCredential={0}:/path to its systemd unit")]
    NoCredentials(String),
    /// The shell.
    #[error("a secret command cannot be started: {0}; see that the daemon's user may run /bin/sh")]
    NotStarted(std::io::Error),
    /// It failed.
    #[error("a secret command failed ({0}); run it by hand as the daemon's user to see why")]
    CommandFailed(std::process::ExitStatus),
    /// It hangs.
    #[error(
        "a secret command did not end within {} seconds; run it by hand as the daemon's user to see why",
        COMMAND_TIMEOUT.as_secs()
    )]
    CommandTimeout,
    /// Nothing in it.
    #[error("{0} gives an empty secret: put the secret there")]
    Empty(SecretRef),
    /// Not a text.
    #[error("{0} gives more than a short line of UTF-8 text: put nothing but the secret there")]
    NotText(SecretRef),
}

impl SecretRef {
    /// Fetches the secret, now and each time anew.
    pub async fn resolve(&self) -> Result<SecretString, SecretError> {
        let bytes = match self {
            Self::Env(name) => read_environment(name)?,
            Self::File(path) => self.read_file(path)?,
            Self::Credential(name) => {
                let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or_else(|| SecretError::NoCredentials(name.clone()))?;
                self.read_file(&Path::new(&folder).join(name))?
            }
            Self::Command(line) => self.run_command(line, COMMAND_TIMEOUT).await?,
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| SecretError::NotText(self.clone()))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() { Err(SecretError::Empty(self.clone())) } else { Ok(SecretString::from(text.to_owned())) }
    }

    fn read_file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let unreadable = |cause| SecretError::Unreadable { path: path.to_owned(), cause };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.mode();
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), "a secret file is open to others than its owner: chmod 600 it");
        }
        // All capacity at once: a growing vector would leave copies of the secret behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET as usize + 1));
        file.take(MAX_SECRET + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        self.bounded(bytes)
    }

    async fn run_command(&self, line: &str, timeout: Duration) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        // What it says on stderr may quote the secret: nobody gets to see it.
        let mut child = tokio::process::Command::new("/bin/sh")
            .args(["-c", line])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(SecretError::NotStarted)?;
        let mut group = Group::led_by(&child);
        let output = child.stdout.take();
        let finished = tokio::time::timeout(timeout, async {
            let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET as usize + 1));
            if let Some(output) = output {
                output.take(MAX_SECRET + 1).read_to_end(&mut bytes).await.map_err(SecretError::NotStarted)?;
            }
            let status = child.wait().await.map_err(SecretError::NotStarted)?;
            group.0 = None;
            if status.success() { Ok(bytes) } else { Err(SecretError::CommandFailed(status)) }
        });
        self.bounded(finished.await.map_err(|_| SecretError::CommandTimeout)??)
    }

    fn bounded(&self, bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        if bytes.len() as u64 > MAX_SECRET { Err(SecretError::NotText(self.clone())) } else { Ok(bytes) }
    }
}

/// The processes of a command, which end with this.
struct Group(Option<Pid>);

impl Group {
    fn led_by(leader: &tokio::process::Child) -> Self {
        Self(leader.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The leader was not waited for, so this is no other group yet. That all have ended is no error.
        self.0.take().map(|group| kill_process_group(group, Signal::KILL));
    }
}

fn read_environment(name: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let value = std::env::var_os(name).ok_or_else(|| SecretError::NotSet(name.to_owned()))?;
    Ok(Zeroizing::new(std::os::unix::ffi::OsStringExt::into_vec(value)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_literal_is_refused_without_being_repeated() {
        for literal in ["hunter2", "hunter2:x", "ENV:HOME", "https://hunter2"] {
            let error = literal.parse::<SecretRef>().unwrap_err();
            assert_eq!(error, BadSecretRef::Literal);
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn malformed_references_are_refused() {
        let bad =
            ["env:", "file:", "file:secret", "credential:", "credential:../shadow", "credential:a/b", "command: "];
        for text in bad {
            assert!(text.parse::<SecretRef>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_loses_its_newline_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (content, secret) in [("a b \n", "a b "), ("x", "x"), ("x\n\n", "x\n"), ("x\r\n", "x")] {
            std::fs::write(&path, content).unwrap();
            let found = SecretRef::File(path.clone()).resolve().await.unwrap();
            assert_eq!(found.expose_secret(), secret);
        }
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(SecretRef::File(path).resolve().await, Err(SecretError::Empty(_))));
    }

    #[tokio::test]
    async fn a_command_gives_its_output_and_its_failures_say_nothing_of_it() {
        let good: SecretRef = "command:printf 'pass word\\n'".parse().unwrap();
        assert_eq!(good.resolve().await.unwrap().expose_secret(), "pass word");

        let bad: SecretRef = "command:echo hunter2; echo hunter2 >&2; exit 7".parse().unwrap();
        let error = bad.resolve().await.unwrap_err();
        let shown = format!("{error} {error:?} {bad} {bad:?}");
        assert!(shown.contains("exit status: 7") && !shown.contains("hunter2"), "{shown}");
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_given_up_with_all_that_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let held = folder.path().join("held");
        // What holds it is not the shell itself.
        let line = format!("(flock 9; sleep 1000) 9>{}; true", held.display());
        let hangs = SecretRef::Command(line.clone());
        let result = hangs.run_command(&line, Duration::from_millis(300)).await;
        assert!(matches!(result, Err(SecretError::CommandTimeout)));
        let lock = tokio::task::spawn_blocking(move || std::fs::File::create(held).unwrap().lock());
        tokio::time::timeout(Duration::from_secs(60), lock).await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_is_missing_says_what_to_do() {
        let error = SecretRef::Env("CLOUDSTIC_TEST_NOT_SET".into()).resolve().await.unwrap_err();
        assert!(error.to_string().contains("CLOUDSTIC_TEST_NOT_SET is not set"));
    }
}
