//! Leases that live long, lose their line, sleep, and are overtaken.

use tokio_util::sync::CancellationToken;

use super::super::{LockLost, LostReason};
use super::*;
use crate::store::ObjectStore;

const HOUR: Duration = Duration::from_secs(3600);

fn reason(checked: Result<(), LockLost>) -> LostReason {
    checked.unwrap_err().reason
}

#[tokio::test(start_paused = true)]
async fn a_lease_outlives_its_ttl_many_times() {
    for store in stores() {
        for kind in [Shared, Exclusive] {
            let net = Net::new(MemoryStore::with(store.capabilities()));
            let lease = net.locks().acquire(kind, "backup").await.unwrap();
            for _ in 0..100 {
                pass(17).await;
                lease.check().unwrap();
                assert!(net.host(2).1.acquire(Exclusive, "prune").await.is_err());
            }
            lease.release().await.unwrap();
            assert_eq!(net.locks().list().await.unwrap(), []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_store_is_gone_is_lost_before_anybody_may_call_it_dead() {
    for store in stores() {
        for kind in [Shared, Exclusive] {
            for stalls in [true, false] {
                let net = Net::new(MemoryStore::with(store.capabilities()));
                let (line, locks) = net.host(1);
                let lease = locks.acquire(kind, "backup").await.unwrap();
                line.line().break_off(!stalls);
                line.line().stall(stalls);
                let before = net.clock.boottime();
                lease.watch().lost().await;
                assert!(net.clock.boottime() - before < Duration::from_secs(50));
                assert!(matches!(reason(lease.check()), LostReason::NotRefreshed { failures: 3, .. }));
                line.line().break_off(false);
                line.line().stall(false);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_failure_does_no_harm_whatever_became_of_the_writes() {
    for store in stores() {
        for kind in [Shared, Exclusive] {
            for fault in 0..3 {
                let net = Net::new(MemoryStore::with(store.capabilities()));
                let (line, locks) = net.host(1);
                let lease = locks.acquire(kind, "backup").await.unwrap();
                for _ in 0..10 {
                    let set = |on: bool| match fault {
                        0 => line.line().break_off(on),
                        1 => line.line().lose_answers(on),
                        _ => line.line().stall(on),
                    };
                    pass(25).await;
                    set(true);
                    pass(11).await;
                    set(false);
                    pass(10).await;
                    lease.check().unwrap();
                    assert!(net.host(2).1.acquire(Exclusive, "prune").await.is_err());
                }
                lease.release().await.unwrap();
                pass(61).await;
                net.host(2).1.acquire(Exclusive, "prune").await.unwrap();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_suspend_nothing_passes_until_it_is_known_that_nobody_was_there() {
    for store in stores() {
        for kind in [Shared, Exclusive] {
            let net = Net::new(MemoryStore::with(store.capabilities()));
            let lease = net.locks().acquire(kind, "backup").await.unwrap();
            for _ in 0..3 {
                net.clock.suspend(HOUR);
                assert_eq!(reason(lease.check()), LostReason::InDoubt);
                lease.watch().confirm().await.unwrap();
                lease.check().unwrap();
                assert!(net.host(2).1.acquire(Exclusive, "prune").await.is_err());
            }
            lease.release().await.unwrap();
            assert_eq!(net.locks().list().await.unwrap(), []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_lock_of_a_lease_is_known_as_its_own_also_after_renewals_and_in_the_middle_of_one() {
    for store in stores() {
        for kind in [Shared, Exclusive] {
            let net = Net::new(MemoryStore::with(store.capabilities()));
            let (line, locks) = net.host(1);
            let lease = locks.acquire(kind, "backup").await.unwrap();
            let watch = lease.watch();
            let first = locks.list().await.unwrap().remove(0).lock.unwrap();
            let own = async |most: usize| {
                let found = net.host(2).1.list().await.unwrap();
                assert!((1..=most).contains(&found.len()), "{found:?}");
                found.into_iter().for_each(|found| assert!(watch.owns(&found.lock.unwrap())));
            };
            own(2).await;
            net.clock.suspend(HOUR);
            watch.confirm().await.unwrap();
            own(2).await;
            assert!(watch.owns(&first), "who listed the old one asks later");
            line.line().set_latency(Duration::from_millis(100));
            net.clock.suspend(HOUR);
            let renewed = async { watch.confirm().await.unwrap() };
            let listed = async {
                for _ in 0..100 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    own(3).await;
                }
            };
            tokio::join!(renewed, listed);
            let other = net.host(2).1.list().await.unwrap();
            lease.release().await.unwrap();
            let later = locks.acquire(kind, "backup").await.unwrap();
            assert!(other.iter().all(|found| !later.watch().owns(found.lock.as_ref().unwrap())));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_overtaken_in_its_sleep_notices_even_if_the_other_has_left() {
    for store in stores() {
        for (kind, other) in [(Shared, Exclusive), (Exclusive, Shared), (Exclusive, Exclusive)] {
            for leaves in [false, true] {
                let net = Net::new(MemoryStore::with(store.capabilities()));
                let lease = net.locks().acquire(kind, "backup").await.unwrap();
                net.clock.suspend(HOUR);
                let overtakes = net.host(2).1.acquire(other, "prune").await.unwrap();
                if leaves {
                    overtakes.release().await.unwrap();
                } else {
                    std::mem::forget(overtakes);
                }
                let lost = reason(lease.watch().confirm().await);
                assert!(matches!(lost, LostReason::Gone | LostReason::Overtaken(_)), "{lost:?}");
                assert_eq!(lease.watch().lost().await.reason, lost);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_arrives_after_somebody_else_came_and_went_saves_nothing() {
    for store in stores() {
        for (kind, other) in [(Shared, Exclusive), (Exclusive, Shared), (Exclusive, Exclusive)] {
            let net = Net::new(MemoryStore::with(store.capabilities()));
            let (line, locks) = net.host(1);
            line.line().set_latency(Duration::from_millis(10));
            let lease = locks.acquire(kind, "backup").await.unwrap();
            tokio::time::sleep(Duration::from_millis(29_990)).await;
            // Somewhere in the middle of its refresh, it stops.
            for _ in 0..30 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            line.line().stall(true);
            net.clock.suspend(HOUR);
            net.host(2).1.acquire(other, "prune").await.unwrap().release().await.unwrap();
            line.line().stall(false);
            assert!(lease.watch().confirm().await.is_err(), "{kind:?} {other:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_lock_is_lost_at_the_next_refresh_and_not_written_again() {
    for store in stores() {
        for kind in [Shared, Exclusive] {
            let net = Net::new(MemoryStore::with(store.capabilities()));
            let lease = net.locks().acquire(kind, "backup").await.unwrap();
            assert!(!net.host(2).1.break_all().await.unwrap().is_empty());
            lease.watch().lost().await;
            assert_eq!(reason(lease.check()), LostReason::Gone);
            pass(1).await;
            assert!(net.keys().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_proof_asks_the_store_each_time_and_waits_for_one_that_fails() {
    for store in stores() {
        for kind in [Shared, Exclusive] {
            let net = Net::new(MemoryStore::with(store.capabilities()));
            let (line, locks) = net.host(1);
            let lease = locks.acquire(kind, "backup").await.unwrap();
            let watch = lease.watch();
            for _ in 0..3 {
                watch.prove().await.unwrap();
            }
            line.line().break_off(true);
            let mends = async {
                pass(3).await;
                line.line().break_off(false);
            };
            tokio::join!(async { watch.prove().await.unwrap() }, mends);
            net.host(2).1.break_all().await.unwrap();
            watch.confirm().await.unwrap();
            assert_eq!(reason(watch.prove().await), LostReason::Gone);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_proof_does_not_count_a_look_that_was_under_way_already() {
    let net = Net::new(MemoryStore::default());
    let (line, locks) = net.host(1);
    line.line().set_latency(Duration::from_secs(1));
    for milliseconds in (0..4000).step_by(100) {
        let lease = locks.acquire(Shared, "backup").await.unwrap();
        let watch = lease.watch();
        let broken = async {
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            net.host(2).1.break_all().await.unwrap();
            reason(watch.prove().await)
        };
        // This one may come in time.
        let (_, broken) = tokio::join!(watch.prove(), broken);
        assert_eq!(broken, LostReason::Gone);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_dropped_is_given_back_and_not_lost() {
    for store in stores() {
        for kind in [Shared, Exclusive] {
            let net = Net::new(MemoryStore::with(store.capabilities()));
            let lease = net.locks().acquire(kind, "backup").await.unwrap();
            let watch = lease.watch();
            drop(lease);
            assert_eq!(reason(watch.check()), LostReason::Released);
            let never = tokio::time::timeout(HOUR, watch.lost()).await;
            assert!(never.is_err(), "{never:?}");
            assert_eq!(net.locks().list().await.unwrap(), []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_kept_out_by_one_who_gave_up_while_it_took_a_lock() {
    for store in stores() {
        for kind in [Shared, Exclusive] {
            for milliseconds in (0..3000).step_by(100) {
                let net = Net::new(MemoryStore::with(store.capabilities()));
                let (line, locks) = net.host(milliseconds + 1);
                line.line().set_latency(Duration::from_millis(500));
                let _ = tokio::time::timeout(Duration::from_millis(milliseconds), locks.acquire(kind, "backup")).await;
                pass(10).await;
                assert_eq!(locks.list().await.unwrap(), []);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn work_ends_with_its_lease_and_says_why() {
    let net = Net::new(MemoryStore::default());
    let locks = net.locks();
    let outer = CancellationToken::new();
    let lease = locks.acquire(Shared, "backup").await.unwrap();
    let work = lease.during(&outer, |watch, cancel| async move {
        watch.check()?;
        cancel.cancelled().await;
        Err::<(), _>(watch.confirm().await.unwrap_err())
    });
    let (ended, broken) = tokio::join!(work, locks.break_all());
    assert_eq!((reason(ended), broken.unwrap().len()), (LostReason::Gone, 1));
    assert!(!outer.is_cancelled(), "only the work was cancelled, not what it is a part of");

    let lease = locks.acquire(Shared, "backup").await.unwrap();
    let done = lease.during(&outer, |_, cancel| async {
        outer.cancel();
        cancel.cancelled_owned().await;
        Ok::<_, LockLost>("cancelled from outside")
    });
    assert_eq!(done.await.unwrap(), "cancelled from outside");
    assert_eq!(locks.list().await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn work_that_fails_in_doubt_is_told_whether_its_lock_was_lost() {
    let net = Net::new(MemoryStore::default());
    let lease = net.locks().acquire(Shared, "backup").await.unwrap();
    let cancel = CancellationToken::new();
    let done = lease.during(&cancel, |_, _| async {
        net.clock.suspend(HOUR);
        std::mem::forget(net.host(2).1.acquire(Exclusive, "prune").await.unwrap());
        let itself =
            LockLost { operation: "what it found missing".to_owned(), reason: LostReason::Released, left: None };
        Err::<(), _>(itself)
    });
    let lost = reason(done.await);
    assert!(matches!(lost, LostReason::Gone | LostReason::Overtaken(_)), "{lost:?}");
}

#[tokio::test(start_paused = true)]
async fn a_release_in_the_middle_of_a_refresh_leaves_nothing() {
    for store in stores() {
        for kind in [Shared, Exclusive] {
            let net = Net::new(MemoryStore::with(store.capabilities()));
            let (line, locks) = net.host(1);
            line.line().set_latency(Duration::from_secs(1));
            let lease = locks.acquire(kind, "backup").await.unwrap();
            pass(31).await;
            lease.release().await.unwrap();
            pass(10).await;
            assert_eq!(locks.list().await.unwrap(), []);
        }
    }
}
