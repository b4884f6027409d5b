//! What is on its way to the store, and what failed there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::lock::LockLost;
use crate::repository::RepositoryError;
use crate::store::StoreError;

/// Something that is sent as a whole, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Parcel {
    /// An object by itself.
    Alone(u32),
    /// A pack.
    Pack(u32),
}

/// The parcels on their way. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Sending {
    under_way: watch::Sender<BTreeSet<Parcel>>,
    failure: Arc<Mutex<Option<Failure>>>,
}

/// Why nothing more is sent.
#[derive(Debug, Clone)]
enum Failure {
    Store(StoreError),
    Lock(LockLost),
    Other(String),
}

/// A parcel until it has arrived. If it is dropped before, it is lost.
#[derive(Debug)]
pub(super) struct Flight {
    sending: Sending,
    parcel: Parcel,
    has_ended: bool,
}

impl Sending {
    /// Begins to send a parcel.
    pub(super) fn begin(&self, parcel: Parcel) -> Flight {
        self.under_way.send_modify(|under_way| {
            under_way.insert(parcel);
        });
        Flight { sending: self.clone(), parcel, has_ended: false }
    }

    /// Whether a parcel has neither arrived nor failed.
    pub(super) fn is_under_way(&self, parcel: Parcel) -> bool {
        self.under_way.borrow().contains(&parcel)
    }

    /// Waits until no object by itself is on its way that has this number or a lower one.
    pub(super) async fn alone_until(&self, last: u32) {
        self.wait_for(|under_way| under_way.range(..=Parcel::Alone(last)).next().is_none()).await;
    }

    /// Waits until nothing is on its way.
    pub(super) async fn nothing(&self) {
        self.wait_for(BTreeSet::is_empty).await;
    }

    async fn wait_for(&self, is_so: impl FnMut(&BTreeSet<Parcel>) -> bool) {
        // Fails only without a sender, and this is one.
        let _ = self.under_way.subscribe().wait_for(is_so).await;
    }

    /// The first thing that failed, if anything has.
    pub(super) fn check(&self) -> Result<(), RepositoryError> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(Failure::Store(error)) => Err(error.clone().into()),
            Some(Failure::Lock(lost)) => Err(lost.clone().into()),
            Some(Failure::Other(problem)) => Err(RepositoryError::System(problem.clone())),
            None => Ok(()),
        }
    }

    /// Nothing more is sent. What fails first is what is told.
    pub(super) fn fail(&self, error: &RepositoryError) {
        self.give_up(error.into());
    }

    fn give_up(&self, failure: Failure) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }
}

impl Flight {
    /// Whoever waits for the parcel goes on.
    pub(super) fn end(mut self, result: Result<(), RepositoryError>) {
        if let Err(error) = &result {
            self.sending.fail(error);
        }
        self.has_ended = true;
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        // Before others go on.
        if !self.has_ended {
            self.sending.give_up(Failure::Other("what was to be stored was given up".to_owned()));
        }
        self.sending.under_way.send_modify(|under_way| {
            under_way.remove(&self.parcel);
        });
    }
}

impl From<&RepositoryError> for Failure {
    fn from(error: &RepositoryError) -> Self {
        match error {
            RepositoryError::Store(error) => Self::Store(error.clone()),
            RepositoryError::LockLost(lost) => Self::Lock(lost.clone()),
            RepositoryError::System(problem) => Self::Other(problem.clone()),
            other => Self::Other(other.to_string()),
        }
    }
}
