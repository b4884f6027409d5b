//! A cache with a limit, in which each thing is fetched by one, however many wait for it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

/// What was used longest ago goes first. The weight of all values stays within the capacity, unless a single one is
/// heavier by itself: that one is kept alone, as it is in use.
pub(crate) struct Cache<K, V> {
    capacity: usize,
    weigh: fn(&V) -> usize,
    slots: Mutex<Slots<K, V>>,
}

struct Slots<K, V> {
    by_key: HashMap<K, Slot<V>>,
    /// By the time of their last use.
    order: BTreeMap<u64, K>,
    now: u64,
    weight: usize,
}

struct Slot<V> {
    used: u64,
    value: Arc<OnceCell<V>>,
    /// Zero until the value is there.
    weight: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Cache<K, V> {
    /// An empty one.
    pub(crate) fn new(capacity: usize, weigh: fn(&V) -> usize) -> Self {
        let slots = Slots { by_key: HashMap::new(), order: BTreeMap::new(), now: 0, weight: 0 };
        Self { capacity, weigh, slots: Mutex::new(slots) }
    }

    /// The value of a key; it is fetched if it is not there. A failure is told and not kept.
    pub(crate) async fn get<E, Fetch>(&self, key: &K, fetch: impl FnOnce() -> Fetch) -> Result<V, E>
    where
        Fetch: Future<Output = Result<V, E>>,
    {
        let value = self.slots().used(key);
        let result = value.get_or_try_init(fetch).await.cloned();
        let mut slots = self.slots();
        match &result {
            Ok(fetched) => slots.fetched(key, &value, (self.weigh)(fetched).max(1), self.capacity),
            Err(_) => slots.failed(key, &value),
        }
        result
    }

    /// The weight of all values.
    #[cfg(test)]
    pub(crate) fn weight(&self) -> usize {
        self.slots().weight
    }

    fn slots(&self) -> MutexGuard<'_, Slots<K, V>> {
        // Nothing panics while it is held.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash, V> Slots<K, V> {
    fn used(&mut self, key: &K) -> Arc<OnceCell<V>> {
        self.now += 1;
        let now = self.now;
        let slot =
            self.by_key.entry(key.clone()).or_insert_with(|| Slot { used: now, value: Arc::default(), weight: 0 });
        self.order.remove(&slot.used);
        slot.used = now;
        self.order.insert(now, key.clone());
        Arc::clone(&slot.value)
    }

    fn fetched(&mut self, key: &K, value: &Arc<OnceCell<V>>, weight: usize, capacity: usize) {
        let slot = self.by_key.get_mut(key).filter(|slot| Arc::ptr_eq(&slot.value, value) && slot.weight == 0);
        let Some(slot) = slot else { return };
        slot.weight = weight;
        self.weight += weight;
        let just_now = slot.used;
        while self.weight > capacity {
            // What is still being fetched weighs nothing yet, and others wait for it.
            let weighs = |key: &K| self.by_key.get(key).is_some_and(|slot| slot.weight > 0);
            let oldest = self.order.iter().find(|(used, key)| **used != just_now && weighs(key));
            let Some(oldest) = oldest.map(|(_, key)| key.clone()) else { return };
            self.remove(&oldest);
        }
    }

    fn failed(&mut self, key: &K, value: &Arc<OnceCell<V>>) {
        // Another one may have fetched it after all, or be about to: then there are more than the slot's and ours.
        let given_up = |slot: &Slot<V>| slot.value.get().is_none() && Arc::strong_count(value) <= 2;
        if self.by_key.get(key).is_some_and(|slot| Arc::ptr_eq(&slot.value, value) && given_up(slot)) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: &K) {
        if let Some(slot) = self.by_key.remove(key) {
            self.order.remove(&slot.used);
            self.weight -= slot.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn put(cache: &Cache<u32, usize>, key: u32, weight: usize) -> bool {
        let fetched = Cell::new(false);
        let result = cache.get(&key, async || {
            fetched.set(true);
            Ok::<_, ()>(weight)
        });
        assert_eq!(result.await, Ok(weight));
        fetched.get()
    }

    #[tokio::test]
    async fn what_was_not_used_for_longest_makes_room() {
        let cache = Cache::new(10, |weight| *weight);
        for key in 0..5 {
            assert!(put(&cache, key, 2).await);
        }
        assert!(!put(&cache, 0, 2).await, "all fit");
        assert!(put(&cache, 5, 2).await);
        assert!(!put(&cache, 0, 2).await, "it was used just now");
        assert!(put(&cache, 1, 2).await, "it had to go");
        for key in 10..1000 {
            put(&cache, key, 3).await;
            assert!(cache.weight() <= 10);
        }
        let slots = cache.slots();
        assert_eq!(slots.by_key.len(), slots.order.len());
    }

    #[tokio::test]
    async fn what_is_too_heavy_is_kept_alone() {
        let cache = Cache::new(10, |weight| *weight);
        put(&cache, 1, 2).await;
        put(&cache, 2, 50).await;
        assert!(!put(&cache, 2, 50).await);
        assert!(put(&cache, 1, 2).await);
        assert_eq!(cache.weight(), 2);
    }

    #[tokio::test]
    async fn many_that_wait_fetch_once_and_a_failure_is_tried_again() {
        let cache = Cache::new(10, |_: &usize| 1);
        let fetches = Cell::new(0);
        let ask = || {
            cache.get(&1, async || {
                fetches.set(fetches.get() + 1);
                tokio::task::yield_now().await;
                if fetches.get() == 1 { Err(()) } else { Ok(7) }
            })
        };
        let (first, second, third) = tokio::join!(ask(), ask(), ask());
        assert_eq!((first, second, third), (Err(()), Ok(7), Ok(7)));
        assert_eq!((ask().await, fetches.get()), (Ok(7), 2));
    }
}
