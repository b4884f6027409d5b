//! Locks that are refused, and locks that are lost.

use std::fmt;

use super::decide::Kind;
use super::record::LockRecord;
use crate::store::StoreError;

/// A lock that was refused or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds one that conflicts.
    #[error(transparent)]
    Held(Box<Refusal>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random numbers, or the runtime is ending.
    #[error("{0}")]
    System(String),
}

/// Who stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The kind of the lock that is in the way.
    pub kind: Kind,
    /// The lock; `None` if it is there and cannot be read.
    pub lock: Option<LockRecord>,
    /// Its key.
    pub key: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locked = match self.kind {
            Kind::Exclusive => "repository is exclusively locked by",
            Kind::Shared => "repository is in use by",
        };
        match &self.lock {
            Some(LockRecord { holder, operation, acquired_at, expires_at, .. }) => {
                write!(f, "{locked} {holder} (operation: {operation}, acquired: {acquired_at}, expires: {expires_at})")
            }
            None => write!(f, "{locked} somebody whose lock {} cannot be read; `break-lock` removes it", self.key),
        }
    }
}

/// A lock that its holder must not rely on any more. Whatever was not committed yet must not be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the repository lock of this {operation} was lost: {reason}; {}", aftermath(.left.as_deref()))]
pub struct LockLost {
    /// The operation that held it.
    pub operation: String,
    /// Why.
    pub reason: LostReason,
    /// The key of a snapshot that was written when the lock was lost, and could not be removed again.
    pub left: Option<String>,
}

fn aftermath(left: Option<&str>) -> String {
    match left {
        None => "nothing more was written, run it again".to_owned(),
        Some(snapshot) => format!(
            "{snapshot} may have been written before that was known and could not be removed, and a prune may have \
             deleted what it needs: forget that snapshot if it is listed, and run this again"
        ),
    }
}

/// Why a lock was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LostReason {
    /// The lock is not there any more.
    #[error("somebody removed it, with break-lock or because it had expired")]
    Gone,
    /// Somebody else holds one that conflicts.
    #[error("{0}")]
    Overtaken(Box<Refusal>),
    /// It expired, and whether somebody else was there since cannot be told.
    #[error("it expired while this host did not run or did not reach the store")]
    Expired,
    /// It could not be refreshed, too often in a row.
    #[error("it could not be refreshed {failures} times in a row, last because {cause}")]
    NotRefreshed {
        /// How often.
        failures: u32,
        /// The last failure.
        cause: String,
    },
    /// It was not refreshed for so long that somebody may call it dead. It may turn out to be held still.
    #[error("it is not certain that it is still held")]
    InDoubt,
    /// It was given back.
    #[error("it was given back")]
    Released,
}
