//! The same on a folder of this host, with its own clocks, and many takers at once.

use futures::future::join_all;

use super::super::{LockError, Refusal};
use super::*;
use crate::store::{LocalStore, ObjectStore};

fn locks(folder: &tempfile::TempDir) -> Locks {
    let store: Arc<dyn ObjectStore> = Arc::new(LocalStore::new(folder.path()));
    Locks::new(store, Sealer::new(None))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_exclusive_takers_exactly_one_gets_in() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let takers = (0..8).map(|_| {
            let locks = locks(&folder);
            tokio::spawn(async move { locks.acquire(Exclusive, "prune").await })
        });
        let mut won = Vec::new();
        for taken in join_all(takers).await {
            match taken.unwrap() {
                Ok(lease) => won.push(lease),
                Err(LockError::Held(refusal)) => {
                    assert!(matches!(*refusal, Refusal { kind: Exclusive, .. }), "{refusal}");
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(won.len(), 1, "round {round}");
        for lease in won {
            lease.check().unwrap();
            lease.release().await.unwrap();
        }
        assert_eq!(locks(&folder).list().await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_exclusive_taker_never_gets_in_beside_shared_ones() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..10 {
        let kinds = [Shared, Shared, Exclusive, Shared, Exclusive, Shared];
        let takers = kinds.map(|kind| {
            let locks = locks(&folder);
            tokio::spawn(async move { locks.acquire(kind, "work").await.ok().map(|lease| (kind, lease)) })
        });
        let held: Vec<_> = join_all(takers).await.into_iter().filter_map(Result::unwrap).collect();
        assert!(held.len() < 2 || held.iter().all(|(kind, _)| *kind == Shared), "{held:?}");
        for (_, lease) in held {
            lease.release().await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_clock_of_the_folder_is_this_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let locks = locks(&folder);
    assert_eq!(locks.skew(), None);
    locks.acquire(Shared, "backup").await.unwrap().release().await.unwrap();
    assert!(locks.skew().unwrap().abs() < TimeDelta::seconds(5), "{:?}", locks.skew());
}

#[tokio::test]
async fn a_host_whose_clock_is_wrong_agrees_with_the_others() {
    #[derive(Debug)]
    struct Wrong(super::super::SystemLockClock, TimeDelta);
    #[async_trait]
    impl LockClock for Wrong {
        fn boottime(&self) -> Duration {
            self.0.boottime()
        }
        fn wall(&self) -> DateTime<Utc> {
            self.0.wall() + self.1
        }
        async fn sleep_until(&self, deadline: Duration) {
            self.0.sleep_until(deadline).await;
        }
    }
    for hours in [-5, 5] {
        let folder = tempfile::tempdir().unwrap();
        let wrong = locks(&folder).with_clock(Arc::new(Wrong(super::super::SystemLockClock, TimeDelta::hours(hours))));
        let lease = locks(&folder).acquire(Shared, "backup").await.unwrap();
        assert!(wrong.acquire(Exclusive, "prune").await.is_err());
        lease.release().await.unwrap();
        let lease = wrong.acquire(Exclusive, "prune").await.unwrap();
        assert!(locks(&folder).acquire(Shared, "backup").await.is_err());
        assert!((wrong.skew().unwrap() + TimeDelta::hours(hours)).abs() < TimeDelta::seconds(5));
        lease.release().await.unwrap();
    }
}
