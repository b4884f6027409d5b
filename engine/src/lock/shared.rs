//! Taking a shared lock: an exclusive one live? fail. Write one's own. An exclusive one live now? delete one's own and
//! fail. The second look is what an exclusive taker, who looks for shared locks after writing its own, relies on: of two
//! that overlap, at least one sees the other.

use super::Locks;
use super::claim::{Claim, not_removed, too_slow};
use super::decide::Kind;
use super::error::LockError;
use super::held::Held;

/// Takes a shared lock.
pub(super) async fn take(locks: &Locks, operation: &str) -> Result<Held, LockError> {
    locks.conflicts(Kind::Shared, &[]).await?;
    let claim = Claim::place(locks, Kind::Shared, operation).await?;
    let mut taken = locks.make_way(Kind::Shared, &claim.ids.all()).await;
    if taken.is_ok() && !claim.is_sure(locks) {
        taken = Err(too_slow(locks, &claim.lock.key()).into());
    }
    if let Err(refused) = taken {
        if let Err(error) = claim.withdraw(locks).await {
            not_removed(&error);
        }
        return Err(refused);
    }
    Ok(Held { claim: Some(claim), fixed: None })
}
