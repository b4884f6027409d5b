//! On tokio's clock, which does not wait.
#![allow(clippy::unwrap_used, clippy::panic)]

mod rates;
mod scripted;

use std::time::Duration;

use futures::future::join_all;
use futures::stream::TryStreamExt;
use proptest::prelude::*;
use tokio::time::{Instant, advance};

use super::*;
use crate::store::hooked::{Hook, HookedStore};
use crate::store::{MemoryStore, StoreErrorKind, conformance};
use scripted::{Fault, Scripted};

fn limits() -> StoreLimits {
    StoreLimits { tries: 4, ..StoreLimits::default() }
}

/// Waits as long as it may.
fn limited(store: &Arc<HookedStore<Scripted>>) -> LimitedStore {
    LimitedStore::new(store.clone(), limits(), Arc::default()).with_random(Arc::new(|| 1.0))
}

const THROTTLED: StoreErrorKind = StoreErrorKind::Throttled { retry_after: Some(Duration::from_secs(100)) };

#[tokio::test]
async fn keeps_the_contract() {
    for store in [MemoryStore::default(), MemoryStore::not_atomic(), MemoryStore::without_conditional_delete()] {
        let inner: Arc<dyn ObjectStore> = Arc::new(store);
        let store = LimitedStore::new(Arc::clone(&inner), StoreLimits::default(), Arc::default());
        assert_eq!((store.capabilities(), store.describe()), (inner.capabilities(), inner.describe()));
        conformance::check(&store).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_tried_again_after_longer_and_longer_waits() {
    let store = Scripted::new([Fault::Unsent(StoreErrorKind::Transient); 3]);
    let meter = Arc::<Meter>::default();
    let limited = limited(&store).counting_retries(Arc::clone(&meter));
    limited.put("chunk/a", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!((meter.count(StoreOperation::Put).retries, meter.count(StoreOperation::Get).retries), (3, 0));
    let waits: Vec<_> = store.hook.times().windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
    assert_eq!(waits, [500, 1000, 2000]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_pass_is_not_tried_again() {
    for kind in [StoreErrorKind::Denied, StoreErrorKind::Full, StoreErrorKind::Untrusted, StoreErrorKind::NotFound] {
        let store = Scripted::new([Fault::Unsent(kind)]);
        assert_eq!(limited(&store).get("chunk/a").await.unwrap_err().kind, kind);
        assert_eq!(store.hook.times().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_asks_for_time_is_given_it() {
    let store = Scripted::new([Fault::Unsent(THROTTLED)]);
    let start = Instant::now();
    limited(&store).put("chunk/a", Bytes::new()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_millis(100_500));
    // But not for ever.
    let store = Scripted::new([Fault::Unsent(THROTTLED); 9]);
    assert_eq!(limited(&store).put("chunk/a", Bytes::new()).await.unwrap_err().kind, THROTTLED);
    assert_eq!(store.hook.times().len(), 3);
}

/// On a slow line a request takes longer than anybody would wait for a store that is throttled.
#[tokio::test(start_paused = true)]
async fn a_request_that_took_long_and_was_refused_for_a_while_is_tried_again() {
    #[derive(Debug, Default)]
    struct Slow(std::sync::atomic::AtomicBool);

    impl Hook for Slow {
        async fn before(&self, _: StoreOperation, key: &str) -> StoreResult<()> {
            // On a clock that does not wait.
            tokio::time::sleep(Duration::from_secs(400)).await;
            if self.0.swap(true, std::sync::atomic::Ordering::Relaxed) {
                return Ok(());
            }
            let (key, backend, detail) = (key.to_owned(), "slow".to_owned(), "slow down".to_owned());
            Err(StoreError { kind: StoreErrorKind::Throttled { retry_after: None }, key, backend, detail })
        }
    }

    let store = HookedStore::new(Arc::new(MemoryStore::default()), Slow::default());
    let limited = LimitedStore::new(store, StoreLimits { slowest: 1024, ..limits() }, Arc::default());
    limited.put("packs/a", Bytes::from(vec![0; 1 << 20])).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn of_many_removals_only_those_that_may_pass_are_tried_again() {
    let names = |names: &[&str]| -> Vec<String> { names.iter().map(|name| format!("chunk/{name}")).collect() };
    let keys = names(&["a", "b", "c"]);
    let [passes, stays] = [StoreErrorKind::Transient, StoreErrorKind::Retained].map(Fault::Unsent);
    let store = Scripted::new([passes, stays, Fault::None, passes, Fault::None]);
    let errors = limited(&store).delete_many(&keys).await.unwrap();
    assert_eq!(errors.iter().map(|error| error.key.as_str()).collect::<Vec<_>>(), ["chunk/b"]);
    assert_eq!(store.hook.times().len(), 5, "three, and twice the first one");

    // A store that answers nothing any more is told of, however much has gone before.
    let store = Scripted::new([]);
    store.hook.break_key("chunk/c");
    let error = limited(&store).delete_many(&keys).await.unwrap_err().to_string();
    assert!(error.contains("could not be reached for 5 minutes"), "{error}");
    assert!(store.hook.times().len() > 4);

    // A lock's holder must know of each.
    let store = Scripted::new([passes]);
    let errors = limited(&store).delete_many(&["index/lock.exclusive".to_owned()]).await.unwrap();
    assert_eq!((errors.len(), store.hook.times().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_hangs_is_given_up_and_large_ones_may_take_longer() {
    let store = Scripted::new([Fault::Hang; 2]);
    let start = Instant::now();
    limited(&store).put("chunk/a", Bytes::from(vec![0; 320 << 10])).await.unwrap();
    assert_eq!(start.elapsed(), 2 * Duration::from_secs(120 + 80) + Duration::from_millis(1500));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_never_reached_is_given_up_soon_and_one_that_was_after_an_outage() {
    let store = Scripted::new([Fault::Unsent(StoreErrorKind::Transient); 1000]);
    let error = limited(&store).get("config").await.unwrap_err();
    assert_eq!((store.hook.times().len(), error.key.as_str()), (4, "config"));

    store.hook.repair();
    let limited = limited(&store);
    limited.put("config", Bytes::new()).await.unwrap();
    store.hook.break_off();
    advance(Duration::from_secs(1)).await;
    let start = Instant::now();
    let all = join_all((0..8).map(|n| limited.put(["chunk/a", "chunk/b"][n % 2], Bytes::new()))).await;
    let told = "memory: it could not be reached for 5 minutes (the script says so): see that its server and the network \
                work, and run this again";
    assert!(all.iter().all(|done| done.as_ref().unwrap_err().to_string() == told), "{all:?}");
    assert_eq!(start.elapsed().as_secs(), 300);

    // Whoever comes then is told so at once, and somebody looks now and then.
    let count = store.hook.times().len();
    assert_eq!(limited.get("config").await.unwrap_err().to_string(), told);
    assert_eq!(store.hook.times().len(), count);
    advance(Duration::from_secs(31)).await;
    assert!(limited.get("config").await.is_err());
    assert!(limited.get("config").await.is_err());
    assert_eq!(store.hook.times().len(), count + 1);
    store.hook.repair();
    advance(Duration::from_secs(31)).await;
    limited.get("config").await.unwrap();
    limited.put("chunk/a", Bytes::new()).await.unwrap();

    // Who comes after a long time is told soon, too.
    store.hook.break_off();
    advance(Duration::from_secs(3600)).await;
    let count = store.hook.times().len();
    assert_eq!(limited.get("config").await.unwrap_err().key, "config");
    assert_eq!(store.hook.times().len(), count + 4);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_trouble_by_itself_does_not_wait_for_an_outage() {
    let store = Scripted::new([]);
    let limited = limited(&store);
    limited.put("config", Bytes::new()).await.unwrap();
    store.hook.break_key("chunk/bad");
    let others = async {
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            limited.get("config").await.unwrap();
        }
    };
    let start = Instant::now();
    let bad = async { (limited.get("chunk/bad").await, start.elapsed()) };
    let ((failed, time), ()) = futures::join!(bad, others);
    assert!(failed.unwrap_err().key == "chunk/bad" && time < Duration::from_secs(10), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_meets_its_own_first_try_has_won() {
    let lost = Fault::Unanswered(StoreErrorKind::Transient);
    let file = |text: &str| {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        file
    };
    for lost in [lost, Fault::HangAfter] {
        let store = Scripted::new([]);
        let limited = limited(&store);
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        store.hook.next(lost);
        assert!(limited.put_if_absent("a", text("mine")).await.unwrap());
        store.hook.next(lost);
        assert!(!limited.put_if_absent("a", text("other")).await.unwrap());
        let (_, version) = limited.get_versioned("a").await.unwrap();
        store.hook.next(lost);
        assert!(limited.put_if_unchanged("a", text("mine too"), &version).await.unwrap());
        store.hook.next(lost);
        assert!(!limited.put_if_unchanged("a", text("late"), &version).await.unwrap());
        let (_, version) = limited.stat_versioned("a").await.unwrap();
        store.hook.next(lost);
        assert!(limited.put_file_if_unchanged("a", file("a file"), Some(&version)).await.unwrap().is_some());
        store.hook.next(lost);
        assert!(limited.put_file_if_unchanged("a", file("b file"), Some(&version)).await.unwrap().is_none());
        assert_eq!(limited.get("a").await.unwrap(), "a file");
        let (_, version) = limited.get_versioned("a").await.unwrap();
        store.hook.next(lost);
        assert!(limited.delete_if_unchanged("a", &version).await.unwrap());
        store.hook.next(lost);
        assert!(limited.put_file_if_unchanged("a", file("new"), None).await.unwrap().is_some());
        store.hook.next(lost);
        assert!(!limited.delete_if_unchanged("a", &version).await.unwrap());
        store.hook.next(lost);
        limited.delete("a").await.unwrap();
        assert!(limited.get("a").await.unwrap_err().is_not_found());
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_sent_whole_although_an_earlier_try_read_half_of_it() {
    let store = Scripted::new([Fault::HalfRead]);
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, b"all of it").unwrap();
    limited(&store).put_file("packs/a", file).await.unwrap();
    assert_eq!(store.get("packs/a").await.unwrap(), "all of it");
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_breaks_off_gives_each_object_once() {
    let store = Scripted::new([]);
    let limited = limited(&store);
    let keys: Vec<_> = (0..50).map(|n| format!("chunk/{n:02}")).collect();
    for key in &keys {
        limited.put(key, Bytes::new()).await.unwrap();
    }
    for fault in [Fault::BreakAfter(20), Fault::BreakAfter(49), Fault::HangList(30)] {
        store.hook.next(fault);
    }
    let mut listed: Vec<_> = limited.list("chunk/").map_ok(|stat| stat.key).try_collect().await.unwrap();
    listed.sort();
    assert_eq!(listed, keys);
    // One that gets nowhere ends.
    for _ in 0..9 {
        store.hook.next(Fault::BreakAfter(0));
    }
    store.hook.break_key("chunk/");
    advance(Duration::from_secs(1)).await;
    let failed = limited.list("chunk/").try_collect::<Vec<_>>().await;
    assert_eq!(failed.unwrap_err().kind, StoreErrorKind::Transient);
}

proptest! {
    #[test]
    fn waits_grow_to_a_limit(failures in 1_u32..1000, backoff in 1_u64..10_000, longest in 1_u64..100_000) {
        let milliseconds = Duration::from_millis;
        let limits = StoreLimits {
            backoff: milliseconds(backoff), longest_backoff: milliseconds(longest), ..limits()
        };
        let (wait, next) = (limits.longest_wait(failures), limits.longest_wait(failures + 1));
        prop_assert!(wait <= milliseconds(longest) && wait <= next && next <= 2 * wait);
    }

    /// Whatever goes wrong, an answer is true: what is stored is what the answers say.
    #[test]
    fn answers_are_true_whatever_fails(script in prop::collection::vec(0_u8..5, 0..40), writes in prop::collection::vec(0_u8..4, 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let faults = script.iter().map(|fault| match fault {
                0 => Fault::Unsent(StoreErrorKind::Transient),
                1 => Fault::Unanswered(StoreErrorKind::Transient),
                2 => Fault::HangAfter,
                _ => Fault::None,
            });
            let store = Scripted::new(faults);
            let limited = LimitedStore::new(
                store.clone(), StoreLimits { tries: 100, outage: Duration::MAX, ..limits() }, Arc::default(),
            );
            let mut model: Option<Bytes> = None;
            for (n, write) in writes.iter().enumerate() {
                let bytes = Bytes::from(format!("write {n}"));
                let version = model.as_ref().map_or(Version::new("none"), Version::of);
                match write {
                    0 => {
                        assert_eq!(limited.put_if_absent("a", bytes.clone()).await.unwrap(), model.is_none());
                        model = model.or(Some(bytes));
                    }
                    1 => {
                        assert_eq!(limited.put_if_unchanged("a", bytes.clone(), &version).await.unwrap(), model.is_some());
                        model = model.and(Some(bytes));
                    }
                    2 => {
                        limited.put("a", bytes.clone()).await.unwrap();
                        model = Some(bytes);
                    }
                    _ => {
                        let was_there = model.take().is_some();
                        let deleted = limited.delete_if_unchanged("a", &version).await.unwrap();
                        // Of one that is gone nobody knows after a failure who removed it.
                        assert!(deleted || !was_there);
                    }
                }
                let found = limited.get("a").await;
                assert_eq!(found.ok(), model);
            }
        });
    }
}
