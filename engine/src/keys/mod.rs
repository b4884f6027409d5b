//! The key slots of a repository: listing and changing them.
//!
//! Every slot wraps the same master key, so a change of slots changes no object, and what is open stays open. Why nobody
//! is locked out: a new slot is proven to open before it is written, and again as it was stored before success is told;
//! one that is replaced is replaced by a single atomic write, on condition that it is the one that was read; and the last
//! slot is never removed. So whatever is cut off, the slots that are there open the repository, and the credential that
//! opened it before still does unless its own slot was what the change was about.
//!
//! A change needs an exclusive lock: of two at once, each could remove the slot that the other relies on. It needs the
//! credentials, because the master key itself is not kept in memory.

mod plan;
mod slots;
mod write;

use std::sync::Arc;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::lock::{LeaseWatch, LockLost};
use crate::repository::{Credential, Repository, RepositoryError};
use crate::store::StoreError;
use slots::Slots;

pub use slots::{SlotInfo, SlotList, list};

/// The label of a slot that is given none.
pub const DEFAULT_LABEL: &str = "default";

/// A change of the key slots.
#[derive(Debug, Clone)]
pub struct KeyRequest {
    /// What the master key is found with.
    pub credentials: Vec<Credential>,
    /// What to change.
    pub change: KeyChange,
    /// Check everything, but write nothing.
    pub dry_run: bool,
    /// An exclusive lock; [`LeaseWatch::not_needed`] for a dry run.
    pub lease: LeaseWatch,
}

/// What can be changed. `Debug` never shows a secret.
#[derive(Debug, Clone)]
pub enum KeyChange {
    /// The password slot with this label gets a new password; without a label the only one, and if there is none, one is
    /// made.
    SetPassword {
        /// Which slot.
        label: Option<String>,
        /// The new password.
        password: SecretString,
    },
    /// One more password, beside those that there are.
    AddPassword {
        /// Of the new slot.
        label: String,
        /// The password.
        password: SecretString,
    },
    /// A slot for a platform key.
    AddPlatformKey {
        /// Of the new slot.
        label: String,
        /// 64 hex digits.
        key: SecretString,
    },
    /// A slot for new recovery words.
    AddRecovery {
        /// Of the new slot.
        label: String,
    },
    /// A slot is removed.
    Remove {
        /// Its name, `password-default`.
        slot: String,
        /// Even if none of [`KeyRequest::credentials`] opens any of the others.
        force: bool,
    },
}

/// What [`change`] did.
#[derive(Debug)]
pub struct KeyReport {
    /// The slot, `password-default`.
    pub slot: String,
    /// Whether it was there before.
    pub replaced: bool,
    /// Whether one of the request's credentials opens the repository from now on.
    pub opens_with_given: bool,
    /// New recovery words, to be shown once.
    pub words: Option<SecretString>,
}

/// Why the key slots are as they were, unless it says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The repository lock was lost.
    #[error(transparent)]
    LockLost(#[from] LockLost),
    /// There are no keys.
    #[error("{store} is not encrypted, so it has no keys: make an encrypted repository and copy the snapshots there")]
    NotEncrypted {
        /// The store.
        store: String,
    },
    /// No slot of that name.
    #[error("there is no key slot {name:?}; there are {known}")]
    NoSuchSlot {
        /// What was asked for.
        name: String,
        /// The names of those that there are.
        known: String,
    },
    /// Several slots could be meant.
    #[error("there are several password slots ({slots}): say which one with its label")]
    Ambiguous {
        /// Their names.
        slots: String,
    },
    /// One of that name is there.
    #[error("there is a key slot {name} already: give the new one another label, or remove that one first")]
    SlotExists {
        /// Its name.
        name: String,
    },
    /// The label cannot be part of a key.
    #[error("{label:?} cannot be a label: use 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-', and no '.' first")]
    BadLabel {
        /// What was given.
        label: String,
    },
    /// The new secret.
    #[error("{0}")]
    BadSecret(&'static str),
    /// Only AWS can make use of it.
    #[error("{name} is opened by AWS KMS, which this program leaves alone: change it with the program that made it")]
    Foreign {
        /// The slot.
        name: String,
    },
    /// Nothing would open the repository any more.
    #[error("{name} is the last key slot that can open the repository: add another one first")]
    LastSlot {
        /// Its name.
        name: String,
    },
    /// The caller would be locked out.
    #[error(
        "{name} is the last key slot that the configured credentials open: configure a credential of another slot first, \
         or use --force if somebody has one"
    )]
    LastConfigured {
        /// Its name.
        name: String,
    },
    /// Somebody else was at it.
    #[error("key slot {name} was changed by somebody else meanwhile: look at the key slots, and try again")]
    Changed {
        /// Its name.
        name: String,
    },
    /// The stored slot is not what was written.
    #[error("key slot {name} was stored, and what is there does not open ({problem}); {outcome}")]
    NotProven {
        /// Its name.
        name: String,
        /// What was found.
        problem: String,
        /// What became of it.
        outcome: &'static str,
    },
    /// The store failed in the middle.
    #[error(
        "{cause}; it is not known whether key slot {name} was changed before that: keep the old credential and the new \
         one, and look at the key slots when the store works again"
    )]
    Unknown {
        /// Its name.
        name: String,
        /// What the store says.
        cause: StoreError,
    },
    /// Cancelled.
    #[error("cancelled; the key slots are as they were")]
    Cancelled,
}

/// Changes the key slots. The open repository goes on working whatever becomes of the slot that it was opened with.
///
/// # Errors
/// See [`KeyError`]: after all but [`KeyError::NotProven`] and [`KeyError::Unknown`], everything is as it was.
pub async fn change(
    repository: Arc<Repository>,
    request: KeyRequest,
    cancel: CancellationToken,
) -> Result<KeyReport, KeyError> {
    let KeyRequest { credentials, change, dry_run, lease } = request;
    let store = repository.store();
    if !repository.marker().encrypted {
        return Err(KeyError::NotEncrypted { store: store.describe() });
    }
    lease.confirm().await?;
    // A slot that is written into a repository made in this one's place would open nothing.
    repository.prove_identity().await?;
    let slots = Arc::new(Slots::read(&**store).await?);
    let planning = {
        let (repository, slots, credentials) = (Arc::clone(&repository), Arc::clone(&slots), credentials.clone());
        tokio::task::spawn_blocking(move || plan::plan(&repository, &slots, &credentials, change, dry_run))
    };
    let plan = planning.await.map_err(RepositoryError::from)??;
    if cancel.is_cancelled() {
        return Err(KeyError::Cancelled);
    }
    if !dry_run {
        lease.prove().await?;
        write::carry_out(&repository, &plan).await?;
        repository.identify_by(plan.identity());
    }
    Ok(plan.into_report())
}
