//! Removing all locks by force. It asks nobody: whoever holds one finds out at its next refresh, and until then two may
//! work that should not. That is for the user to know.

use super::list::{FoundLock, is_released};
use super::{EXCLUSIVE_KEY, Locks};
use crate::store::StoreError;

/// How often an exclusive lock that changes while it is removed is looked at again before it is removed unseen.
const LOOKS: usize = 3;

impl Locks {
    /// Removes every lock, whoever holds it, and tells what each one said, also of those that cannot be read.
    pub async fn break_all(&self) -> Result<Vec<FoundLock>, StoreError> {
        let mut broken = Vec::new();
        for mut seen in self.look_at_all().await? {
            let mut is_removed = false;
            if seen.key == EXCLUSIVE_KEY {
                // What is told must be what was removed, though its holder rewrites it at this moment.
                for _ in 0..LOOKS {
                    is_removed = self.store.delete_if_unchanged(&seen.key, &seen.version).await?;
                    match self.look(&seen.key).await? {
                        Some(changed) if !is_removed => seen = changed,
                        _ => break,
                    }
                }
            }
            if !is_removed {
                self.store.delete(&seen.key).await?;
            }
            if !is_released(&seen) {
                broken.push(FoundLock::from(seen));
            }
        }
        Ok(broken)
    }
}
