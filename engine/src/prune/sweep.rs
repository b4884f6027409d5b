//! Deletes, in rounds: before each one, what goes in it is listed for whoever comes when this process is stopped. See
//! [`Doomed`].

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::PruneError;
use super::plan::Plan;
use super::superfluous::Superfluous;
use super::survey::Survey;
use crate::lock::LeaseWatch;
use crate::object::{Hash, ObjectRef};
use crate::pack::{DOOMED_KEY, Doomed};
use crate::progress::Progress;
use crate::reach::Alone;
use crate::repository::{Repository, RepositoryError};
use crate::store::{ObjectStat, StoreResult, Version};

/// How many are deleted in one round. The list has some 75 bytes for each.
const ROUND: usize = 50_000;

/// All that is going to be deleted, with sizes.
#[derive(Debug, Default)]
pub(super) struct Going {
    targets: Vec<(Target, u64)>,
    /// Bytes of snapshots by themselves that are replaced by those that were in packs.
    replaced: u64,
}

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

impl Going {
    pub(super) fn new(survey: &Survey, plan: &Plan, superfluous: &[Superfluous], alone: &Alone) -> Self {
        let objects = superfluous.iter().filter_map(|Superfluous { kind, number, .. }| {
            let (object, size) = alone.get(*kind, *number)?;
            Some((Target::Object(object), size))
        });
        let packs = plan.dead.iter().chain(&plan.rewritten).map(|pack| (Target::Pack(*pack), survey.size(pack)));
        let snapshot = |number| survey.whole.catalog.hash_at(crate::object::ObjectKind::Snapshot, number);
        let replaced = plan.unpacked.iter().filter_map(|(number, _)| {
            let reference = ObjectRef::new(crate::object::ObjectKind::Snapshot, *snapshot(*number)?);
            survey.plain_snapshots.get(&reference)
        });
        Self { replaced: replaced.sum(), targets: objects.chain(packs).collect() }
    }

    /// Bytes of all of it.
    pub(super) fn bytes(&self) -> u64 {
        self.replaced + self.targets.iter().map(|(_, size)| size).sum::<u64>()
    }
}

/// The list as an earlier prune left it.
pub(super) struct Doom {
    list: Doomed,
    version: Option<Version>,
}

impl Doom {
    /// Reads it: before anything is written, so that what another one lists meanwhile is noticed.
    pub(super) async fn begin(repository: &Repository) -> Result<Self, PruneError> {
        let (list, version) = Doomed::read(&**repository.store(), repository.sealer()).await?;
        Ok(Self { list, version })
    }

    /// Deletes, and tells how many bytes that were. Each list has what the one before had, too: whoever reads it may have
    /// to do with a delete of either round. The last one stays, for the next prune.
    pub(super) async fn sweep(
        mut self,
        repository: &Repository,
        mut going: Going,
        lease: &LeaseWatch,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<u64, PruneError> {
        progress.expect(going.targets.len() as u64, going.bytes());
        let mut bytes = going.replaced;
        // What an earlier prune was about to delete goes first, while its list still holds.
        going.targets.sort_by_key(|(target, _)| !self.lists(target));
        for round in going.targets.chunks(ROUND) {
            let seen = look(repository, round).await?;
            lease.confirm().await?;
            self.announce(repository, round).await?;
            bytes += delete(repository, seen, lease, progress, cancel).await?;
        }
        if let (true, Some(version)) = (going.targets.is_empty(), &self.version) {
            lease.confirm().await?;
            repository.store().delete_if_unchanged(DOOMED_KEY, version).await?;
        }
        Ok(bytes)
    }

    fn lists(&self, target: &Target) -> bool {
        match target {
            Target::Pack(pack) => self.list.has_pack(pack),
            Target::Object(object) => self.list.has(object),
        }
    }

    async fn announce(&mut self, repository: &Repository, round: &[(Target, u64)]) -> Result<(), PruneError> {
        let (mut packs, mut objects) = (Vec::new(), Vec::new());
        for (target, _) in round {
            match target {
                Target::Pack(pack) => packs.push(*pack),
                Target::Object(object) => objects.push(*object),
            }
        }
        let own = Doomed::new(packs, objects);
        let (list, sealer) = (own.and(&self.list), repository.sealer().clone());
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
        *self = Self { list: own, version: Some(version) };
        Ok(())
    }
}

/// Something that goes, as it was seen.
struct Seen {
    target: Target,
    size: u64,
    /// `None` where the store cannot delete on condition.
    version: Option<Version>,
}

/// Looks at what goes, where that is of use. What is gone, or has another size than in the list, is left out: it is not
/// what was found needless.
async fn look(repository: &Repository, round: &[(Target, u64)]) -> StoreResult<Vec<Seen>> {
    let store = &**repository.store();
    let capabilities = store.capabilities();
    if !capabilities.conditional_delete {
        return Ok(round.iter().map(|(target, size)| Seen { target: *target, size: *size, version: None }).collect());
    }
    let seen: Vec<Option<Seen>> = stream::iter(round.iter().copied())
        .map(|(target, listed)| async move {
            match store.stat_versioned(&target.key()).await {
                Ok((ObjectStat { size, .. }, version)) => {
                    Ok((size == listed).then_some(Seen { target, size, version: Some(version) }))
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
    seen: Vec<Seen>,
    lease: &LeaseWatch,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<u64, PruneError> {
    let store = &**repository.store();
    stream::iter(seen)
        .map(|Seen { target, size, version }| async move {
            if cancel.is_cancelled() {
                return Err(PruneError::Cancelled);
            }
            lease.confirm().await?;
            let key = target.key();
            let is_gone = match version {
                Some(version) => store.delete_if_unchanged(&key, &version).await?,
                None => store.delete(&key).await.map(|()| true)?,
            };
            progress.advance(1, size);
            Ok(if is_gone { size } else { 0 })
        })
        .buffer_unordered(store.capabilities().concurrency)
        .try_fold(0, |all, size| async move { Ok(all + size) })
        .await
}
