//! Deletes, in rounds: before each one, what goes in it is listed for whoever comes when this process is stopped. See
//! [`Doomed`].

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::SystemTime;

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::PruneError;
use super::plan::Plan;
use super::superfluous::Superfluous;
use super::survey::Survey;
use crate::lock::LeaseWatch;
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::{DOOMED_KEY, Doomed};
use crate::progress::Progress;
use crate::reach::{Alone, NeededInPacks};
use crate::repository::{Repository, RepositoryError};
use crate::store::{ObjectStat, StoreResult, Version};

/// How many are deleted in one round. The list has some 75 bytes for each.
const ROUND: usize = 50_000;

/// All that is going to be deleted, with sizes.
#[derive(Debug, Default)]
pub(super) struct Going {
    /// In the order in which it goes.
    targets: Vec<Listed>,
    /// Bytes of snapshots by themselves that are replaced by those that were in packs.
    replaced: u64,
}

/// What goes, when, and its size.
type Listed = (Stage, Target, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Pack(Hash),
    Object(ObjectRef),
}

impl Target {
    fn key(&self) -> String {
        match self {
            Self::Pack(pack) => format!("packs/{pack}"),
            Self::Object(object) => object.key(),
        }
    }
}

/// When something may be deleted: contents before the chunks that they name, or one that a killed prune leaves would seem
/// to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// No chunk goes with it.
    First,
    /// A pack with contents and chunks that both go. A content is written after its chunks, so the newest pack goes first,
    /// one by one.
    Mixed(Reverse<SystemTime>, Hash),
    /// No content goes with it.
    Last,
}

impl Stage {
    fn of_object(object: &ObjectRef) -> Self {
        if object.kind == ObjectKind::Chunk { Self::Last } else { Self::First }
    }

    fn of_pack(survey: &Survey, pack: &Hash, contents: &BTreeSet<Hash>, chunks: &BTreeSet<Hash>) -> Self {
        match (contents.contains(pack), chunks.contains(pack)) {
            (_, false) => Self::First,
            (true, true) => Self::Mixed(Reverse(survey.modified(pack)), *pack),
            (false, true) => Self::Last,
        }
    }
}

impl Going {
    pub(super) fn new(
        survey: &Survey,
        plan: &Plan,
        superfluous: &[Superfluous],
        alone: &Alone,
        named: &NeededInPacks,
    ) -> Self {
        let objects = superfluous.iter().filter_map(|Superfluous { kind, number, .. }| {
            let (object, size) = alone.get(*kind, *number)?;
            Some((Stage::of_object(&object), Target::Object(object), size))
        });
        let catalog = &survey.whole.catalog;
        let with = |kind| -> BTreeSet<Hash> {
            let going = (0..catalog.count(kind) as u32).filter(|number| !named.contains(kind, *number));
            going.filter_map(|number| Some(catalog.location_at(kind, number)?.pack)).collect()
        };
        let [contents, chunks] = [ObjectKind::Content, ObjectKind::Chunk].map(with);
        let packs = plan
            .dead
            .iter()
            .chain(&plan.rewritten)
            .map(|pack| (Stage::of_pack(survey, pack, &contents, &chunks), Target::Pack(*pack), survey.size(pack)));
        let mut targets: Vec<_> = objects.chain(packs).collect();
        targets.sort_by_key(|(stage, ..)| *stage);
        let snapshot = |number| catalog.hash_at(ObjectKind::Snapshot, number);
        let replaced = plan.unpacked.iter().filter_map(|(number, _)| {
            survey.plain_snapshots.get(&ObjectRef::new(ObjectKind::Snapshot, *snapshot(*number)?))
        });
        Self { replaced: replaced.sum(), targets }
    }

    /// Bytes of all of it.
    pub(super) fn bytes(&self) -> u64 {
        self.replaced + self.targets.iter().map(|(_, _, size)| size).sum::<u64>()
    }
}

/// The list as an earlier prune left it.
pub(super) struct Doom {
    list: Doomed,
    /// What this prune listed last.
    own: Doomed,
    version: Option<Version>,
}

impl Doom {
    /// Reads it: before anything is written, so that what another one lists meanwhile is noticed.
    pub(super) async fn begin(repository: &Repository) -> Result<Self, PruneError> {
        let (list, version) = Doomed::read(&**repository.store(), repository.sealer()).await?;
        Ok(Self { list, own: Doomed::default(), version })
    }

    /// Deletes, and tells how many bytes that were. Each list has what the one before had, too, and what an earlier prune
    /// had listed: whoever reads it may have to do with a delete of either. The last one stays, for the next prune.
    pub(super) async fn sweep(
        mut self,
        repository: &Repository,
        going: Going,
        lease: &LeaseWatch,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<u64, PruneError> {
        progress.expect(going.targets.len() as u64, going.bytes());
        let mut bytes = going.replaced;
        for round in going.targets.chunks(ROUND) {
            let seen = look(repository, round).await?;
            lease.confirm().await?;
            self.announce(repository, round).await?;
            for stage in seen.chunk_by(|a, b| a.stage == b.stage) {
                bytes += delete(repository, stage, lease, progress, cancel).await?;
            }
        }
        if let (true, Some(version)) = (going.targets.is_empty(), &self.version) {
            lease.confirm().await?;
            repository.store().delete_if_unchanged(DOOMED_KEY, version).await?;
        }
        Ok(bytes)
    }

    async fn announce(&mut self, repository: &Repository, round: &[Listed]) -> Result<(), PruneError> {
        let (mut packs, mut objects) = (Vec::new(), Vec::new());
        for (_, target, _) in round {
            match target {
                Target::Pack(pack) => packs.push(*pack),
                Target::Object(object) => objects.push(*object),
            }
        }
        let own = Doomed::new(packs, objects);
        let (list, sealer) = (own.and(&self.own).and(&self.list), repository.sealer().clone());
        let sealing = tokio::task::spawn_blocking(move || sealer.seal(&list.encode()));
        let sealed = sealing.await?.map_err(RepositoryError::from)?.into();
        let store = repository.store();
        let is_written = match &self.version {
            Some(version) => store.put_if_unchanged(DOOMED_KEY, sealed, version).await?,
            None => store.put_if_absent(DOOMED_KEY, sealed).await?,
        };
        if !is_written {
            let problem = format!("{DOOMED_KEY} was written by another prune at the same time; prune again");
            return Err(RepositoryError::System(problem).into());
        }
        let (_, version) = store.get_versioned(DOOMED_KEY).await?;
        (self.own, self.version) = (own, Some(version));
        Ok(())
    }
}

/// Something that goes, as it was seen.
struct Seen {
    stage: Stage,
    target: Target,
    size: u64,
    /// `None` where the store cannot delete on condition.
    version: Option<Version>,
}

/// Looks at what goes, where that is of use. What is gone, or has another size than in the list, is left out: it is not
/// what was found needless.
async fn look(repository: &Repository, round: &[Listed]) -> StoreResult<Vec<Seen>> {
    let store = &**repository.store();
    let capabilities = store.capabilities();
    if !capabilities.conditional_delete {
        let seen = |(stage, target, size): &Listed| Seen { stage: *stage, target: *target, size: *size, version: None };
        return Ok(round.iter().map(seen).collect());
    }
    let seen: Vec<Option<Seen>> = stream::iter(round.iter().copied())
        .map(|(stage, target, listed)| async move {
            match store.stat_versioned(&target.key()).await {
                Ok((ObjectStat { size, .. }, version)) => {
                    Ok((size == listed).then_some(Seen { stage, target, size, version: Some(version) }))
                }
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            }
        })
        .buffered(capabilities.concurrency)
        .try_collect()
        .await?;
    Ok(seen.into_iter().flatten().collect())
}

async fn delete(
    repository: &Repository,
    seen: &[Seen],
    lease: &LeaseWatch,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<u64, PruneError> {
    let store = &**repository.store();
    stream::iter(0..seen.len())
        .map(|at| async move {
            let Seen { target, size, version, .. } = &seen[at];
            if cancel.is_cancelled() {
                return Err(PruneError::Cancelled);
            }
            lease.confirm().await?;
            let key = target.key();
            let is_gone = match version {
                Some(version) => store.delete_if_unchanged(&key, version).await?,
                None => store.delete(&key).await.map(|()| true)?,
            };
            progress.advance(1, *size);
            Ok(if is_gone { *size } else { 0 })
        })
        .buffer_unordered(store.capabilities().concurrency)
        .try_fold(0, |all, size| async move { Ok(all + size) })
        .await
}
