//! Prune: removes what no snapshot needs, and rewrites packs that are mostly waste.
//!
//! Why nothing is lost, whenever it is killed. It works alone, under an exclusive lease. First everything that snapshots
//! need is found and read ([`crate::reach`]); whatever cannot be read ends it before anything was changed. Then, in this
//! order: new packs, and whatever else moves out of old ones; the catalog that names the new places; and only then the
//! deletions. So at any moment each object that is needed lies where the catalog says, or in a pack whose footer names it;
//! what a killed prune leaves is found and removed by the next one. A content, needed or not, is deleted before chunks
//! that only it names, and while it stays, so do they: whoever finds one may rely on it. What is copied was proven before,
//! and so was that one of two for which the other one goes ([`copies`]).
//!
//! Why a late delete does no harm: a process may be stopped between its last look at its lease and a delete, and another
//! one backs up before that delete arrives. See [`crate::pack::Doomed`] for how that one then relies on nothing that is
//! about to go; and where the store can, only what is still as it was seen under the lease is deleted.
//!
//! What ends it, too: a pack of which nobody knows what is in it. A program that overwrites the catalog makes others forget
//! packs without a footer, and with them snapshots, which a repair can find again; and what these need, chunks by themselves
//! among it, would pass for needless. Only what is listed as needless is surely nothing of that kind, and what a prune takes
//! out of the catalog it lists there before. Whoever asks for a prune all the same keeps at least such packs.
//! Where this process remembers what such packs held, their snapshots are named again with their data.

mod copies;
mod error;
mod layout;
mod mark;
mod plan;
mod rewrite;
mod superfluous;
mod survey;
mod sweep;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

pub use error::PruneError;

use layout::Layout;
use mark::Marked;
use plan::{Limits, Plan};
use survey::Survey;

use crate::lock::LeaseWatch;
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::Catalog;
use crate::progress::{Phase, Progress};
use crate::reach::{NeededInPacks, Reach};
use crate::repository::Repository;
use crate::source::Warning;
use crate::warnings::{KEPT, Warnings};

/// The part of a pack's members that may be waste, in percent, if nothing else was asked for.
pub const MAX_WASTE_PERCENT: u8 = 30;

/// What to prune, and how.
#[derive(Debug, Clone)]
pub struct PruneRequest {
    /// Only say what would be done. Changes nothing.
    pub dry_run: bool,
    /// A pack is rewritten if more than this part of its members' bytes is waste, in percent.
    pub max_waste_percent: u8,
    /// At most so many bytes are copied into new packs; those with the most waste come first. `None`: no limit.
    pub max_repack_bytes: Option<u64>,
    /// Prune although there are packs of which nobody knows what is in them. They stay, but not what only a lost snapshot in
    /// them would need.
    pub despite_unknown: bool,
    /// Snapshots that a dry run takes for removed: what a prune would do after a forget.
    pub without: BTreeSet<ObjectRef>,
    /// The exclusive lock under which it works; a dry run may have a shared one.
    pub lease: LeaseWatch,
}

/// What a prune did; of a dry run: what it would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Snapshots in the repository.
    pub snapshots: u64,
    /// Objects that they need, themselves among them where they lie in packs.
    pub needed_objects: u64,
    /// Packs that there were.
    pub packs_before: u64,
    /// Packs that there are now.
    pub packs_after: u64,
    /// Packs that had nothing that is needed, and were deleted.
    pub packs_deleted: u64,
    /// Packs that were mostly waste: what was needed of them is in new ones, and they were deleted.
    pub packs_rewritten: u64,
    /// Packs that were written for them.
    pub packs_written: u64,
    /// Objects that are not in the repository any more.
    pub removed_objects: u64,
    /// Bytes of all that was deleted: packs, and objects by themselves.
    pub deleted_bytes: u64,
    /// Bytes of new packs, and of snapshots that were taken out of packs.
    pub written_bytes: u64,
    /// By how many bytes the repository is smaller. Its indexes, which shrink with the number of objects, do not count.
    pub freed_bytes: u64,
    /// Bytes of the packs that are left that are not those of a needed object: waste below the limit, and footers.
    pub unused_bytes: u64,
    /// Packs of which nothing says what is in them: they may hold a lost snapshot, and stay until a repair has looked.
    pub unknown_packs: u64,
    /// Their bytes.
    pub unknown_bytes: u64,
    /// The first [`crate::warnings::KEPT`] of what was found that is not as it should be and has cost nothing.
    pub warnings: Vec<Warning>,
    /// How many there were.
    pub warning_count: u64,
}

/// Removes what no snapshot needs. Cancelled, it leaves a repository that is whole, and the next one goes on.
///
/// # Errors
/// See [`PruneError`].
pub async fn prune(
    repository: Arc<Repository>,
    request: PruneRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<PruneReport, PruneError> {
    progress.phase(Phase::Listing);
    request.lease.confirm().await?;
    repository.prove_identity().await?;
    let mut survey = Survey::take(&repository).await?;
    if !request.despite_unknown {
        survey.know_every_pack()?;
    }
    progress.phase(Phase::Reading);
    let mut references = survey.snapshots();
    if request.dry_run {
        references.retain(|snapshot| !request.without.contains(snapshot));
    }
    let Marked { snapshots, reach } = mark::mark(&repository, &survey, references, &progress, &cancel).await?;
    let limits = Limits { max_waste_percent: request.max_waste_percent, max_repack_bytes: request.max_repack_bytes };
    let copies::Alone { copies, unnamed, mut warnings } =
        copies::settle_alone(&repository, &survey.whole.catalog, &reach).await?;
    let (plan, reach) = settle(&repository, &mut survey, reach, (limits, &mut warnings), &cancel).await?;
    let superfluous = superfluous::find(&reach, &copies);
    warnings.extend(survey.unreadable_list());
    warnings.sort_by(|a, b| a.path.cmp(&b.path));
    warnings.iter().for_each(|warning| progress.warning(warning));
    let (warnings, warning_count) = kept(warnings);
    let layout = Layout::new(&survey, &reach, &plan);
    let needed_objects = reach.count();
    let (needed, alone) = reach.into_parts();
    let named = plan::naming(&survey, needed, &plan, &unnamed);

    let removed_packed = removed(&survey.whole.catalog, &named) - unnamed.len() as u64;
    let mut report = PruneReport {
        snapshots: snapshots.len() as u64,
        needed_objects,
        packs_before: survey.packs.len() as u64,
        packs_deleted: plan.dead.len() as u64,
        packs_rewritten: plan.rewritten.len() as u64,
        packs_written: layout.count() as u64,
        removed_objects: removed_packed + superfluous.iter().filter(|object| !object.is_copy).count() as u64,
        unused_bytes: plan.unused_bytes,
        unknown_packs: survey.kept.len() as u64,
        unknown_bytes: survey.kept.iter().map(|pack| survey.size(pack)).sum(),
        warnings,
        warning_count,
        ..PruneReport::default()
    };
    report.packs_after = report.packs_before + report.packs_written - report.packs_deleted - report.packs_rewritten;

    let going = sweep::Going::new(&survey, &plan, &superfluous, &alone, &named);
    if request.dry_run {
        let layout = rewrite::Rewrite::new(&repository, &survey, &plan, layout, &request.lease, &cancel);
        report.written_bytes = layout.measure().await?;
        report.deleted_bytes = going.bytes();
        report.freed_bytes = report.deleted_bytes.saturating_sub(report.written_bytes);
        return Ok(report);
    }
    progress.phase(Phase::Writing);
    let mut doomed = sweep::Doom::begin(&survey, &alone, &named);
    let written = rewrite::Rewrite::new(&repository, &survey, &plan, layout, &request.lease, &cancel)
        .run(&snapshots, &*progress)
        .await?;
    report.written_bytes = written.bytes;
    doomed.announce_packs(&repository, &going, &request.lease).await?;
    write_catalog(&repository, survey, named, &plan, written.moved, &request.lease).await?;
    progress.phase(Phase::Deleting);
    let swept = doomed.sweep(&repository, going, &request.lease, &*progress, &cancel).await?;
    swept.correct(&mut report, &plan);
    let retained = swept.retained();
    retained.iter().for_each(|warning| progress.warning(warning));
    report.warning_count += retained.len() as u64;
    report.warnings.extend(retained);
    report.warnings.truncate(KEPT);
    Ok(report)
}

/// Decides what goes. Where an object is bad in the place that the catalog names, and good in a pack that was to go, the
/// catalog is to name that one; where it is bad in both, both stay; and it is decided again.
async fn settle(
    repository: &Arc<Repository>,
    survey: &mut Survey,
    mut reach: Reach,
    (limits, warnings): (Limits, &mut Vec<Warning>),
    cancel: &CancellationToken,
) -> Result<(Plan, Reach), PruneError> {
    loop {
        let plan;
        (plan, reach) = plan::make(repository, survey, reach, limits, cancel).await?;
        let copies::InPacks { places, held, warnings: found } =
            copies::better_places(repository, survey, &plan, &reach).await?;
        warnings.extend(found);
        if places.is_empty() && held.is_empty() {
            return Ok((plan, reach));
        }
        survey.held.extend(held);
        if places.is_empty() {
            continue;
        }
        survey.whole.differs = true;
        survey.whole.catalog = Arc::new((*survey.whole.catalog).clone().relocated(&places));
        reach = reach.with_places(Arc::clone(&survey.whole.catalog));
    }
}

fn kept(all: Vec<Warning>) -> (Vec<Warning>, u64) {
    let mut warnings = Warnings::default();
    all.into_iter().for_each(|warning| warnings.push(warning));
    warnings.into_parts()
}

/// How many objects of the catalog nobody needs.
fn removed(catalog: &Catalog, needed: &NeededInPacks) -> u64 {
    let of = |kind| (0..catalog.count(kind) as u32).filter(|number| !needed.contains(kind, *number)).count() as u64;
    ObjectKind::ALL.into_iter().map(of).sum()
}

/// Replaces the catalog, if it is to be another one.
async fn write_catalog(
    repository: &Repository,
    survey: Survey,
    needed: NeededInPacks,
    plan: &Plan,
    moved: rewrite::Moved,
    lease: &LeaseWatch,
) -> Result<(), PruneError> {
    let whole = survey.whole;
    let is_same = moved.is_empty() && plan.rewritten.is_empty() && removed(&whole.catalog, &needed) == 0;
    if is_same && !whole.differs {
        return Ok(lease.prove().await?);
    }
    let gone: BTreeSet<Hash> = plan.dead.iter().chain(&plan.rewritten).copied().collect();
    let unpacked: BTreeSet<u32> = plan.unpacked.iter().map(|(number, _)| *number).collect();
    let keep = move |kind, number| {
        needed.contains(kind, number) && !(kind == ObjectKind::Snapshot && unpacked.contains(&number))
    };
    let sweep = move |catalog: Catalog| catalog.swept(keep, moved.packs(), |pack| !gone.contains(pack));
    match repository.sweep_catalog(whole, sweep, lease).await? {
        true => Ok(()),
        false => Err(PruneError::Changed),
    }
}
