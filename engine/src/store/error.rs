//! What can go wrong with a store. Rules: an error names the key and the backend, says what kind of failure it was, and
//! whether trying again can help; it never holds a credential.

use std::fmt;
use std::time::Duration;

/// The result of a store operation.
pub type StoreResult<T> = Result<T, StoreError>;

/// Tells a delete of what the store retains, which no other try changes and nobody need stop for, from one that failed.
pub(crate) fn unless_retained(deleted: StoreResult<()>) -> StoreResult<Option<StoreError>> {
    match deleted {
        Ok(()) => Ok(None),
        Err(error) if error.kind == StoreErrorKind::Retained => Ok(Some(error)),
        Err(error) => Err(error),
    }
}

/// A failed store operation.
#[derive(Debug, Clone)]
pub struct StoreError {
    /// What kind of failure.
    pub kind: StoreErrorKind,
    /// The object; empty if it is about all of them.
    pub key: String,
    /// The backend, as [`super::ObjectStore::describe`] has it.
    pub backend: String,
    /// The cause, for the user.
    pub detail: String,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// There is no such object.
    NotFound,
    /// The place that all objects lie in is not there: a disk that is not mounted, a folder that was moved away.
    Gone,
    /// The backend refused: permissions or credentials.
    Denied,
    /// Whoever answers may not be the store: it does not prove who it is, or not as it did before.
    Untrusted,
    /// Too many requests.
    Throttled {
        /// How long the backend wants to be left alone, if it says so.
        retry_after: Option<Duration>,
    },
    /// A failure that may pass: network, server error.
    Transient,
    /// The object is there, but not what it should be.
    Corrupt,
    /// The backend keeps it for as long as somebody has set: object lock, a legal hold.
    Retained,
    /// No space or quota is left.
    Full,
    /// The key is not a valid one.
    InvalidKey,
    /// Anything else.
    Other,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same call may succeed.
    MayHelp,
    /// It fails until somebody changes something.
    Never,
}

impl StoreError {
    /// Whether trying again can help.
    pub fn retry(&self) -> Retry {
        match self.kind {
            StoreErrorKind::Throttled { .. } | StoreErrorKind::Transient => Retry::MayHelp,
            _ => Retry::Never,
        }
    }

    /// Whether the object was simply not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == StoreErrorKind::NotFound
    }

    /// Whether there is not even a place for objects.
    pub fn is_gone(&self) -> bool {
        self.kind == StoreErrorKind::Gone
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, backend, detail } = self;
        match kind {
            StoreErrorKind::Denied if key.is_empty() => write!(f, "{backend} refuses access: {detail}"),
            StoreErrorKind::Transient | StoreErrorKind::Other if key.is_empty() => write!(f, "{backend}: {detail}"),
            StoreErrorKind::Untrusted => write!(f, "{backend} is not to be trusted: {detail}"),
            StoreErrorKind::NotFound => write!(f, "{key} is missing in {backend}"),
            StoreErrorKind::Gone => write!(f, "{backend} is not there: {detail}"),
            StoreErrorKind::Denied => {
                write!(f, "{backend} refuses access to {key}: {detail}; check its permissions or credentials")
            }
            StoreErrorKind::Full => {
                write!(f, "{backend} has no space left for {key}: {detail}; free some and try again")
            }
            StoreErrorKind::Corrupt => write!(f, "{key} in {backend} is damaged: {detail}"),
            StoreErrorKind::Retained => write!(f, "{backend} keeps {key} from being changed or removed: {detail}"),
            StoreErrorKind::Throttled { .. } => write!(f, "{backend} asks for fewer requests ({key}): {detail}"),
            StoreErrorKind::InvalidKey => write!(f, "{key:?} is not a valid key"),
            StoreErrorKind::Transient | StoreErrorKind::Other => write!(f, "{key} in {backend}: {detail}"),
        }
    }
}

impl std::error::Error for StoreError {}
