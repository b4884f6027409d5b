//! Taking an exclusive lock.
//!
//! Where the store gives a key to one taker only: any shared one live? fail. Create the exclusive lock if there is none,
//! or replace a dead one that has not changed since. Then look at the shared ones again: any live? give it back and fail.
//!
//! Elsewhere: write an intent among the shared locks, and look at them: any other live? delete one's own and fail. An
//! exclusive lock live? the same. Then write the exclusive lock, for those who know of no intents, and look again. The
//! intent stays for as long as the lock is held, because the exclusive key proves nothing here: a taker that was held up
//! between looking and writing overwrites it at any later time.

use super::claim::{Claim, not_removed, too_slow};
use super::decide::Kind;
use super::error::LockError;
use super::fixed::Fixed;
use super::held::Held;
use super::{EXCLUSIVE_KEY, Locks};

/// Takes an exclusive lock.
pub(super) async fn take(locks: &Locks, operation: &str) -> Result<Held, LockError> {
    locks.conflicts(Kind::Exclusive, &[]).await?;
    let mut held = Held { claim: None, fixed: None };
    let mut taken = if locks.has_one_winner() {
        take_key(locks, operation, &mut held).await
    } else {
        announce(locks, operation, &mut held).await
    };
    if taken.is_ok() && !held.is_sure(locks) {
        taken = Err(too_slow(locks, EXCLUSIVE_KEY).into());
    }
    if let Err(refused) = taken {
        if let Err(error) = held.release(locks).await {
            not_removed(&error);
        }
        return Err(refused);
    }
    Ok(held)
}

async fn take_key(locks: &Locks, operation: &str, held: &mut Held) -> Result<(), LockError> {
    held.fixed = Some(Fixed::take(locks, operation).await?);
    locks.make_way(Kind::Exclusive, &[]).await
}

async fn announce(locks: &Locks, operation: &str, held: &mut Held) -> Result<(), LockError> {
    let intent = held.claim.insert(Claim::place(locks, Kind::Exclusive, operation).await?);
    let mut own = intent.ids.all();
    locks.conflicts(Kind::Exclusive, &own).await?;
    let fixed = held.fixed.insert(Fixed::take(locks, operation).await?);
    own.push(fixed.lock.id.clone());
    locks.make_way(Kind::Exclusive, &own).await
}
