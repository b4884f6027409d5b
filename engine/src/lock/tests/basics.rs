//! Taking, refusing, listing and breaking.

use bytes::Bytes;

use super::super::{EXCLUSIVE_KEY, LockError, SHARED_PREFIX, Stale, Standing};
use super::*;

const LONG: Duration = Duration::from_secs(61);

#[tokio::test(start_paused = true)]
async fn shared_holders_work_together_and_an_exclusive_one_alone() {
    for store in stores() {
        let net = Net::new(store);
        let locks = net.locks();
        let (first, second) =
            (locks.acquire(Shared, "backup").await.unwrap(), locks.acquire(Shared, "restore").await.unwrap());
        let before = net.keys();
        let refused = locks.acquire(Exclusive, "prune").await.unwrap_err();
        assert!(refused.to_string().starts_with("repository is in use by "), "{refused}");
        assert_eq!(net.keys(), before, "what was refused leaves nothing behind");
        first.release().await.unwrap();
        second.release().await.unwrap();

        let alone = locks.acquire(Exclusive, "prune").await.unwrap();
        // The exclusive key comes first.
        let lock = locks.list().await.unwrap().remove(0).lock.unwrap();
        for (kind, operation) in [(Shared, "backup"), (Exclusive, "prune")] {
            let refused = locks.acquire(kind, operation).await.unwrap_err();
            let LockRecord { holder, acquired_at, expires_at, .. } = &lock;
            let said = refused.to_string();
            let held = format!("(operation: prune, acquired: {acquired_at}, expires: {expires_at})");
            assert!(said.contains(holder) && said.starts_with("repository is "), "{said}");
            assert!(said.contains(&held) || !locks.has_one_winner(), "{said}");
        }
        alone.release().await.unwrap();
        assert_eq!(locks.list().await.unwrap(), []);
        locks.acquire(Shared, "backup").await.unwrap().release().await.unwrap();
        locks.acquire(Exclusive, "prune").await.unwrap().release().await.unwrap();
        assert_eq!(locks.list().await.unwrap(), []);
    }
}

#[tokio::test(start_paused = true)]
async fn the_dead_keep_nobody_out_and_are_removed() {
    for store in stores() {
        let net = Net::new(store);
        let locks = net.locks();
        for kind in [Shared, Exclusive] {
            for taken in [Shared, Exclusive] {
                net.put(&foreign(&net, kind, LONG));
                let lease = locks.acquire(taken, "backup").await.unwrap();
                lease.release().await.unwrap();
                let left = locks.list().await.unwrap();
                let passed_by = (kind, taken) == (Shared, Shared) || (taken == Shared && !locks.has_one_winner());
                assert_eq!(left.is_empty(), !passed_by, "{kind:?} {taken:?} {left:?}");
                net.store.objects().clear();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_living_are_left_alone() {
    for store in stores() {
        let net = Net::new(store);
        for kind in [Shared, Exclusive] {
            net.put(&foreign(&net, kind, Duration::from_secs(59)));
            let before = net.store.objects().clone();
            assert!(matches!(net.locks().acquire(Exclusive, "prune").await, Err(LockError::Held(_))));
            assert_eq!(*net.store.objects(), before);
            net.store.objects().clear();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_of_this_host_left_is_seen_at_once() {
    for store in stores() {
        let net = Net::new(store);
        let locks = net.locks();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mut identity = locks.host.identity().clone();
        identity.pid = child.id();
        child.wait().unwrap();
        net.put(&LockRecord::new("prune", &identity, net.clock.wall(), super::super::TTL).unwrap());
        let [found] = &locks.list().await.unwrap()[..] else { panic!("one lock") };
        assert_eq!(found.standing, Standing::Stale(Stale::ProcessGone));
        locks.acquire(Shared, "backup").await.unwrap().release().await.unwrap();
        locks.acquire(Exclusive, "prune").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_counts_as_held_until_it_is_broken() {
    for store in stores() {
        let net = Net::new(store);
        let locks = net.locks();
        let shared = format!("{SHARED_PREFIX}nonsense");
        for (key, kinds) in [(EXCLUSIVE_KEY, [Shared, Exclusive].as_slice()), (&shared, &[Exclusive])] {
            net.store.objects().insert(key.to_owned(), Bytes::from_static(b"nonsense"));
            for kind in kinds {
                let refused = locks.acquire(*kind, "backup").await.unwrap_err();
                assert!(refused.to_string().contains("break-lock"), "{refused}");
            }
            let [broken] = &locks.break_all().await.unwrap()[..] else { panic!("one lock") };
            assert_eq!((broken.key.as_str(), &broken.lock), (key, &None));
            locks.acquire(Exclusive, "prune").await.unwrap().release().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn breaking_removes_the_living_and_the_dead_and_tells_of_each() {
    for store in stores() {
        let net = Net::new(store);
        let locks = net.locks();
        assert_eq!(locks.break_all().await.unwrap(), []);
        net.put(&foreign(&net, Exclusive, LONG));
        net.put(&foreign(&net, Shared, Duration::ZERO));
        let listed = locks.list().await.unwrap();
        let standings: Vec<_> = listed.iter().map(|found| (found.kind, found.standing)).collect();
        assert_eq!(standings, [(Exclusive, Standing::Stale(Stale::Expired)), (Shared, Standing::Live)]);
        assert_eq!(locks.break_all().await.unwrap(), listed);
        assert!(net.keys().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_waits_gets_in_when_the_other_leaves_and_gives_up_in_time() {
    for store in stores() {
        let net = Net::new(store);
        let locks = net.locks();
        let lease = locks.acquire(Shared, "backup").await.unwrap();
        let before = net.clock.boottime();
        let refused = locks.acquire_with(Exclusive, "prune", Duration::from_secs(90)).await.unwrap_err();
        assert!(matches!(refused, LockError::Held(_)));
        assert_eq!((net.clock.boottime() - before).as_secs(), 90);
        let leaves = async {
            pass(100).await;
            lease.release().await.unwrap();
        };
        let (taken, ()) = tokio::join!(locks.acquire_with(Exclusive, "prune", Duration::from_secs(3600)), leaves);
        taken.unwrap();
        assert!((net.clock.boottime() - before).as_secs() <= 90 + 100 + 11);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_could_not_be_written_for_certain_is_taken_back() {
    for store in stores() {
        let net = Net::new(store);
        let (line, locks) = net.host(1);
        line.line().set_latency(Duration::from_millis(100));
        for kind in [Shared, Exclusive] {
            let loses_an_answer = async {
                tokio::time::sleep(Duration::from_millis(150)).await;
                line.line().lose_answers(true);
                tokio::time::sleep(Duration::from_millis(150)).await;
                line.line().lose_answers(false);
            };
            let (taken, ()) = tokio::join!(locks.acquire(kind, "backup"), loses_an_answer);
            assert!(matches!(taken, Err(LockError::Store(_)) | Ok(_)));
            drop(taken);
            pass(61).await;
            net.host(2).1.acquire(Exclusive, "prune").await.unwrap().release().await.unwrap();
        }
    }
}
