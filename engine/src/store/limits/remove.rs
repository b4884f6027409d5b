//! Removing many objects with one call: what is left of them is tried again, and what is gone is not.

use tokio::time::timeout;

use super::tries::Tries;
use super::{LOCKS, LimitedStore};
use crate::store::{Retry, StoreError, StoreOperation, StoreResult};

/// What the removal of one object counts as, in bytes, for the deadline of all: backends may do it one by one.
const EACH: u64 = 4 << 10;

impl LimitedStore {
    pub(super) async fn remove(&self, keys: &[String]) -> StoreResult<Vec<StoreError>> {
        let deadline = self.limits.deadline(EACH * keys.len() as u64);
        let once = async |left: &[String]| {
            let key = left.first().map_or("", String::as_str);
            timeout(deadline, self.inner.delete_many(left)).await.unwrap_or_else(|_| Err(self.no_answer(key, deadline)))
        };
        if keys.iter().any(|key| key.starts_with(LOCKS)) {
            return once(keys).await;
        }
        let (mut left, mut failed) = (keys.to_vec(), Vec::new());
        let mut tries = Tries::new(StoreOperation::Delete);
        loop {
            self.health.admit()?;
            let error = match once(&left).await {
                Ok(errors) => {
                    let (again, never): (Vec<_>, Vec<_>) =
                        errors.into_iter().partition(|error| error.retry() == Retry::MayHelp);
                    failed.extend(never);
                    if again.len() < left.len() {
                        self.health.answered(&self.name);
                        tries.got_on();
                    }
                    let Some(first) = again.first().cloned() else { return Ok(failed) };
                    left = again.into_iter().map(|error| error.key).collect();
                    first
                }
                Err(error) => error,
            };
            self.endure(&mut tries, error).await?;
        }
    }
}
