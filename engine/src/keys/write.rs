//! The one write of a change, and the proof that it is there.

use bytes::Bytes;

use super::KeyError;
use super::plan::{NewSlot, Plan, Step};
use super::slots::StoredSlot;
use crate::repository::{Repository, RepositoryError};
use crate::store::{ObjectStore, StoreError, StoreResult};

pub(super) async fn carry_out(repository: &Repository, plan: &Plan) -> Result<(), KeyError> {
    let store = &**repository.store();
    match &plan.step {
        Step::Add(new) => {
            let put = store.put_if_absent(&new.key(), new.bytes.clone()).await;
            settle(store, put, new, None, || KeyError::SlotExists { name: new.name.clone() }).await
        }
        Step::Replace(old, new) => {
            let put = store.put_if_unchanged(&new.key(), new.bytes.clone(), &old.version).await;
            settle(store, put, new, Some(&old.bytes), || changed(&old.name)).await
        }
        Step::Remove(old) => remove(store, old).await,
    }
}

/// Whether the new slot is what is stored now, however the write was answered: one that was delivered twice meets itself,
/// and is called a defeat. `before` is what was there.
async fn settle(
    store: &dyn ObjectStore,
    put: StoreResult<bool>,
    new: &NewSlot,
    before: Option<&Bytes>,
    lost: impl Fn() -> KeyError,
) -> Result<(), KeyError> {
    let found = match store.get(&new.key()).await {
        Ok(found) => Some(found),
        Err(error) if error.is_not_found() => None,
        Err(error) => return Err(unknown(&new.name, put.err().unwrap_or(error))),
    };
    match (found, put) {
        // The very bytes that were proven to open before they were written.
        (Some(found), _) if found == new.bytes => Ok(()),
        (_, Ok(false)) => Err(lost()),
        // It failed, and has changed nothing.
        (found, Err(error)) if found.as_ref() == before => Err(RepositoryError::from(error).into()),
        (_, Err(error)) => Err(unknown(&new.name, error)),
        (_, Ok(_)) => Err(put_back(store, new, before).await),
    }
}

/// The store said yes, and has stored something else: what was there before comes back.
async fn put_back(store: &dyn ObjectStore, new: &NewSlot, before: Option<&Bytes>) -> KeyError {
    let done = match before {
        Some(before) => store.put(&new.key(), before.clone()).await,
        None => store.delete(&new.key()).await,
    };
    let outcome = match done {
        Ok(()) => "what was there before was put back, so only the old credentials open the repository",
        Err(_) => "it could not be put back either: another slot has to open the repository until the store is mended",
    };
    let problem = "its bytes are not those that were written".to_owned();
    KeyError::NotProven { name: new.name.clone(), problem, outcome }
}

async fn remove(store: &dyn ObjectStore, old: &StoredSlot) -> Result<(), KeyError> {
    let key = old.key();
    let deleted = store.delete_if_unchanged(&key, &old.version).await;
    match (deleted, store.get(&key).await) {
        (_, Err(gone)) if gone.is_not_found() => Ok(()),
        (Ok(false), _) => Err(changed(&old.name)),
        (Err(error), Ok(found)) if found == old.bytes => Err(RepositoryError::from(error).into()),
        (Err(error), _) | (Ok(true), Err(error)) => Err(unknown(&old.name, error)),
        (Ok(true), Ok(_)) => Err(changed(&old.name)),
    }
}

fn changed(name: &str) -> KeyError {
    KeyError::Changed { name: name.to_owned() }
}

fn unknown(name: &str, cause: StoreError) -> KeyError {
    KeyError::Unknown { name: name.to_owned(), cause }
}
