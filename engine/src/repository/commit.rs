//! Making what was written a snapshot. The order is what makes a crash harmless: packs are in the store already; the
//! catalog is written, then the snapshot, then what points to it. Whatever is cut off, what is there is whole, and only
//! unreferenced objects may be left.
//!
//! The lock must hold from the first look at what exists until the snapshot is there, or a prune may have swept what the
//! snapshot needs. So the store is asked for it right before the snapshot is written, and it is confirmed right after: if
//! it was lost in between, the snapshot is removed again, before anything points to it.
//!
//! Within this process one commit runs at a time. Other processes may commit at the same time: every index that is
//! written is then held against what is really there, and written again until it has everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::index::{LATEST_KEY, SNAPSHOTS_KEY};
use super::numbering::Numbering;
use super::snapshots::newer;
use super::writer::Written;
use super::{Repository, RepositoryError};
use crate::lock::{LeaseWatch, LockLost};
use crate::object::{Hash, Latest, ObjectKind, ObjectRef, Snapshot, SnapshotEntry, SourceInfo, Timestamp, json};

/// What `meta` of a snapshot says of who has made it.
pub(crate) const GENERATOR: &str = concat!("cloudsticd/", env!("CARGO_PKG_VERSION"));

/// How often an index is written again because somebody else wrote at the same time. Whoever comes last makes it right.
pub(super) const TRIES: usize = 10;

/// The pauses between the tries to remove a snapshot that was written without a lock.
const REMOVAL_PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)];

/// A snapshot that is to be.
#[derive(Debug, Clone, Default)]
pub struct NewSnapshot {
    /// When the backup was made.
    pub created: DateTime<Utc>,
    /// Its tree.
    pub root: Option<ObjectRef>,
    /// Where it came from.
    pub source: SourceInfo,
    /// Tags.
    pub tags: Vec<String>,
    /// The hash of the exclude patterns, if any.
    pub exclude_hash: Option<Hash>,
    /// Where the next incremental backup of a cloud source goes on.
    pub change_token: String,
    /// Free facts, beside the one that names this program.
    pub meta: BTreeMap<String, String>,
    /// Which number it gets.
    pub numbering: Numbering,
}

impl Repository {
    /// Publishes what a writer has written as a snapshot. `may_commit` is asked right before the snapshot is written, and
    /// its error ends the commit. So does the loss of `lease`.
    pub async fn commit<E: From<RepositoryError>>(
        self: &Arc<Self>,
        written: Written,
        new: NewSnapshot,
        lease: &LeaseWatch,
        may_commit: impl Fn() -> Result<(), E>,
    ) -> Result<(ObjectRef, Snapshot), E> {
        let _alone = self.commits.lock().await;
        lease.confirm().await.map_err(RepositoryError::from)?;
        // Before the catalog too: entries for objects that are sealed with other keys would do harm in a repository
        // that was made in this one's place.
        self.prove_identity().await?;
        self.extend_catalog(written.packs, &BTreeSet::new(), lease).await?;
        let known = self.listed().await?.readable;
        let created = Timestamp::seconds(new.created);
        let seq = new.numbering.number(&created, &known);
        let mut meta = new.meta;
        meta.insert("generator".to_owned(), GENERATOR.to_owned());
        let snapshot = Snapshot {
            version: 1,
            created,
            root: new.root,
            seq,
            source: new.source,
            meta,
            tags: new.tags,
            change_token: new.change_token,
            exclude_hash: new.exclude_hash.map(|hash| hash.to_string()).unwrap_or_default(),
        };
        let (snapshot, reference, sealed) = self.seal_snapshot(snapshot).await?;
        lease.prove().await.map_err(RepositoryError::from)?;
        may_commit()?;
        let entry = self.put_snapshot(reference, &snapshot, sealed, lease).await?;
        let mut snapshots = known;
        snapshots.retain(|known| known.reference != reference);
        snapshots.push(entry);
        match self.publish(snapshots, &BTreeSet::new(), lease).await {
            // The snapshot is whole, and was written under the lock. Whoever commits next makes the indexes right.
            Err(RepositoryError::LockLost(lost)) => tracing::warn!(%lost, "the indexes do not name the last snapshot"),
            published => published?,
        }
        Ok((reference, snapshot))
    }

    /// Writes a sealed snapshot. If the lock was lost by the time it is written, it is removed again.
    pub(super) async fn put_snapshot(
        &self,
        reference: ObjectRef,
        snapshot: &Snapshot,
        sealed: Bytes,
        lease: &LeaseWatch,
    ) -> Result<SnapshotEntry, RepositoryError> {
        let put = self.store.put(&reference.key(), sealed).await;
        // Also if that failed: it may have been written all the same.
        if let Err(lost) = lease.confirm().await {
            return Err(self.take_back(&reference.key(), lease, lost).await.into());
        }
        put?;
        let entry = SnapshotEntry::new(reference, snapshot);
        self.note_proven(entry.clone());
        Ok(entry)
    }

    /// Removes a snapshot that was written without a lock. Gives what to tell the user.
    async fn take_back(&self, key: &str, lease: &LeaseWatch, lost: LockLost) -> LockLost {
        for pause in REMOVAL_PAUSES {
            match self.store.delete(key).await {
                Ok(()) => return lost,
                Err(problem) => tracing::error!(%problem, key, "a snapshot without a lock could not be removed"),
            }
            tokio::time::sleep(pause).await;
        }
        match self.store.delete(key).await {
            Ok(()) => lost,
            Err(_) => lease.leaves(key.to_owned(), lost),
        }
    }

    pub(super) async fn seal_snapshot(
        &self,
        snapshot: Snapshot,
    ) -> Result<(Snapshot, ObjectRef, Bytes), RepositoryError> {
        let sealer = self.sealer.clone();
        let sealing = tokio::task::spawn_blocking(move || {
            let bytes = json::encode(&snapshot);
            let reference = ObjectRef::new(ObjectKind::Snapshot, Hash::of(&bytes));
            Ok((snapshot, reference, sealer.seal(&bytes)?.into()))
        });
        sealing.await?
    }

    /// Makes `index/latest` and `index/snapshots` agree with `snapshots`, and with what others add meanwhile. Those that
    /// are to be `removed` are not in packs any more then; nothing points to them, but plain objects of them stay.
    pub(super) async fn publish(
        self: &Arc<Self>,
        mut snapshots: Vec<SnapshotEntry>,
        removed: &BTreeSet<ObjectRef>,
        lease: &LeaseWatch,
    ) -> Result<(), RepositoryError> {
        let mut unpacked: BTreeSet<String> = removed.iter().map(ObjectRef::key).collect();
        // One in a pack, as the CLI writes it, would shadow the one by itself.
        unpacked.insert(LATEST_KEY.to_owned());
        let mut is_let_go = false;
        for _ in 0..TRIES {
            lease.confirm().await?;
            snapshots.sort_by(|a, b| a.seq.cmp(&b.seq).then(newer(a, b)));
            match snapshots.last() {
                Some(SnapshotEntry { reference, seq, .. }) => {
                    self.put_index(LATEST_KEY, Latest { latest_snapshot: *reference, seq: *seq }).await?;
                }
                None => {
                    self.store.delete(LATEST_KEY).await?;
                    self.forget_damage(LATEST_KEY);
                }
            }
            if !std::mem::replace(&mut is_let_go, true) {
                self.let_go(removed, lease).await?;
            }
            self.extend_catalog(Vec::new(), &unpacked, lease).await?;
            lease.confirm().await?;
            snapshots = self.put_index(SNAPSHOTS_KEY, snapshots).await?;
            let is_known = |reference: &ObjectRef| snapshots.iter().any(|entry| entry.reference == *reference);
            let mut others = self.snapshot_refs().await?;
            others.retain(|reference| !removed.contains(reference) && !is_known(reference));
            let others = self.entries(&others, Vec::new()).await?.readable;
            if others.is_empty() {
                break;
            }
            snapshots.extend(others);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::crypto::Sealer;
    use crate::lock::{Kind, Lease, Locks};
    use crate::repository::InitOptions;
    use crate::store::{MemoryStore, ObjectStore};

    struct Bench {
        store: MemoryStore,
        line: Arc<MemoryStore>,
        repository: Arc<Repository>,
        locks: Locks,
    }

    impl Bench {
        async fn new() -> (Self, Lease) {
            let store = MemoryStore::default();
            let line = Arc::new(store.another(1));
            let open: Arc<dyn ObjectStore> = line.clone();
            Repository::init(Arc::clone(&open), InitOptions::default()).await.unwrap();
            let repository = Arc::new(Repository::open(open, Vec::new()).await.unwrap());
            let locks = Locks::new(Arc::new(store.another(2)), Sealer::new(None));
            let lease = locks.acquire(Kind::Shared, "backup").await.unwrap();
            (Self { store, line, repository, locks }, lease)
        }

        async fn commit(&self, lease: &LeaseWatch) -> Result<(ObjectRef, Snapshot), RepositoryError> {
            let new = NewSnapshot { created: Utc::now(), ..NewSnapshot::default() };
            self.repository.commit(Written::default(), new, lease, || Ok(())).await
        }

        fn has(&self, begins: &str) -> bool {
            self.store.objects().keys().any(|key| key.starts_with(begins))
        }

        /// Gives the lock back as soon as the snapshot is in the store.
        async fn lose(&self, lease: Lease) {
            while !self.has("snapshot/") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            lease.release().await.unwrap();
        }

        fn assert_nothing_is_left(&self) {
            assert!(!self.has("snapshot/") && !self.has(LATEST_KEY) && !self.has(SNAPSHOTS_KEY));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_whose_lock_was_lost_while_it_was_written_is_removed_again() {
        let (bench, lease) = Bench::new().await;
        let watch = lease.watch();
        bench.line.line().set_latency(Duration::from_secs(1));
        let (done, ()) = tokio::join!(bench.commit(&watch), bench.lose(lease));
        assert!(matches!(done, Err(RepositoryError::LockLost(_))), "{done:?}");
        bench.assert_nothing_is_left();
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_is_removed_whose_lock_and_answer_were_lost_or_the_error_names_it() {
        for returns in [true, false] {
            let (bench, lease) = Bench::new().await;
            let watch = lease.watch();
            let line = bench.line.line();
            line.set_latency(Duration::from_secs(1));
            let lose = async {
                bench.lose(lease).await;
                line.break_off(true);
                line.lose_answers(true);
                tokio::time::sleep(Duration::from_secs(5)).await;
                line.break_off(!returns);
                line.lose_answers(!returns);
            };
            let (done, ()) = tokio::join!(bench.commit(&watch), lose);
            let Err(RepositoryError::LockLost(lost)) = done else { panic!("{done:?}") };
            assert_eq!((bench.has("snapshot/"), lost.left.is_some()), (!returns, !returns));
            if let Some(left) = &lost.left {
                assert!(bench.has(left) && lost.to_string().contains(&format!("{left} may have been written")));
                assert_eq!(watch.reason().unwrap(), lost, "what a job that lost its lock tells");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_somebody_broke_a_moment_ago_commits_nothing() {
        let (bench, lease) = Bench::new().await;
        bench.locks.break_all().await.unwrap();
        lease.check().unwrap();
        let done = bench.commit(&lease.watch()).await;
        assert!(matches!(done, Err(RepositoryError::LockLost(_))), "{done:?}");
        bench.assert_nothing_is_left();
    }
}
