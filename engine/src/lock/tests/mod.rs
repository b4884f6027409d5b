//! The code against stores in memory, on a clock that runs by itself when nobody has anything to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod basics;
mod leases;
mod local;
mod together;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;

use super::decide::Kind::{self, Exclusive, Shared};
use super::{LockClock, LockRecord, Locks};
use crate::crypto::Sealer;
use crate::store::MemoryStore;

/// Tokio's clock, paused and moved on by the runtime, and what all hosts slept through beside it.
#[derive(Debug, Clone)]
struct SimClock {
    origin: Instant,
    slept: Arc<AtomicU64>,
    skew: TimeDelta,
}

impl SimClock {
    fn new() -> Self {
        Self { origin: Instant::now(), slept: Arc::default(), skew: TimeDelta::zero() }
    }

    /// Time goes by, and no task notices before the next timer fires.
    fn suspend(&self, time: Duration) {
        self.slept.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }
}

#[async_trait]
impl LockClock for SimClock {
    fn boottime(&self) -> Duration {
        self.origin.elapsed() + Duration::from_nanos(self.slept.load(Ordering::Relaxed))
    }

    fn wall(&self) -> DateTime<Utc> {
        "2026-11-21T03:00:00Z".parse::<DateTime<Utc>>().unwrap() + self.boottime() + self.skew
    }

    async fn sleep_until(&self, deadline: Duration) {
        while let Some(left) = deadline.checked_sub(self.boottime()).filter(|left| !left.is_zero()) {
            tokio::time::sleep(left.min(Duration::from_secs(1))).await;
        }
    }
}

/// Hosts with one store.
struct Net {
    store: MemoryStore,
    clock: SimClock,
}

impl Net {
    fn new(store: MemoryStore) -> Self {
        Self { store, clock: SimClock::new() }
    }

    fn host(&self, number: u64) -> (Arc<MemoryStore>, Locks) {
        self.host_with(number, TimeDelta::zero())
    }

    fn host_with(&self, number: u64, skew: TimeDelta) -> (Arc<MemoryStore>, Locks) {
        let line = Arc::new(self.store.another(number));
        let clock = Arc::new(SimClock { skew, ..self.clock.clone() });
        (Arc::clone(&line), Locks::new(line, Sealer::new(None)).with_clock(clock))
    }

    fn locks(&self) -> Locks {
        self.host(1).1
    }

    fn keys(&self) -> Vec<String> {
        self.store.objects().keys().cloned().collect()
    }

    fn put(&self, lock: &LockRecord) {
        self.store.objects().insert(lock.key(), lock.encode().into());
    }
}

/// One of each sort.
fn stores() -> [MemoryStore; 3] {
    [MemoryStore::default(), MemoryStore::without_conditional_delete(), MemoryStore::not_atomic()]
}

/// A lock that somebody on another host took `age` ago and did not refresh.
fn foreign(net: &Net, kind: Kind, age: Duration) -> LockRecord {
    let identity = super::host::Identity { host: "elsewhere".to_owned(), pid: 7, ..Default::default() };
    let lock = LockRecord::new("prune", &identity, net.clock.wall() - age, super::TTL).unwrap();
    if kind == Shared { lock.shared(Shared) } else { lock }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
