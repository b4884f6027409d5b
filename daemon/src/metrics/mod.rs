//! What Prometheus can learn of the daemon.
//!
//! The one invariant: a scrape touches no store. Every value is kept here when it changes, and every family is there from
//! the start, with a zero for each configured repository.

mod stores;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use cloudstic_engine::lock::Kind;
use cloudstic_engine::store::Meter;
use cloudstic_proto::Reason;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use stores::Stores;

/// What [`Metrics::text`] is: the exposition format of OpenMetrics.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    repository: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Mode {
    repository: String,
    mode: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    repository: String,
    reason: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// All metrics.
pub struct Metrics {
    registry: Registry,
    lock_held: Family<Mode, Gauge>,
    lock_wait: Family<Of, Histogram, fn() -> Histogram>,
    lock_acquire_failures: Family<Refused, Counter>,
    lock_lost: Family<Of, Counter>,
    clock_skew: Family<Of, Seconds>,
    catalog_heals: Family<Of, Counter>,
    forget_last_removed: Family<Of, Gauge>,
    prune_reclaimed: Family<Of, Gauge>,
    prune_deleted: Family<Of, Gauge>,
    check_errors: Family<Of, Gauge>,
    check_verified: Family<Of, Counter>,
    check_full_success: Family<Of, Seconds>,
    /// By name, the fingerprint of the repository that was found whole last, and when that was.
    whole: Mutex<HashMap<String, (String, Duration)>>,
    heals: Vec<(Of, Arc<AtomicU64>)>,
    stores: Stores,
}

impl Metrics {
    /// Zeros for these repositories, each with what its store is called.
    pub fn new<'a>(repositories: impl Iterator<Item = (&'a str, &'static str)> + Clone) -> Self {
        let mut registry = Registry::with_prefix("cloudstic");
        registry.register("build", "This program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let waits = || Histogram::new(exponential_buckets(0.01, 4.0, 10));
        let mut metrics = Self {
            lock_held: Family::default(),
            lock_wait: Family::new_with_constructor(waits),
            lock_acquire_failures: Family::default(),
            lock_lost: Family::default(),
            clock_skew: Family::default(),
            catalog_heals: Family::default(),
            forget_last_removed: Family::default(),
            prune_reclaimed: Family::default(),
            prune_deleted: Family::default(),
            check_errors: Family::default(),
            check_verified: Family::default(),
            check_full_success: Family::default(),
            whole: Mutex::default(),
            heals: Vec::new(),
            stores: Stores::new(repositories.clone()),
            registry,
        };
        metrics.register();
        for (name, _) in repositories {
            let of = of(name);
            for kind in [Kind::Shared, Kind::Exclusive] {
                drop(metrics.lock_held.get_or_create(&mode(name, kind)));
            }
            for reason in [Reason::Locked, Reason::StoreFailed, Reason::StoreFull] {
                drop(metrics.lock_acquire_failures.get_or_create(&refused(name, reason)));
            }
            drop(metrics.lock_wait.get_or_create(&of));
            drop(metrics.lock_lost.get_or_create(&of));
            drop(metrics.clock_skew.get_or_create(&of));
            drop(metrics.catalog_heals.get_or_create(&of));
            drop(metrics.forget_last_removed.get_or_create(&of));
            drop(metrics.prune_reclaimed.get_or_create(&of));
            drop(metrics.prune_deleted.get_or_create(&of));
            drop(metrics.check_errors.get_or_create(&of));
            drop(metrics.check_verified.get_or_create(&of));
            drop(metrics.check_full_success.get_or_create(&of));
            metrics.heals.push((of, Arc::default()));
        }
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        self.stores.register(registry);
        registry.register("lock_held", "Repository locks that jobs of this daemon hold", self.lock_held.clone());
        let help = "How long jobs waited for a repository lock that they got";
        registry.register_with_unit("lock_wait", help, Unit::Seconds, self.lock_wait.clone());
        let help = "Repository locks that jobs did not get";
        registry.register("lock_acquire_failures", help, self.lock_acquire_failures.clone());
        registry.register(
            "lock_lost",
            "Repository locks that were lost before their job had ended",
            self.lock_lost.clone(),
        );
        let help = "How far the store's clock is ahead of this host's, where it tells";
        registry.register_with_unit("store_clock_skew", help, Unit::Seconds, self.clock_skew.clone());
        let help = "How often a pack catalog was put right from the footers of the packs";
        registry.register("catalog_heals", help, self.catalog_heals.clone());
        let help = "How many snapshots the last forget removed";
        registry.register("forget_last_removed_snapshots", help, self.forget_last_removed.clone());
        let help = "By how much the last prune made the repository smaller";
        registry.register_with_unit("prune_last_reclaimed", help, Unit::Bytes, self.prune_reclaimed.clone());
        let help = "Objects that the last prune removed";
        registry.register("prune_last_deleted_objects", help, self.prune_deleted.clone());
        registry.register("check_last_errors", "Faults that the last check found", self.check_errors.clone());
        let help = "Bytes of files that checks have read and proven";
        registry.register_with_unit("check_verified", help, Unit::Bytes, self.check_verified.clone());
        let help = "When a check has last read all data of all snapshots and found no fault";
        registry.register_with_unit(
            "check_last_full_success_timestamp",
            help,
            Unit::Seconds,
            self.check_full_success.clone(),
        );
    }

    /// A job has taken a lock.
    pub fn lock_taken(&self, repository: &str, kind: Kind) {
        self.lock_held.get_or_create(&mode(repository, kind)).inc();
    }

    /// A job had to wait so long for a lock that it got.
    pub fn lock_waited(&self, repository: &str, waited: Duration) {
        self.lock_wait.get_or_create(&of(repository)).observe(waited.as_secs_f64());
    }

    /// A job's lock is not held any more.
    pub fn lock_given_back(&self, repository: &str, kind: Kind) {
        self.lock_held.get_or_create(&mode(repository, kind)).dec();
    }

    /// A job's lock was lost.
    pub fn lock_lost(&self, repository: &str) {
        self.lock_lost.get_or_create(&of(repository)).inc();
    }

    /// A job did not get its lock.
    pub fn lock_refused(&self, repository: &str, reason: Reason) {
        self.lock_acquire_failures.get_or_create(&refused(repository, reason)).inc();
    }

    /// The store has told its time.
    pub fn clock_skew(&self, repository: &str, seconds: f64) {
        self.clock_skew.get_or_create(&of(repository)).set(seconds);
    }

    /// A forget has removed so many snapshots.
    pub fn forgotten(&self, repository: &str, snapshots: u64) {
        self.forget_last_removed.get_or_create(&of(repository)).set(i64::try_from(snapshots).unwrap_or(i64::MAX));
    }

    /// A prune has ended.
    pub fn pruned(&self, repository: &str, freed_bytes: u64, removed_objects: u64) {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.prune_reclaimed.get_or_create(&of(repository)).set(gauge(freed_bytes));
        self.prune_deleted.get_or_create(&of(repository)).set(gauge(removed_objects));
    }

    /// A check has ended, with so many faults and so many bytes of files proven.
    pub fn checked(&self, repository: &str, faults: u64, verified: u64) {
        self.check_errors.get_or_create(&of(repository)).set(i64::try_from(faults).unwrap_or(i64::MAX));
        self.check_verified.get_or_create(&of(repository)).inc_by(verified);
    }

    /// A check has read all data of all snapshots and found no fault, now or before the daemon was started.
    pub fn checked_whole(&self, repository: &str, fingerprint: &str, at: SystemTime) {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.whole().insert(repository.to_owned(), (fingerprint.to_owned(), since));
        self.check_full_success.get_or_create(&of(repository)).set(since.as_secs_f64());
    }

    /// What has this name is this repository: what is known of another one says nothing of it.
    pub fn opened(&self, repository: &str, fingerprint: &str) {
        let whole = self.whole();
        let since = whole.get(repository).filter(|(of, _)| of == fingerprint).map_or(0.0, |(_, at)| at.as_secs_f64());
        self.check_full_success.get_or_create(&of(repository)).set(since);
    }

    fn whole(&self) -> MutexGuard<'_, HashMap<String, (String, Duration)>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What counts how often the catalog of a repository is healed.
    pub fn heals(&self, repository: &str) -> Arc<AtomicU64> {
        let known = self.heals.iter().find(|(of, _)| of.repository == repository);
        known.map(|(_, heals)| Arc::clone(heals)).unwrap_or_default()
    }

    /// What counts what is asked of the store of a repository.
    pub fn meter(&self, repository: &str) -> Arc<Meter> {
        self.stores.meter(repository)
    }

    /// All of them, as [`CONTENT_TYPE`].
    pub fn text(&self) -> Result<String, fmt::Error> {
        for (of, heals) in &self.heals {
            self.catalog_heals.get_or_create(of).inner().store(heals.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.stores.update();
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn of(repository: &str) -> Of {
    Of { repository: repository.to_owned() }
}

fn mode(repository: &str, kind: Kind) -> Mode {
    let mode = match kind {
        Kind::Shared => "shared",
        Kind::Exclusive => "exclusive",
    };
    Mode { repository: repository.to_owned(), mode }
}

fn refused(repository: &str, reason: Reason) -> Refused {
    Refused { repository: repository.to_owned(), reason: reason.as_str() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_family_is_there_from_the_start_and_moves() {
        let metrics = Metrics::new([("main", "s3")].into_iter());
        let text = metrics.text().unwrap();
        for zero in [
            "cloudstic_lock_held{repository=\"main\",mode=\"exclusive\"} 0",
            "cloudstic_lock_acquire_failures_total{repository=\"main\",reason=\"LOCKED\"} 0",
            "cloudstic_lock_lost_total{repository=\"main\"} 0",
            "cloudstic_lock_wait_seconds_count{repository=\"main\"} 0",
            "cloudstic_store_clock_skew_seconds{repository=\"main\"} 0.0",
            "cloudstic_catalog_heals_total{repository=\"main\"} 0",
            "cloudstic_forget_last_removed_snapshots{repository=\"main\"} 0",
            "cloudstic_prune_last_reclaimed_bytes{repository=\"main\"} 0",
            "cloudstic_prune_last_deleted_objects{repository=\"main\"} 0",
            "cloudstic_check_last_errors{repository=\"main\"} 0",
            "cloudstic_check_verified_bytes_total{repository=\"main\"} 0",
            "cloudstic_check_last_full_success_timestamp_seconds{repository=\"main\"} 0.0",
            "cloudstic_store_requests_total{repository=\"main\",backend=\"s3\",operation=\"get\",result=\"error\"} 0",
            "cloudstic_store_retries_total{repository=\"main\",backend=\"s3\",operation=\"put\"} 0",
            "cloudstic_store_sent_bytes_total{repository=\"main\",backend=\"s3\"} 0",
            "cloudstic_store_received_bytes_total{repository=\"main\",backend=\"s3\"} 0",
            "cloudstic_build_info{version=\"",
        ] {
            assert!(text.contains(zero), "{zero} is not in\n{text}");
        }
        metrics.lock_taken("main", Kind::Shared);
        metrics.lock_waited("main", Duration::from_secs(1));
        metrics.lock_refused("main", Reason::Locked);
        metrics.clock_skew("main", -12.5);
        metrics.forgotten("main", 5);
        metrics.heals("main").fetch_add(2, Ordering::Relaxed);
        metrics.pruned("main", 4096, 7);
        metrics.checked("main", 0, 7);
        metrics.checked("main", 3, 5);
        metrics.checked_whole("main", "this", SystemTime::UNIX_EPOCH + Duration::from_secs(77));
        metrics.opened("main", "other");
        let full_success =
            |at| format!("cloudstic_check_last_full_success_timestamp_seconds{{repository=\"main\"}} {at}\n");
        assert!(metrics.text().unwrap().contains(&full_success("0.0")));
        metrics.opened("main", "this");
        let text = metrics.text().unwrap();
        for moved in [
            "cloudstic_lock_held{repository=\"main\",mode=\"shared\"} 1",
            "cloudstic_lock_acquire_failures_total{repository=\"main\",reason=\"LOCKED\"} 1",
            "cloudstic_lock_wait_seconds_count{repository=\"main\"} 1",
            "cloudstic_store_clock_skew_seconds{repository=\"main\"} -12.5",
            "cloudstic_catalog_heals_total{repository=\"main\"} 2",
            "cloudstic_forget_last_removed_snapshots{repository=\"main\"} 5",
            "cloudstic_prune_last_reclaimed_bytes{repository=\"main\"} 4096",
            "cloudstic_prune_last_deleted_objects{repository=\"main\"} 7",
            "cloudstic_check_last_errors{repository=\"main\"} 3",
            "cloudstic_check_verified_bytes_total{repository=\"main\"} 12",
            "cloudstic_check_last_full_success_timestamp_seconds{repository=\"main\"} 77.0",
        ] {
            assert!(text.contains(moved), "{moved} is not in\n{text}");
        }
    }
}
