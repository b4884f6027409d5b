//! The snapshots of a repository: listing, finding, and which one a backup follows on (format, section 8).

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::future::ready;
use futures::stream::TryStreamExt;

use super::{ReadError, Repository, RepositoryError};
use crate::object::{ObjectKind, ObjectRef, Snapshot, SnapshotEntry, SourceInfo, json};

/// The key of the snapshot catalog.
pub(super) const SNAPSHOTS_KEY: &str = "index/snapshots";

/// The most bytes that the snapshot catalog may decode to: some 100,000 snapshots.
const SNAPSHOTS_MAX: usize = 64 << 20;

impl Repository {
    /// All snapshots, newest first: by time, then number, then name. The truth is which snapshot objects there are;
    /// `index/snapshots` only saves reading them.
    pub async fn snapshots(self: &Arc<Self>) -> Result<Vec<SnapshotEntry>, RepositoryError> {
        let mut known: HashMap<ObjectRef, SnapshotEntry> =
            self.read_index().await?.into_iter().map(|entry| (entry.reference, entry)).collect();
        let mut snapshots = Vec::new();
        let mut missing = Vec::new();
        for reference in self.snapshot_refs().await? {
            match known.remove(&reference) {
                Some(entry) => snapshots.push(entry),
                None => missing.push(reference),
            }
        }
        if !missing.is_empty() {
            let reader = self.reader().await?;
            let read = move || -> Result<Vec<SnapshotEntry>, ReadError> {
                let entry = |reference| Ok(SnapshotEntry::new(reference, &reader.read_json(&reference)?));
                missing.into_iter().map(entry).collect()
            };
            snapshots.extend(tokio::task::spawn_blocking(read).await??);
        }
        snapshots.sort_by(|a, b| newer(b, a));
        Ok(snapshots)
    }

    /// The snapshot of that name: `latest` (the one with the highest number), a reference, a hash, or the beginning of
    /// one.
    ///
    /// # Errors
    /// [`RepositoryError::NoSuchSnapshot`] if there is none, or more than one.
    pub async fn find_snapshot(self: &Arc<Self>, name: &str) -> Result<(ObjectRef, Snapshot), RepositoryError> {
        let reference = self.resolve(name).await?;
        let reader = self.reader().await?;
        let snapshot = tokio::task::spawn_blocking(move || reader.read_json(&reference)).await??;
        Ok((reference, snapshot))
    }

    async fn resolve(self: &Arc<Self>, name: &str) -> Result<ObjectRef, RepositoryError> {
        let none = |problem: String| RepositoryError::NoSuchSnapshot(problem);
        if name == "latest" {
            let newest = self.snapshots().await?.into_iter().max_by(|a, b| a.seq.cmp(&b.seq).then(newer(a, b)));
            let newest = newest.ok_or_else(|| none("the repository has no snapshots yet: run a backup".to_owned()))?;
            return Ok(newest.reference);
        }
        let start = name.strip_prefix("snapshot/").unwrap_or(name);
        let refs = self.snapshot_refs().await?;
        let mut found = refs.iter().filter(|reference| reference.hash.to_string().starts_with(start));
        match (start.is_empty(), found.next(), found.count()) {
            (false, Some(reference), 0) => Ok(*reference),
            (false, Some(_), others) => {
                Err(none(format!("{start:?} is the beginning of {} snapshots: give more digits", others + 1)))
            }
            _ => Err(none(format!("no snapshot is called {start:?}: `cloudsticctl list` shows what there is"))),
        }
    }

    /// Every snapshot object, in the base store and in packs.
    async fn snapshot_refs(&self) -> Result<BTreeSet<ObjectRef>, RepositoryError> {
        let plain = self.store.list("snapshot/").try_filter_map(|stat| ready(Ok(stat.key.parse::<ObjectRef>().ok())));
        let mut refs: BTreeSet<ObjectRef> = plain.try_collect().await?;
        refs.extend(self.catalog().await?.objects(ObjectKind::Snapshot));
        Ok(refs)
    }

    /// What `index/snapshots` says; nothing if it is missing or damaged, for then every snapshot is read.
    pub(super) async fn read_index(&self) -> Result<Vec<SnapshotEntry>, RepositoryError> {
        let stored = match self.store.get(SNAPSHOTS_KEY).await {
            Ok(stored) => stored,
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let parsed = self.sealer.open(&stored, SNAPSHOTS_MAX).map_err(|problem| problem.to_string());
        let parsed = parsed.and_then(|plain| json::decode(&plain).map_err(|problem| problem.to_string()));
        Ok(parsed.unwrap_or_else(|problem| {
            tracing::warn!(key = SNAPSHOTS_KEY, %problem, "the snapshot catalog is damaged; reading the snapshots");
            Vec::new()
        }))
    }
}

/// The snapshot that a backup of this source follows on, among snapshots that are newest first.
pub(crate) fn previous<'a>(snapshots: &'a [SnapshotEntry], source: &SourceInfo) -> Option<&'a SnapshotEntry> {
    type Field = fn(&SourceInfo) -> &String;
    const RULES: [[Field; 3]; 3] = [
        [|s| &s.source_type, |s| &s.identity, |s| &s.path_id],
        [|s| &s.source_type, |s| &s.identity, |s| &s.path],
        [|s| &s.source_type, |s| &s.account, |s| &s.path],
    ];
    RULES.iter().find_map(|fields| {
        let same = |field: &Field, other| !field(source).is_empty() && field(source) == field(other);
        snapshots.iter().find(|snapshot| fields.iter().all(|field| same(field, &snapshot.source)))
    })
}

/// Which of two snapshots is the newer one. A time that cannot be read is older than all others.
fn newer(a: &SnapshotEntry, b: &SnapshotEntry) -> Ordering {
    let key = |entry: &SnapshotEntry| (entry.created.moment(), entry.seq, entry.reference);
    key(a).cmp(&key(b))
}
