//! Taking and keeping a shared lock: an exclusive one live? fail. Write one's own. An exclusive one live now? delete
//! one's own and fail. The second look is what an exclusive taker, who looks for shared locks after writing its own,
//! relies on: of two that overlap, at least one sees the other.

use std::sync::Arc;

use bytes::Bytes;
use chrono::Utc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::record::LockRecord;
use super::{EXCLUSIVE_KEY, REFRESH};
use crate::crypto::Sealer;
use crate::store::{ObjectStore, StoreError};

/// A lock that was refused or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody works alone on the repository.
    #[error(
        "repository is exclusively locked by {} (operation: {}, acquired: {}, expires: {})",
        .0.holder, .0.operation, .0.acquired_at, .0.expires_at
    )]
    Held(Box<LockRecord>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random numbers.
    #[error("a lock cannot be made: {0}")]
    System(String),
}

/// A shared lock that is held and refreshed until it is released. Dropping it stops the refresh, so that it dies by
/// itself.
#[derive(Debug)]
pub struct SharedLock {
    store: Arc<dyn ObjectStore>,
    key: String,
    refresh: DropGuard,
    refresher: tokio::task::JoinHandle<()>,
}

impl SharedLock {
    /// Takes a shared lock for `operation`.
    pub async fn acquire(store: Arc<dyn ObjectStore>, sealer: &Sealer, operation: &str) -> Result<Self, LockError> {
        refuse_exclusive(&*store, sealer).await?;
        let lock =
            LockRecord::new(operation, true, Utc::now()).map_err(|cause| LockError::System(cause.to_string()))?;
        let key = lock.key();
        store.put(&key, Bytes::from(lock.encode())).await?;
        if let Err(refused) = refuse_exclusive(&*store, sealer).await {
            store.delete(&key).await?;
            return Err(refused);
        }
        let stop = CancellationToken::new();
        let refresher = tokio::spawn(keep(Arc::clone(&store), lock, stop.clone()));
        Ok(Self { store, key, refresh: stop.drop_guard(), refresher })
    }

    /// Gives the lock back.
    pub async fn release(self) -> Result<(), StoreError> {
        drop(self.refresh);
        // A refresh under way must not write the lock again after it was deleted.
        let _ = self.refresher.await;
        self.store.delete(&self.key).await
    }
}

/// Does `work` under a shared lock.
pub async fn while_shared<T, E: From<LockError>>(
    store: &Arc<dyn ObjectStore>,
    sealer: &Sealer,
    operation: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let lock = SharedLock::acquire(Arc::clone(store), sealer, operation).await?;
    let result = work.await;
    if let Err(error) = lock.release().await {
        tracing::warn!(%error, "a repository lock could not be removed; it expires by itself");
    }
    result
}

async fn refuse_exclusive(store: &dyn ObjectStore, sealer: &Sealer) -> Result<(), LockError> {
    match store.get(EXCLUSIVE_KEY).await {
        Ok(stored) => match LockRecord::decode(sealer, &stored) {
            Some(lock) if !lock.is_live(Utc::now()) => Ok(()),
            Some(lock) => Err(LockError::Held(Box::new(lock))),
            None => Err(LockError::Held(Box::new(unreadable()))),
        },
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Stands for a lock that is there and cannot be read: it counts as live.
fn unreadable() -> LockRecord {
    let unknown = || "unknown".to_owned();
    LockRecord {
        operation: unknown(),
        holder: "somebody whose lock cannot be read".to_owned(),
        acquired_at: unknown(),
        expires_at: unknown(),
        is_shared: false,
        id: String::new(),
        boot_id: String::new(),
        pid_start: 0,
    }
}

async fn keep(store: Arc<dyn ObjectStore>, mut lock: LockRecord, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(REFRESH) => {}
        }
        lock.extend(Utc::now());
        if let Err(error) = store.put(&lock.key(), Bytes::from(lock.encode())).await {
            tracing::warn!(%error, "a repository lock could not be refreshed");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::store::MemoryStore;

    fn store_with(exclusive: &LockRecord) -> Arc<MemoryStore> {
        let store = MemoryStore::default();
        store.objects().insert(EXCLUSIVE_KEY.to_owned(), exclusive.encode().into());
        Arc::new(store)
    }

    #[tokio::test]
    async fn an_exclusive_holder_keeps_others_out_and_is_named() {
        let exclusive = LockRecord::new("prune", false, Utc::now()).unwrap();
        let store = store_with(&exclusive);
        let refused = SharedLock::acquire(store.clone(), &Sealer::new(None), "backup").await.unwrap_err();
        assert!(refused.to_string().contains("operation: prune"), "{refused}");
        assert_eq!(store.objects().len(), 1);
    }

    #[tokio::test]
    async fn a_dead_exclusive_lock_keeps_nobody_out() {
        let exclusive = LockRecord::new("prune", false, Utc::now() - TimeDelta::seconds(61)).unwrap();
        let store = store_with(&exclusive);
        let lock = SharedLock::acquire(store.clone(), &Sealer::new(None), "backup").await.unwrap();
        assert_eq!(store.objects().len(), 2);
        lock.release().await.unwrap();
        assert_eq!(store.objects().len(), 1);
    }

    #[tokio::test]
    async fn a_lock_that_cannot_be_read_counts_as_held() {
        let store = Arc::new(MemoryStore::default());
        store.objects().insert(EXCLUSIVE_KEY.to_owned(), "nonsense".into());
        assert!(SharedLock::acquire(store, &Sealer::new(None), "backup").await.is_err());
    }
}
