//! Taking a shared lock: an exclusive one live? fail. Write one's own. An exclusive one live now? delete one's own and
//! fail. The second look is what an exclusive taker, who looks for shared locks after writing its own, relies on: of two
//! that overlap, at least one sees the other.

use std::sync::Arc;

use super::Locks;
use super::claim::{Claim, too_slow};
use super::decide::Kind;
use super::error::LockError;
use super::held::Held;
use crate::crypto::Sealer;
use crate::store::ObjectStore;

/// Takes a shared lock.
pub(super) async fn take(locks: &Locks, operation: &str) -> Result<Held, LockError> {
    locks.conflicts(Kind::Shared, &[]).await?;
    let claim = Claim::place(locks, Kind::Shared, operation).await?;
    let mut taken = locks.make_way(Kind::Shared, &claim.ids).await;
    if taken.is_ok() && !claim.is_sure(locks) {
        taken = Err(too_slow(locks, &claim.lock.key()).into());
    }
    if let Err(refused) = taken {
        claim.withdraw(locks).await?;
        return Err(refused);
    }
    Ok(Held { claim: Some(claim), fixed: None })
}

/// Does `work` under a shared lock, and fails if that was lost before it ended.
pub async fn while_shared<T, E: From<LockError>>(
    store: &Arc<dyn ObjectStore>,
    sealer: &Sealer,
    operation: &str,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let lease = Locks::new(Arc::clone(store), sealer.clone()).acquire(Kind::Shared, operation).await?;
    let result = work.await;
    let still_held = lease.watch().confirm().await;
    if let Err(error) = lease.release().await {
        tracing::warn!(%error, "a repository lock could not be removed; it expires by itself");
    }
    let result = result?;
    still_held.map_err(|lost| LockError::System(lost.to_string()))?;
    Ok(result)
}
