//! The snapshots of a repository: listing, finding, and which one a backup follows on (format, section 8).
//!
//! The truth is which snapshot objects there are, and each is proven by its name. `index/snapshots` and `index/latest`
//! only save reading them: what they say is good for a list, but a snapshot that is restored or followed is read first,
//! and if they turn out to be wrong, all snapshots are.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Arc, PoisonError};

use futures::future::ready;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::index::{LATEST_KEY, SNAPSHOTS_KEY};
use super::{ReadError, Repository, RepositoryError};
use crate::object::{Latest, ObjectKind, ObjectRef, Snapshot, SnapshotEntry, SourceInfo};
use crate::source::Warning;

/// The snapshots of a repository.
#[derive(Debug, Clone, Default)]
pub struct SnapshotList {
    /// Those that can be read, newest first: by time, then number, then name.
    pub readable: Vec<SnapshotEntry>,
    /// What is wrong with each of the others, by key.
    pub unreadable: Vec<Warning>,
}

impl Repository {
    /// All snapshots.
    pub async fn snapshots(self: &Arc<Self>) -> Result<SnapshotList, RepositoryError> {
        self.refresh_catalog().await?;
        self.listed().await
    }

    /// The same, without a look at whether somebody has written the pack catalog.
    pub(super) async fn listed(self: &Arc<Self>) -> Result<SnapshotList, RepositoryError> {
        let refs = self.snapshot_refs().await?;
        self.forget_damage_of_others(&refs);
        let index = match self.known_index(&refs) {
            Some(index) => index,
            None => self.read_index().await?,
        };
        self.entries(&refs, index).await
    }

    /// The same, with those that `index/snapshots` names and that are nowhere, as far as this process sees: lost, or removed
    /// by a program that was cut off.
    pub async fn snapshots_and_missing(self: &Arc<Self>) -> Result<SnapshotList, RepositoryError> {
        self.refresh_catalog().await?;
        let refs = self.snapshot_refs().await?;
        self.forget_damage_of_others(&refs);
        let index = self.read_index().await?;
        let missing = missing(&refs, &index);
        let mut list = self.entries(&refs, index).await?;
        list.unreadable.extend(missing);
        Ok(list)
    }

    /// All snapshots, each of them read: for what cannot be undone, the index is not good enough.
    pub async fn proven_snapshots(self: &Arc<Self>) -> Result<SnapshotList, RepositoryError> {
        self.refresh_catalog().await?;
        let refs = self.snapshot_refs().await?;
        self.entries(&refs, Vec::new()).await
    }

    /// The snapshot of that name: `latest` (the one with the highest number), a reference, a hash, or the beginning of
    /// one.
    ///
    /// # Errors
    /// [`RepositoryError::NoSuchSnapshot`] if there is none, or more than one; [`RepositoryError::NoneReadable`] if there
    /// are some, and each is damaged.
    pub async fn find_snapshot(self: &Arc<Self>, name: &str) -> Result<(ObjectRef, Snapshot), RepositoryError> {
        let reference = self.find_reference(name).await?;
        Ok((reference, self.read_snapshot(reference).await?))
    }

    /// The same without reading the snapshot, unless it is `latest`: one that is damaged has a name, too.
    pub async fn find_reference(self: &Arc<Self>, name: &str) -> Result<ObjectRef, RepositoryError> {
        self.refresh_catalog().await?;
        if name == "latest" { self.find_latest().await } else { self.find_by_hash(name).await }
    }

    async fn find_latest(self: &Arc<Self>) -> Result<ObjectRef, RepositoryError> {
        let highest =
            |snapshots: &[SnapshotEntry]| snapshots.iter().max_by(|a, b| a.seq.cmp(&b.seq).then(newer(a, b))).cloned();
        let pointer = self.read_latest().await?;
        let agrees = |entry: &SnapshotEntry| match &pointer {
            Some(Latest { latest_snapshot, seq }) => *latest_snapshot == entry.reference && *seq == entry.seq,
            None => true,
        };
        let (newest, unreadable) = self.choose(highest, agrees).await?;
        if let Some(Latest { latest_snapshot, .. }) = &pointer
            && !self.snapshot_refs().await?.contains(latest_snapshot)
        {
            self.note_damage(LATEST_KEY, format!("it names {latest_snapshot}, which is missing"));
        }
        match (newest, unreadable.first()) {
            (Some(entry), _) => Ok(entry.reference),
            (None, Some(first)) => {
                Err(RepositoryError::NoneReadable { count: unreadable.len(), first: first.problem.clone() })
            }
            (None, None) => Err(match missing(&self.snapshot_refs().await?, &self.read_index().await?).as_slice() {
                [] => RepositoryError::NoSuchSnapshot("the repository has no snapshots yet: run a backup".to_owned()),
                [first, ..] => RepositoryError::NoSuchSnapshot(format!("{}: {}", first.path, first.problem)),
            }),
        }
    }

    async fn find_by_hash(&self, name: &str) -> Result<ObjectRef, RepositoryError> {
        let none = |problem: String| RepositoryError::NoSuchSnapshot(problem);
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

    /// The snapshot that a backup of `source` follows on, proven. Whoever asks has looked at the catalog a moment ago.
    pub(crate) async fn find_previous(
        self: &Arc<Self>,
        source: &SourceInfo,
    ) -> Result<Option<SnapshotEntry>, RepositoryError> {
        let pick = |snapshots: &[SnapshotEntry]| previous(snapshots, source).cloned();
        match self.choose(pick, |_| true).await {
            Ok((picked, _)) => Ok(picked),
            // The index names one that is damaged. A backup can do without it: it follows on the one before.
            Err(RepositoryError::Read(ReadError::Damaged { .. } | ReadError::Missing(_))) => {
                let refs = self.snapshot_refs().await?;
                Ok(pick(&self.entries(&refs, Vec::new()).await?.readable))
            }
            Err(error) => Err(error),
        }
    }

    /// What `pick` picks among all snapshots, proven, and which cannot be read. If it is not what the index says of it,
    /// or does not `agree` with what else is known, the index is not believed any more and every snapshot is read.
    async fn choose(
        self: &Arc<Self>,
        pick: impl Fn(&[SnapshotEntry]) -> Option<SnapshotEntry>,
        agrees: impl Fn(&SnapshotEntry) -> bool,
    ) -> Result<(Option<SnapshotEntry>, Vec<Warning>), RepositoryError> {
        let SnapshotList { readable, unreadable } = self.listed().await?;
        let Some(picked) = pick(&readable) else { return Ok((None, unreadable)) };
        let is_right = self.is_proven(&picked)
            || SnapshotEntry::new(picked.reference, &self.read_snapshot(picked.reference).await?) == picked;
        if is_right && agrees(&picked) {
            return Ok((Some(picked), unreadable));
        }
        if !is_right {
            self.note_damage(SNAPSHOTS_KEY, format!("it says of {} what is not so", picked.reference));
        }
        let refs = self.snapshot_refs().await?;
        let SnapshotList { readable, unreadable } = self.entries(&refs, Vec::new()).await?;
        Ok((pick(&readable), unreadable))
    }

    /// The entries of these snapshots: as they were proven before, else as the index has them, else read.
    pub(super) async fn entries(
        self: &Arc<Self>,
        refs: &BTreeSet<ObjectRef>,
        index: Vec<SnapshotEntry>,
    ) -> Result<SnapshotList, RepositoryError> {
        let mut known: HashMap<ObjectRef, SnapshotEntry> =
            index.into_iter().map(|entry| (entry.reference, entry)).collect();
        let mut list = SnapshotList::default();
        let mut unknown = Vec::new();
        {
            let proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
            for reference in refs {
                match proven.get(reference).cloned().or_else(|| known.remove(reference)) {
                    Some(entry) => list.readable.push(entry),
                    None => unknown.push(*reference),
                }
            }
        }
        let reading = stream::iter(unknown).map(async |reference| (reference, self.read_snapshot(reference).await));
        let mut read = pin!(reading.buffered(self.store.capabilities().concurrency));
        while let Some((reference, read)) = read.next().await {
            match read {
                Ok(snapshot) => list.readable.push(SnapshotEntry::new(reference, &snapshot)),
                // One damaged snapshot must not keep anybody from the others, or from making new ones.
                Err(RepositoryError::Read(problem @ (ReadError::Damaged { .. } | ReadError::Missing(_)))) => {
                    self.note_damage(&reference.key(), problem.to_string());
                    list.unreadable.push(Warning { path: reference.key(), problem: problem.to_string() });
                }
                Err(error) => return Err(error),
            }
        }
        list.readable.sort_by(|a, b| newer(b, a));
        Ok(list)
    }

    /// Reads a snapshot and remembers it as proven.
    pub(crate) async fn read_snapshot(self: &Arc<Self>, reference: ObjectRef) -> Result<Snapshot, RepositoryError> {
        let reader = self.known_reader(self.catalog().await?);
        let snapshot: Snapshot = tokio::task::spawn_blocking(move || reader.read_json(&reference)).await??;
        self.note_proven(SnapshotEntry::new(reference, &snapshot));
        self.forget_damage(&reference.key());
        Ok(snapshot)
    }

    /// What the index said when it was last read, if nothing more can be learned from it: a snapshot never changes.
    fn known_index(&self, refs: &BTreeSet<ObjectRef>) -> Option<Vec<SnapshotEntry>> {
        let proven = self.proven.lock().unwrap_or_else(PoisonError::into_inner);
        let indexed = self.indexed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unproven = refs.iter().filter(|reference| !proven.contains_key(reference)).peekable();
        if unproven.peek().is_none() {
            return Some(Vec::new());
        }
        unproven.map(|reference| indexed.get(reference).cloned()).collect()
    }

    /// Of snapshots that are not there any more it does not matter.
    fn forget_damage_of_others(&self, refs: &BTreeSet<ObjectRef>) {
        self.forget_damage_except(|key| {
            !key.starts_with("snapshot/") || key.parse().is_ok_and(|reference| refs.contains(&reference))
        });
    }

    fn is_proven(&self, entry: &SnapshotEntry) -> bool {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).get(&entry.reference) == Some(entry)
    }

    /// What is removed is neither proven nor damaged.
    pub(super) fn forget_snapshot(&self, reference: &ObjectRef) {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).remove(reference);
        self.forget_damage(&reference.key());
    }

    pub(super) fn note_proven(&self, entry: SnapshotEntry) {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).insert(entry.reference, entry);
    }

    /// Every snapshot object, in the base store and in packs.
    pub(super) async fn snapshot_refs(&self) -> Result<BTreeSet<ObjectRef>, RepositoryError> {
        let plain = self.store.list("snapshot/").try_filter_map(|stat| ready(Ok(stat.key.parse::<ObjectRef>().ok())));
        let mut refs: BTreeSet<ObjectRef> = plain.try_collect().await?;
        refs.extend(self.catalog().await?.objects(ObjectKind::Snapshot));
        Ok(refs)
    }
}

/// What an index names and is nowhere.
fn missing(refs: &BTreeSet<ObjectRef>, index: &[SnapshotEntry]) -> Vec<Warning> {
    let missing = index.iter().map(|entry| entry.reference).filter(|reference| !refs.contains(reference));
    let problem = "index/snapshots names it, and it is nowhere: it was lost, or a program was cut off that removed it; \
                   before the next backup, `cloudsticctl repair` can see what is left of it";
    missing.map(|reference| Warning { path: reference.key(), problem: problem.to_owned() }).collect()
}

/// The snapshot that a backup of this source follows on, among snapshots that are newest first.
fn previous<'a>(snapshots: &'a [SnapshotEntry], source: &SourceInfo) -> Option<&'a SnapshotEntry> {
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
pub(crate) fn newer(a: &SnapshotEntry, b: &SnapshotEntry) -> Ordering {
    let key = |entry: &SnapshotEntry| (entry.created.moment(), entry.seq, entry.reference);
    key(a).cmp(&key(b))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::object::Hash;

    fn entry(n: u8, source: SourceInfo) -> SnapshotEntry {
        SnapshotEntry {
            reference: ObjectRef::new(ObjectKind::Snapshot, Hash::of(&[n])),
            seq: n.into(),
            created: "2026-01-01T00:00:00Z".parse().unwrap(),
            root: None,
            source,
            tags: Vec::new(),
            change_token: String::new(),
            exclude_hash: String::new(),
        }
    }

    fn source(identity: &str, path_id: &str, account: &str, path: &str) -> SourceInfo {
        let [identity, path_id, account, path] = [identity, path_id, account, path].map(str::to_owned);
        SourceInfo { source_type: "local".to_owned(), identity, path_id, account, path, ..SourceInfo::default() }
    }

    #[test]
    fn the_previous_snapshot_is_found_by_identity_then_path_then_account() {
        let same_account = entry(5, source("", "", "host", "/a"));
        let same_path = entry(4, source("DISK", "", "other", "/a"));
        let same_id = entry(3, source("DISK", "/a", "third", "/mnt/a"));
        let own = source("DISK", "/a", "host", "/a");
        let all = [same_account.clone(), same_path.clone(), same_id.clone()];
        assert_eq!(previous(&all, &own), Some(&same_id));
        assert_eq!(previous(&all[..2], &own), Some(&same_path));
        assert_eq!(previous(&all[..1], &own), Some(&same_account));
        assert_eq!(previous(&all, &source("", "", "", "")), None);
    }

    #[test]
    fn of_snapshots_of_one_moment_the_higher_number_is_the_newer() {
        assert_eq!(newer(&entry(2, SourceInfo::default()), &entry(1, SourceInfo::default())), Ordering::Greater);
    }
}
