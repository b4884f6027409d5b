//! Repairing a repository: what can be read is put where it is found, and what is lost is named.
//!
//! In this order, so that whatever is cut off, nothing is worse than it was: good objects are copied out of damaged packs;
//! the catalog is written anew; each damaged snapshot gets a new one of what is left of it, with its number and time; the
//! indexes are made to agree. Only then, and only if that was asked for, what is damaged is removed: the old snapshots, and
//! the packs and objects that nothing good is left in. Whether they go or stay, they are listed as doomed (see
//! [`crate::pack::Doomed`]), so that no backup takes a lost object for present because it is there, if damaged.
//!
//! What is damaged is looked at once more before it is given up, and again right before it is removed (see [`look`]): nothing
//! goes for an error that says nothing of the bytes.
//!
//! The lock must be exclusive: the caller's.

mod carve;
mod damage;
mod footers;
mod look;
mod packs;
mod places;
mod report;
mod salvage;
mod snapshots;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use damage::Damage;
use footers::{Footers, read_footers};
use places::{Places, Sources, find_places};

use crate::check::{
    CheckError, CheckRequest, Examined, Fault, Findings, Problem, ReadData, examine, examine_survey, pack_key,
};
use crate::lock::{LeaseWatch, LockLost};
use crate::midway::Midway;
use crate::object::{Hash, ObjectRef};
use crate::pack::{CATALOG_KEY, Catalog, DOOMED_KEY, Doomed};
use crate::progress::{Phase, Progress};
use crate::repository::{LATEST_KEY, MARKER_KEY, Repository, RepositoryError, SNAPSHOTS_KEY};
use crate::store::StoreError;

pub use report::{CatalogRepair, KEPT, LostPath, RepairReport, SnapshotRepair};

/// What to repair, and how.
#[derive(Debug, Clone)]
pub struct RepairRequest {
    /// Prove all data first. Without it, damage inside small files is only found where a pack is known to be damaged.
    pub read_data: bool,
    /// Remove damaged snapshots when others are in their place, and packs and objects that only damage is left in.
    pub forget_damaged: bool,
    /// Say what would be done.
    pub dry_run: bool,
    /// An exclusive lock; a shared one is enough for a dry run.
    pub lease: LeaseWatch,
}

/// Why a repository could not be repaired.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// It could not be looked at, or not be written.
    #[error(transparent)]
    Check(CheckError),
    /// The storage answers differently each time.
    #[error(
        "{0} was read twice, and only once it was what it should be: the storage or the memory is not to be trusted, and \
         nothing was removed; find out what is wrong there, and run this again"
    )]
    Unsteady(String),
    /// It failed after some was repaired.
    #[error("{error}")]
    Midway {
        /// What was done. Of the snapshots that it wrote, those that are not yet listed have no name here.
        done: Box<RepairReport>,
        /// Why no more was.
        #[source]
        error: Box<RepairError>,
    },
    /// Cancelled.
    #[error("the repair was cancelled; nothing good was removed, and it can be run again")]
    Cancelled,
}

impl Midway for RepairError {
    type Report = RepairReport;

    fn into_done(self) -> (Self, Option<RepairReport>) {
        match self {
            Self::Midway { done, error } => (*error, Some(*done)),
            error => (error, None),
        }
    }
}

impl From<CheckError> for RepairError {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Cancelled => Self::Cancelled,
            other => Self::Check(other),
        }
    }
}

impl From<RepositoryError> for RepairError {
    fn from(error: RepositoryError) -> Self {
        Self::Check(error.into())
    }
}

impl From<LockLost> for RepairError {
    fn from(lost: LockLost) -> Self {
        Self::Check(lost.into())
    }
}

impl From<StoreError> for RepairError {
    fn from(error: StoreError) -> Self {
        RepositoryError::from(error).into()
    }
}

/// Repairs a repository. A sound one stays as it is.
pub async fn repair(
    repository: Arc<Repository>,
    request: RepairRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<RepairReport, RepairError> {
    let cancel = cancel.child_token();
    let _guard = cancel.clone().drop_guard();
    let data = if request.read_data { ReadData::All } else { ReadData::No };
    let checking = CheckRequest { snapshot: None, data, lease: request.lease.clone() };
    let first = examine(&repository, &checking, Arc::clone(&progress), cancel).await?;
    let mut report =
        RepairReport { dry_run: request.dry_run, fault_count: first.findings.count(), ..Default::default() };
    let is_own = |object: &str| object == MARKER_KEY || object.starts_with("keys/");
    let own = first.findings.faults.iter().filter(|fault| is_own(&fault.object));
    report.beyond_repair = own.cloned().collect();
    let concerns = |key| first.findings.concerns(key);
    let indexes = concerns(LATEST_KEY) || concerns(SNAPSHOTS_KEY);
    let list = concerns(DOOMED_KEY);
    let nothing = report.fault_count == report.beyond_repair.len() as u64;
    // In a pack of which nothing is known may be what was lost.
    if nothing && !indexes && !list && !concerns(CATALOG_KEY) && first.survey.unknown.is_empty() {
        return Ok(report);
    }
    let rewrites_catalog = concerns(CATALOG_KEY);
    let (second, places, footers) = look_again(&repository, first, &checking, &progress).await?;
    report.beyond_repair.extend(left_alone(&places));
    let indexes = indexes || [LATEST_KEY, SNAPSHOTS_KEY].into_iter().any(|key| second.findings.concerns(key));
    let forget = request.forget_damaged;
    let (examined, damage) = blocking(move || {
        let mut second = second;
        let damage = Damage::find(&mut second, &footers)?;
        Ok((Arc::new(second), Arc::new(damage)))
    })
    .await?;
    let plans = snapshots::plan(Arc::clone(&examined), &damage, Arc::clone(&progress)).await?;
    report.snapshots = plans.iter().map(snapshots::Plan::report).collect();
    report.damaged_objects = damage.count();
    let catalog = damage.catalog_without_bad(&examined);
    let all = CatalogRepair {
        rewritten: rewrites_catalog || damage.differs_from_stored(&examined, &catalog),
        dropped: places.dropped,
        recovered: places.recovered,
        salvaged: 0,
    };
    let indexes = indexes || list || plans.iter().any(|plan| plan.snapshot.is_some());
    if request.dry_run {
        return Ok(RepairReport { catalog: all, indexes, ..report });
    }
    progress.phase(Phase::Writing);
    let (unclear, lease) = (&places.unclear, &request.lease);
    let work = Work { repository: &repository, examined: &examined, damage: &damage, unclear, lease };
    let written = async {
        work.write((catalog, all), plans, (forget, indexes), &mut report).await?;
        // Last: what is cut off before is looked into again.
        Ok(repository.doom(&Doomed::needless(places.needless, Vec::new()), &request.lease).await?)
    };
    match written.await {
        Ok(()) => Ok(report),
        Err(error) if !report.has_done_anything() => Err(error),
        Err(error) => Err(RepairError::Midway { done: report.into(), error: error.into() }),
    }
}

/// Finds the places of all objects, and looks again where they are others than it was thought. Packs that are listed as
/// doomed are left out of it, as long as nothing is missing without them: what is named passes for good, and they are
/// damaged, or a delete of them may arrive at any time. Also gives what the footers of the others say.
async fn look_again(
    repository: &Arc<Repository>,
    first: Examined,
    checking: &CheckRequest,
    progress: &Arc<dyn Progress>,
) -> Result<(Examined, Places, Footers), RepairError> {
    let (store, sealer) = (&**repository.store(), repository.sealer());
    let (doomed, _) = Doomed::read(store, sealer).await?;
    let remembered = snapshots::remembered(repository, &first).await?;
    let is_hit = first.findings.concerns(CATALOG_KEY);
    let is_catalog_bad =
        first.survey.is_catalog_lost || first.findings.faults.iter().any(|fault| fault.object == CATALOG_KEY);
    let mut footers = read_footers(repository, &first.survey, |pack| !doomed.has_pack(pack)).await?;
    let catalog = Arc::clone(&footers.catalog);
    let mut sources = Sources { footers: catalog, doomed, with_listed: false, is_catalog_bad };
    let (mut examined, mut unclear) = (first, BTreeSet::new());
    loop {
        let (looked, mut places, used) = blocking(move || {
            let places = find_places(&examined, &sources)?;
            Ok((examined, places, sources))
        })
        .await?;
        sources = used;
        unclear.append(&mut places.unclear);
        let mut known = remembered.clone();
        // What was found needs no remembering, which may lack what is free text.
        known.retain(|snapshot, _| !places.catalog.contains(snapshot) || places.unread.contains(snapshot));
        let is_real = |snapshot: &ObjectRef| !is_hit || remembered.contains_key(snapshot);
        let survey = looked.survey.with_catalog(Arc::clone(&places.catalog), is_real);
        let context = (Arc::clone(progress), looked.stop.clone());
        examined = examine_survey(repository, survey, Findings::default(), known, checking, context).await?;
        // Also where some of a pack is named: what could not be read before was left out.
        let is_left = |(pack, _): &(Hash, u64)| sources.doomed.has_pack(pack);
        let is_left = !sources.with_listed && examined.survey.packs.iter().any(is_left);
        // What is found only by the footers of listed packs is read by them, and named nowhere.
        let is_all_named = examined.findings.bad.is_empty() && examined.reader.own_detours().is_empty();
        if is_all_named || !is_left {
            // What is nowhere may be in there.
            footers.is_blind |= !unclear.is_empty();
            return Ok((examined, Places { unclear, ..places }, footers));
        }
        footers = read_footers(repository, &examined.survey, |_| true).await?;
        sources.footers = Arc::clone(&footers.catalog);
        sources.with_listed = true;
    }
}

/// What is told of packs that stay because not all that is in them is known.
fn left_alone(places: &Places) -> Vec<Fault> {
    let unclear = "not all of it could be looked through, so nobody knows what else is in it, and it stays; repair again when \
                   the storage can read it";
    let torn = "neither the catalog nor a footer says what is in it, some of it is damaged, and no snapshot was found that \
                needs the rest; it stays";
    let unclear = places.unclear.iter().map(|pack| fault(pack_key(pack), unclear));
    unclear.chain(places.torn.iter().map(|pack| fault(pack_key(pack), torn))).collect()
}

/// What stays as it is.
fn fault(object: String, problem: &str) -> Fault {
    Fault { object, pack: None, problem: Problem::Wrong(problem.to_owned()), lost: 0, harm: Vec::new(), snapshots: 0 }
}

/// What a repair writes.
struct Work<'a> {
    repository: &'a Arc<Repository>,
    examined: &'a Arc<Examined>,
    damage: &'a Arc<Damage>,
    /// Packs that stay whatever is damaged in them.
    unclear: &'a BTreeSet<Hash>,
    lease: &'a LeaseWatch,
}

impl Work<'_> {
    /// Notes in `report` what is done, when it is.
    async fn write(
        &self,
        (mut catalog, mut all): (Catalog, CatalogRepair),
        plans: Vec<snapshots::Plan>,
        (forget, indexes): (bool, bool),
        report: &mut RepairReport,
    ) -> Result<(), RepairError> {
        let Self { repository, examined, damage, unclear, lease } = self;
        let mut judged = BTreeMap::new();
        if forget && !damage.packs.is_empty() {
            let salvaged = salvage::salvage(repository, examined, (damage, unclear), &catalog, lease).await?;
            all.salvaged = salvaged.objects;
            all.rewritten |= !salvaged.judged.is_empty();
            (catalog, judged) = (salvaged.catalog, salvaged.judged);
        }
        // Before anything loses its name: a pack that has none left is found again by its footer, unless it is listed.
        repository.doom(&Doomed::damaged(damage.packs.clone(), damage.plain.clone()), lease).await?;
        if all.rewritten {
            repository.rebuild_catalog(catalog, examined.survey.version.clone(), lease).await?;
        }
        report.catalog = all;
        let is_unreadable =
            |old: &&ObjectRef| !examined.snapshots.contains_key(old) || examined.remembered.contains(old);
        let unreadable: Vec<ObjectRef> = examined.chosen.iter().filter(is_unreadable).copied().collect();
        let removed: BTreeSet<ObjectRef> = plans.iter().filter(|plan| plan.is_to_go()).map(|plan| plan.old).collect();
        if indexes || !plans.is_empty() {
            let (written, snapshots, places) = snapshots::write(repository, examined, (plans, damage), lease).await?;
            let names = repository.put_snapshots(written, snapshots, &unreadable, lease).await?;
            for (place, name) in places.into_iter().zip(names) {
                report.snapshots[place].new = Some(name);
            }
            report.indexes = true;
        }
        if forget {
            let (known, wanted) = ((Arc::clone(examined), Arc::clone(damage)), removed);
            let removed = blocking(move || known.1.certain(&known.0, &wanted)).await?;
            let mut retained = repository.remove_snapshots(&removed, lease).await?;
            let is_gone =
                |old: &ObjectRef| removed.contains(old) && retained.iter().all(|error| error.key != old.key());
            for repaired in report.snapshots.iter_mut().filter(|repaired| is_gone(&repaired.old)) {
                repaired.removed = true;
            }
            report.removed_objects = damage.remove(repository, examined, judged, &mut retained, lease).await?;
            report.damaged_objects -= report.removed_objects;
            report.beyond_repair.extend(retained.iter().map(|error| fault(error.key.clone(), &error.to_string())));
        }
        repository.settle(lease).await?;
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RepairError> + Send + 'static,
) -> Result<T, RepairError> {
    tokio::task::spawn_blocking(work).await.map_err(RepositoryError::from)?
}
