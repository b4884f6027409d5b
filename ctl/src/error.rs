//! Everything that can end a command early. Each error is one line, says what to do, and knows its exit code.

use std::io;
use std::path::PathBuf;

use cloudstic_proto::{REASON_KEY, Reason};
use tonic::{Code, Status};

use crate::exit::Exit;
use crate::output::{escape, json};

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Nothing is at the socket's path, or nobody listens there.
    #[error(
        "nothing answers at {}: the daemon is not running or listens elsewhere: start `cloudsticd`, or give its socket with --socket",
        .0.display()
    )]
    NoDaemon(PathBuf),
    /// The socket's mode or that of a folder above it keeps this user out.
    #[error(
        "your user may not use {}: ask to be added to the socket's group (`ls -l` shows it), then log in again",
        .0.display()
    )]
    SocketDenied(PathBuf),
    /// Any other way in which the socket cannot be used.
    #[error("cannot connect to {}: {source}; give the daemon's socket with --socket", .socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What listens at the socket does not speak the API.
    #[error("what listens at {} does not answer like cloudsticd: {problem}; give its socket with --socket", .socket.display())]
    Handshake {
        /// The socket.
        socket: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// The connection ended in the middle.
    #[error("the connection to the daemon was lost ({0}): look at the daemon's log, then at `cloudsticctl job list`")]
    ConnectionLost(String),
    /// The daemon refused or failed.
    #[error("{message}")]
    Api {
        /// The stable reason, as the daemon gave it.
        reason: String,
        /// One line for people.
        message: String,
    },
    /// The arguments make no sense together, in a way that only shows when they are used.
    #[error("{0}")]
    Arguments(String),
    /// Standard output cannot be written.
    #[error("cannot write to standard output: {0}; see where it goes and whether there is room")]
    Output(#[source] io::Error),
    /// A file of the user's cannot be written.
    #[error("cannot write {}: {source}; see whether you may write there and whether there is room", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is in the way.
    #[error("{} exists already: give --force to replace it, or another name", .0.display())]
    FileExists(PathBuf),
    /// A file system cannot be mounted, or not be served any more.
    #[cfg(feature = "mount")]
    #[error("cannot mount at {}: {source}; {advice}", .dir.display())]
    Mount {
        /// Where.
        dir: PathBuf,
        /// What to do.
        advice: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A stream ended without its last message; of what.
    #[error(
        "{0} is not complete: the daemon ended the stream early; see `cloudsticctl job list` or its log for the reason"
    )]
    Incomplete(&'static str),
    /// A signal ended it.
    #[error("interrupted: {0}")]
    Interrupted(String),
    /// The system refused something that always works.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// The stable reason: the daemon's, or for what happened on this side one of the client's own.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::NoDaemon(_) | Self::Connect { .. } | Self::Handshake { .. } => "UNREACHABLE",
            Self::SocketDenied(_) => Reason::PermissionDenied.as_str(),
            Self::ConnectionLost(_) => "CONNECTION_LOST",
            Self::Api { reason, .. } => reason,
            Self::Arguments(_) => Reason::BadRequest.as_str(),
            Self::Output(_) | Self::File { .. } => "WRITE_FAILED",
            Self::FileExists(_) => "FILE_EXISTS",
            #[cfg(feature = "mount")]
            Self::Mount { .. } => "MOUNT_FAILED",
            Self::Incomplete(_) => "INCOMPLETE",
            Self::Interrupted(_) => Reason::Cancelled.as_str(),
            Self::System { .. } => Reason::Internal.as_str(),
        }
    }

    /// How the program ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Api { reason, .. } => Exit::of_reason(reason),
            Self::Interrupted(_) => Exit::Interrupted,
            _ => Exit::Failure,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        if let Some(reason) = status.metadata().get(REASON_KEY).and_then(|value| value.to_str().ok()) {
            return Self::Api { reason: reason.to_owned(), message: status.message().to_owned() };
        }
        let message = status.message();
        match status.code() {
            Code::Unimplemented => Self::Api {
                reason: Reason::BadRequest.to_string(),
                message: "the daemon does not know this request: it is older than this client; update it".to_owned(),
            },
            Code::PermissionDenied => {
                Self::Api { reason: Reason::PermissionDenied.to_string(), message: message.to_owned() }
            }
            // Without a reason it was not the daemon's code that answered, but the transport.
            Code::Unavailable | Code::Unknown | Code::Cancelled => Self::ConnectionLost(message.to_owned()),
            code => Self::Api { reason: Reason::Internal.to_string(), message: format!("{message} ({code:?})") },
        }
    }
}

/// The line on standard error for an error: text, or in JSON mode an object.
pub(crate) fn line(reason: &str, message: &str, as_json: bool) -> String {
    if as_json { json::error(reason, message) } else { format!("cloudsticctl: {}", escape::text(message)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: Code, reason: Option<Reason>) -> Status {
        let mut status = Status::new(code, "something is wrong");
        if let Some(value) = reason.and_then(|reason| reason.as_str().parse().ok()) {
            status.metadata_mut().insert(REASON_KEY, value);
        }
        status
    }

    #[test]
    fn the_daemons_reason_decides_the_exit_code() {
        for (reason, code) in [
            (Reason::NotInitialised, 10),
            (Reason::Locked, 11),
            (Reason::WrongCredential, 12),
            (Reason::NoCredential, 12),
            (Reason::NoSuchSnapshot, 1),
            (Reason::Cancelled, 130),
        ] {
            let error = Error::from(status(Code::FailedPrecondition, Some(reason)));
            assert_eq!(error.exit().code(), code, "{reason}");
            assert_eq!(error.reason(), reason.as_str());
            assert_eq!(error.to_string(), "something is wrong");
        }
    }

    #[test]
    fn a_broken_transport_is_not_taken_for_the_daemons_word() {
        assert_eq!(Error::from(status(Code::Unavailable, None)).reason(), "CONNECTION_LOST");
        assert_eq!(Error::from(status(Code::Unknown, None)).exit(), Exit::Failure);
    }

    #[test]
    fn an_error_stays_one_line_whatever_the_daemon_sends() {
        assert_eq!(line("X", "two\nlines \x1b[2J", false), "cloudsticctl: two\\nlines \\x1b[2J");
        assert_eq!(line("X", "two\nlines", true), r#"{"error":{"reason":"X","message":"two\nlines"}}"#);
    }
}
