//! What there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use futures::future::ready;
use futures::stream::TryStreamExt;

use super::PruneError;
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::DOOMED_KEY;
use crate::reach::Alone;
use crate::repository::{Repository, RepositoryError, WholeCatalog};
use crate::source::Warning;
use crate::store::{ObjectStore, StoreResult};

/// All that a prune looks at, as it is at one moment.
#[derive(Debug)]
pub(super) struct Survey {
    /// Every pack and its size, sorted.
    pub(super) packs: Vec<(Hash, u64)>,
    /// When each was written.
    modified: Vec<SystemTime>,
    /// Where everything in them lies.
    pub(super) whole: WholeCatalog,
    /// Packs that stay although nothing in them is known to be needed, sorted: nobody knows what is in them, or another
    /// one of these may hold a lost snapshot that needs them.
    pub(super) kept: Vec<Hash>,
    /// Packs that stay as they are, because they have the second of two copies that are both bad.
    pub(super) held: BTreeSet<Hash>,
    /// The snapshots that lie by themselves, and their sizes.
    pub(super) plain_snapshots: BTreeMap<ObjectRef, u64>,
    /// What else lies by itself; taken by whoever marks.
    pub(super) alone: std::sync::Mutex<Option<Alone>>,
}

impl Survey {
    pub(super) async fn take(repository: &Arc<Repository>) -> Result<Self, PruneError> {
        let store = &**repository.store();
        // Footers after the list: what is in no list is not deleted.
        let (listed, alone, plain_snapshots) =
            futures::try_join!(list_packs(store), Alone::list(store), list_snapshots(store))
                .map_err(RepositoryError::from)?;
        let whole = repository.whole_catalog().await?;
        let (packs, modified) = listed.into_iter().map(|(name, size, modified)| ((name, size), modified)).unzip();
        let kept = to_keep(&whole);
        let survey =
            Self { packs, modified, whole, kept, held: BTreeSet::new(), plain_snapshots, alone: Some(alone).into() };
        survey.miss_no_snapshot(repository).await?;
        Ok(survey)
    }

    /// A snapshot that something names and that is nowhere was lost, or removed by a program that was cut off: nobody
    /// knows which, and what it needs would go.
    async fn miss_no_snapshot(&self, repository: &Repository) -> Result<(), PruneError> {
        let named = repository.read_index().await?.into_iter().map(|entry| entry.reference);
        let all = self.snapshots();
        let lost = self.whole.lost_snapshots.iter().copied();
        let mut missing: Vec<ObjectRef> = lost.chain(named).collect();
        missing.retain(|snapshot| all.binary_search(snapshot).is_err());
        missing.sort_unstable();
        missing.dedup();
        match missing.first() {
            None => Ok(()),
            Some(first) => Err(PruneError::Lost { key: first.key(), count: missing.len() }),
        }
    }

    /// What only a lost snapshot needs must not go.
    pub(super) fn know_every_pack(&self) -> Result<(), PruneError> {
        match self.kept.first() {
            None => Ok(()),
            Some(first) => Err(PruneError::Unknown { first: format!("packs/{first}"), count: self.kept.len() }),
        }
    }

    /// What is lost with the list of what no writer relies on, if that cannot be read.
    pub(super) fn unreadable_list(&self) -> Option<Warning> {
        let problem = "it cannot be read, and was replaced: damage that a repair had listed is not known any more; run \
                       `cloudsticctl repair` again, if there was any";
        let warning = Warning { path: DOOMED_KEY.to_owned(), problem: problem.to_owned() };
        self.whole.doomed.0.is_unreadable().then_some(warning)
    }

    /// All snapshots, in packs or by themselves.
    pub(super) fn snapshots(&self) -> Vec<ObjectRef> {
        let mut all: Vec<ObjectRef> = self.whole.catalog.objects(ObjectKind::Snapshot).collect();
        all.extend(self.plain_snapshots.keys());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The size of a pack.
    pub(super) fn size(&self, pack: &Hash) -> u64 {
        self.number(pack).map_or(0, |at| self.packs[at].1)
    }

    /// When a pack was written.
    pub(super) fn modified(&self, pack: &Hash) -> SystemTime {
        self.number(pack).map_or(SystemTime::UNIX_EPOCH, |at| self.modified[at])
    }

    fn number(&self, pack: &Hash) -> Option<usize> {
        self.packs.binary_search_by(|(name, _)| name.cmp(pack)).ok()
    }
}

fn to_keep(whole: &WholeCatalog) -> Vec<Hash> {
    let (doomed, _) = &whole.doomed;
    let mut kept: Vec<Hash> = whole.unknown.iter().filter(|pack| !doomed.is_needless(pack)).copied().collect();
    if !kept.is_empty() {
        kept.extend(&whole.damaged);
    }
    kept.sort_unstable();
    kept
}

async fn list_packs(store: &dyn ObjectStore) -> StoreResult<Vec<(Hash, u64, SystemTime)>> {
    let packs = store.list("packs/").try_filter_map(|stat| {
        let name = stat.key.strip_prefix("packs/").and_then(|name| name.parse().ok());
        ready(Ok(name.map(|name| (name, stat.size, stat.modified))))
    });
    let mut packs: Vec<_> = packs.try_collect().await?;
    packs.sort_unstable();
    Ok(packs)
}

async fn list_snapshots(store: &dyn ObjectStore) -> StoreResult<BTreeMap<ObjectRef, u64>> {
    let snapshots = store.list("snapshot/").try_filter_map(|stat| {
        let reference = stat.key.parse::<ObjectRef>().ok();
        ready(Ok(reference.map(|reference| (reference, stat.size))))
    });
    snapshots.try_collect().await
}
