//! Deletes, in rounds: before each one, what goes in it is listed for whoever comes when this process is stopped. See
//! [`Doomed`].

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::SystemTime;

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use super::superfluous::Superfluous;
use super::survey::Survey;
use super::{PruneError, PruneReport};
use crate::lock::LeaseWatch;
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::{DOOMED_KEY, Doomed};
use crate::progress::Progress;
use crate::reach::{Alone, NeededInPacks};
use crate::repository::{Repository, RepositoryError};
use crate::source::Warning;
use crate::store::{ObjectStat, ObjectStore, StoreError, StoreErrorKind, StoreResult, Version};

/// How many are deleted in one round. The list has some 75 bytes for each.
const ROUND: usize = 50_000;
/// How many are deleted with one call where the store has no conditions.
const BATCH: usize = 250;

/// The most packs that are listed before the catalog is written. Of more, those without a footer would end the next
/// prune if this one is killed right then, until a repair has looked.
const MOST_PACKS: usize = 200_000;

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
    /// An object that lies in a pack, too.
    Copy(ObjectRef),
}

impl Target {
    fn key(&self) -> String {
        match self {
            Self::Pack(pack) => format!("packs/{pack}"),
            Self::Object(object) | Self::Copy(object) => object.key(),
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
        let objects = superfluous.iter().filter_map(|Superfluous { kind, number, is_copy }| {
            let (object, size) = alone.get(*kind, *number)?;
            let target = if *is_copy { Target::Copy(object) } else { Target::Object(object) };
            Some((Stage::of_object(&object), target, size))
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

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Bytes of all that was deleted.
    bytes: u64,
    /// What is still there, with its size: somebody wrote it again meanwhile, or the store retains it.
    stayed: Vec<(Target, u64)>,
    /// What the store says of that which it retains for as long as somebody has set.
    retained: Vec<StoreError>,
}

impl Swept {
    /// Puts what was really done in the place of what was planned.
    pub(super) fn correct(&self, report: &mut PruneReport, plan: &Plan) {
        report.deleted_bytes = self.bytes;
        report.freed_bytes = self.bytes.saturating_sub(report.written_bytes);
        for (target, size) in &self.stayed {
            match target {
                Target::Pack(pack) => {
                    let is_dead = plan.dead.binary_search(pack).is_ok();
                    let gone = if is_dead { &mut report.packs_deleted } else { &mut report.packs_rewritten };
                    *gone = gone.saturating_sub(1);
                    report.packs_after += 1;
                    report.unused_bytes += size;
                }
                Target::Object(_) => report.removed_objects = report.removed_objects.saturating_sub(1),
                Target::Copy(_) => {}
            }
        }
    }

    /// What the store retains, as warnings.
    pub(super) fn retained(self) -> Vec<Warning> {
        self.retained.into_iter().map(Warning::from).collect()
    }

    fn and(mut self, other: Self) -> Self {
        self.bytes += other.bytes;
        self.stayed.extend(other.stayed);
        self.retained.extend(other.retained);
        self
    }
}

/// The list of what no writer relies on, while this prune makes it longer and shorter.
pub(super) struct Doom {
    /// What of it still holds.
    list: Doomed,
    /// What this prune is about to take out of the catalog.
    packs: Doomed,
    /// What it listed in its last round.
    round: Doomed,
    /// As it is stored.
    stored: Doomed,
    version: Option<Version>,
}

impl Doom {
    /// Takes what the survey has read, before anything was written, so that what another one lists meanwhile is noticed.
    /// What is gone leaves it; and so does whatever turned out not to be so.
    pub(super) fn begin(survey: &Survey, alone: &Alone, named: &NeededInPacks) -> Self {
        let (stored, version) = survey.whole.doomed.clone();
        let catalog = &survey.whole.catalog;
        let mut in_use: BTreeSet<Hash> = catalog.pointers().values().map(|place| place.pack).collect();
        for kind in ObjectKind::ALL {
            let used = (0..catalog.count(kind) as u32).filter(|number| named.contains(kind, *number));
            in_use.extend(used.filter_map(|number| Some(catalog.location_at(kind, number)?.pack)));
        }
        let has_pack = |pack: &Hash| survey.packs.binary_search_by(|(name, _)| name.cmp(pack)).is_ok();
        let snapshots = survey.snapshots();
        let list = stored.retained(
            has_pack,
            |pack| !in_use.contains(pack),
            |object| alone.number(object).is_some(),
            |snapshot, pack| {
                // In a pack that nobody knows may be another copy.
                let may_be_found = has_pack(pack) || !survey.kept.is_empty();
                may_be_found && snapshots.binary_search(snapshot).is_err()
            },
        );
        Self { list, packs: Doomed::default(), round: Doomed::default(), stored, version }
    }

    /// Lists the packs that go, before the catalog loses them: those without a footer are then known to nobody, and must not
    /// be kept for that.
    pub(super) async fn announce_packs(
        &mut self,
        repository: &Repository,
        going: &Going,
        lease: &LeaseWatch,
    ) -> Result<(), PruneError> {
        let packs = going.targets.iter().filter_map(|(_, target, _)| match target {
            Target::Pack(pack) => Some(*pack),
            Target::Object(_) | Target::Copy(_) => None,
        });
        self.packs = Doomed::needless(packs.take(MOST_PACKS).collect(), Vec::new());
        if going.targets.is_empty() {
            return Ok(());
        }
        self.write(repository, lease).await
    }

    /// Deletes, and tells what came of it. Each list has what the one before had, too, and what an earlier prune
    /// had listed: whoever reads it may have to do with a delete of either. The last one stays, for the next prune.
    pub(super) async fn sweep(
        mut self,
        repository: &Repository,
        going: Going,
        lease: &LeaseWatch,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Swept, PruneError> {
        progress.expect(going.targets.len() as u64, going.bytes());
        let mut swept = Swept { bytes: going.replaced, ..Swept::default() };
        for round in going.targets.chunks(ROUND) {
            let (seen, others) = look(repository, round).await?;
            swept.stayed.extend(others);
            let before = std::mem::replace(&mut self.round, listed(round));
            self.round = self.round.and(&before);
            self.write(repository, lease).await?;
            self.round = listed(round);
            for stage in seen.chunk_by(|a, b| a.stage == b.stage) {
                swept = swept.and(delete(repository, stage, lease, progress, cancel).await?);
            }
        }
        if going.targets.is_empty() {
            self.write(repository, lease).await?;
        }
        Ok(swept)
    }

    /// Makes the stored list say what this one does.
    async fn write(&mut self, repository: &Repository, lease: &LeaseWatch) -> Result<(), PruneError> {
        lease.confirm().await?;
        let list = self.list.and(&self.packs).and(&self.round);
        if list == self.stored {
            return Ok(());
        }
        let store = repository.store();
        let (encoded, sealer) = (list.clone(), repository.sealer().clone());
        let sealing = tokio::task::spawn_blocking(move || encoded.seal(&sealer));
        let sealed = sealing.await?.map_err(RepositoryError::from)?.into();
        let is_written = match &self.version {
            Some(version) if list.is_empty() => store.delete_if_unchanged(DOOMED_KEY, version).await?,
            Some(version) => store.put_if_unchanged(DOOMED_KEY, sealed, version).await?,
            None => store.put_if_absent(DOOMED_KEY, sealed).await?,
        };
        if !is_written {
            let problem = format!("{DOOMED_KEY} was written by another prune at the same time; prune again");
            return Err(RepositoryError::System(problem).into());
        }
        self.version = match list.is_empty() {
            true => None,
            false => Some(store.get_versioned(DOOMED_KEY).await?.1),
        };
        self.stored = list;
        Ok(())
    }
}

/// The list of what goes in a round.
fn listed(round: &[Listed]) -> Doomed {
    let (mut packs, mut objects) = (Vec::new(), Vec::new());
    for (_, target, _) in round {
        match target {
            Target::Pack(pack) => packs.push(*pack),
            Target::Object(object) | Target::Copy(object) => objects.push(*object),
        }
    }
    Doomed::needless(packs, objects)
}

/// Something that goes, as it was seen.
struct Seen {
    stage: Stage,
    target: Target,
    size: u64,
    /// `None` where the store cannot delete on condition.
    version: Option<Version>,
}

/// Looks at what goes, where that is of use. What is gone is left out, and so is what has another size than in the list,
/// for it is not what was found needless; this comes beside it.
async fn look(repository: &Repository, round: &[Listed]) -> StoreResult<(Vec<Seen>, Vec<(Target, u64)>)> {
    let store = &**repository.store();
    let capabilities = store.capabilities();
    if !capabilities.conditional_delete {
        let seen = |(stage, target, size): &Listed| Seen { stage: *stage, target: *target, size: *size, version: None };
        return Ok((round.iter().map(seen).collect(), Vec::new()));
    }
    let looked: Vec<Option<(bool, Seen)>> = stream::iter(round.iter().copied())
        .map(|(stage, target, listed)| async move {
            match store.stat_versioned(&target.key()).await {
                Ok((ObjectStat { size, .. }, version)) => {
                    Ok(Some((size == listed, Seen { stage, target, size, version: Some(version) })))
                }
                Err(error) if error.is_not_found() => Ok(None),
                Err(error) => Err(error),
            }
        })
        .buffered(capabilities.concurrency)
        .try_collect()
        .await?;
    let (seen, others): (Vec<_>, Vec<_>) = looked.into_iter().flatten().partition(|(is_same, _)| *is_same);
    let others = others.into_iter().map(|(_, Seen { target, size, .. })| (target, size)).collect();
    Ok((seen.into_iter().map(|(_, seen)| seen).collect(), others))
}

async fn delete(
    repository: &Repository,
    seen: &[Seen],
    lease: &LeaseWatch,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<Swept, PruneError> {
    let store = &**repository.store();
    let at_once = if store.capabilities().conditional_delete { 1 } else { BATCH };
    stream::iter(0..seen.len().div_ceil(at_once))
        .map(|batch| async move {
            if cancel.is_cancelled() {
                return Err(PruneError::Cancelled);
            }
            lease.confirm().await?;
            let batch = &seen[batch * at_once..seen.len().min((batch + 1) * at_once)];
            let swept = delete_batch(store, batch).await?;
            progress.advance(batch.len() as u64, batch.iter().map(|seen| seen.size).sum());
            Ok(swept)
        })
        .buffer_unordered(store.capabilities().concurrency)
        .try_fold(Swept::default(), |all, batch| async move { Ok(all.and(batch)) })
        .await
}

async fn delete_batch(store: &dyn ObjectStore, batch: &[Seen]) -> StoreResult<Swept> {
    let mut swept = Swept::default();
    if let [Seen { target, size, version: Some(version), .. }] = batch {
        match store.delete_if_unchanged(&target.key(), version).await {
            Ok(true) => swept.bytes = *size,
            Ok(false) => swept.stayed.push((*target, *size)),
            Err(error) if error.kind == StoreErrorKind::Retained => {
                swept.stayed.push((*target, *size));
                swept.retained.push(error);
            }
            Err(error) => return Err(error),
        }
        return Ok(swept);
    }
    let keys: Vec<String> = batch.iter().map(|seen| seen.target.key()).collect();
    swept.retained = store.delete_many(&keys).await?;
    if let Some(error) = swept.retained.iter().find(|error| error.kind != StoreErrorKind::Retained) {
        return Err(error.clone());
    }
    let retained: BTreeSet<&str> = swept.retained.iter().map(|error| error.key.as_str()).collect();
    for (Seen { target, size, .. }, key) in batch.iter().zip(&keys) {
        match retained.contains(key.as_str()) {
            true => swept.stayed.push((*target, *size)),
            false => swept.bytes += size,
        }
    }
    Ok(swept)
}
