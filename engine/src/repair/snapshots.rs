//! What becomes of the damaged snapshots.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::damage::Damage;
use super::report::{KEPT, LostPath, SnapshotRepair};
use super::{RepairError, blocking, tree};
use crate::check::{Examined, Findings, Lineup, Stored, find_losses, loss, read_indexes};
use crate::copy::{COPIED_FROM, COPIED_INCOMPLETE};
use crate::finding::{Finding, Lost};
use crate::lock::LeaseWatch;
use crate::object::{Hash, ObjectRef, Snapshot, SnapshotEntry, json};
use crate::progress::Progress;
use crate::repository::{Repository, RepositoryError, Written};

/// The key under which a new snapshot's `meta` has the name of the one that it was made of.
pub(super) const REPAIRED: &str = "repaired";

/// What is to become of a damaged snapshot.
pub(super) struct Plan {
    pub(super) old: ObjectRef,
    /// What is to be in its place, but for its root; `None` if there is nothing to put there.
    pub(super) snapshot: Option<Snapshot>,
    /// Whether its tree is as it was.
    is_whole: bool,
    /// Whether nothing of it can be read, so that it is not known what is lost.
    is_gone: bool,
    kept: u64,
    remade_folders: u64,
    lost: Vec<LostPath>,
    lost_count: u64,
    unknown: bool,
    problem: Option<String>,
}

impl Plan {
    fn lost(old: ObjectRef, problem: String) -> Self {
        Self {
            old,
            snapshot: None,
            is_whole: false,
            is_gone: true,
            kept: 0,
            remade_folders: 0,
            lost: Vec::new(),
            lost_count: 0,
            unknown: true,
            problem: Some(problem),
        }
    }

    /// What there is to tell of it.
    pub(super) fn report(&self) -> SnapshotRepair {
        SnapshotRepair {
            old: self.old,
            new: None,
            kept: self.kept,
            lost: self.lost.clone(),
            lost_count: self.lost_count,
            unknown: self.unknown,
            remade_folders: self.remade_folders,
            removed: false,
            problem: self.problem.clone(),
        }
    }

    /// Whether the very snapshot that was lost is known again.
    pub(super) fn is_put_back(&self) -> bool {
        self.is_whole && self.snapshot.as_ref().is_some_and(|snapshot| name(snapshot) == self.old)
    }

    /// Whether the old one is to go, if what is damaged may go.
    pub(super) fn is_to_go(&self) -> bool {
        !self.is_put_back()
    }
}

fn name(snapshot: &Snapshot) -> ObjectRef {
    ObjectRef::new(crate::object::ObjectKind::Snapshot, Hash::of(&json::encode(snapshot)))
}

/// Snapshots that cannot be read, as `index/snapshots` remembers them. That lacks what is free text for people: where one
/// of the texts that other snapshots have gives the very name, it is that snapshot again.
pub(super) async fn remembered(
    repository: &Repository,
    examined: &Examined,
) -> Result<BTreeMap<ObjectRef, Arc<Snapshot>>, RepositoryError> {
    let (_, listed) = read_indexes(repository, &examined.survey.catalog).await?;
    let Stored::Said(listed) = listed else { return Ok(BTreeMap::new()) };
    let is_lost = |entry: &SnapshotEntry| {
        examined.findings.bad.contains_key(&entry.reference) && !examined.snapshots.contains_key(&entry.reference)
    };
    let mut metas: Vec<BTreeMap<String, String>> =
        examined.snapshots.values().map(|snapshot| snapshot.meta.clone()).collect();
    metas.push(BTreeMap::new());
    metas.push(BTreeMap::from([("generator".to_owned(), crate::repository::GENERATOR.to_owned())]));
    metas.sort();
    metas.dedup();
    let lost = listed.into_iter().filter(is_lost);
    Ok(lost.map(|entry| (entry.reference, Arc::new(remember(entry, &metas)))).collect())
}

fn remember(entry: SnapshotEntry, metas: &[BTreeMap<String, String>]) -> Snapshot {
    let reference = entry.reference;
    let mut snapshot = Snapshot {
        version: 1,
        created: entry.created,
        root: entry.root,
        seq: entry.seq,
        source: entry.source,
        meta: BTreeMap::new(),
        tags: entry.tags,
        change_token: entry.change_token,
        exclude_hash: entry.exclude_hash,
    };
    for meta in metas {
        snapshot.meta.clone_from(meta);
        if name(&snapshot) == reference {
            return snapshot;
        }
    }
    snapshot.meta = BTreeMap::from([(REPAIRED.to_owned(), reference.to_string())]);
    snapshot
}

/// Looks what is left of each damaged snapshot, and tells all that is lost.
pub(super) async fn plan(
    examined: Arc<Examined>,
    damage: &Damage,
    progress: Arc<dyn Progress>,
) -> Result<Vec<Plan>, RepairError> {
    let contents = damage.contents.clone();
    blocking(move || {
        let mut plans = Vec::new();
        for old in &examined.chosen {
            examined.stop.check()?;
            if let Some(plan) = plan_one(&examined, *old, &contents)? {
                plans.push(plan);
            }
        }
        name_lost(&examined, &contents, &mut plans, &*progress)?;
        Ok(plans)
    })
    .await
}

fn plan_one(
    examined: &Examined,
    old: ObjectRef,
    contents: &crate::check::LostContents,
) -> Result<Option<Plan>, RepairError> {
    let findings: &Findings = &examined.findings;
    let own = findings.bad.get(&old).map(|fault| {
        let fault = findings.faults.get(*fault as usize);
        fault.map_or_else(|| "it is damaged".to_owned(), |fault| format!("{} {}", fault.object, fault.problem))
    });
    let Some(snapshot) = examined.snapshots.get(&old) else {
        return Ok(Some(Plan::lost(old, own.unwrap_or_else(|| format!("{old} is missing")))));
    };
    let is_remembered = examined.remembered.contains(&old);
    let trees = examined.trees_of();
    let lost = snapshot.root.map(|root| loss(trees, root, findings, contents)).unwrap_or_default();
    if lost.is_empty() && own.is_none() {
        let whole = Plan {
            snapshot: Some((**snapshot).clone()),
            is_whole: true,
            is_gone: false,
            unknown: false,
            kept: snapshot.root.map_or(0, |root| trees.graph.entry_count(root)),
            ..Plan::lost(old, "it could not be read; what it was is known from index/snapshots".to_owned())
        };
        return Ok(is_remembered.then_some(whole));
    }
    if is_remembered && examined.survey.plain_size(&old).is_none() && !examined.survey.catalog.contains(&old) {
        // It may have been forgotten long ago, and what it needed swept.
        return Ok(Some(Plan::lost(old, "it is missing, and so is something that it needs".to_owned())));
    }
    let root = snapshot.root.filter(|root| trees.graph.nodes.find(&root.hash).is_some());
    let source = &snapshot.source.source_type;
    let time = snapshot.created.moment().map_or(0, |moment| moment.timestamp());
    let Some(root) = root else { return Ok(Some(Plan::lost(old, own.unwrap_or_default()))) };
    let rest = tree::Plan::new(trees, root, source, &lost.entries, time)?;
    let mut new = (**snapshot).clone();
    new.meta.insert(REPAIRED.to_owned(), old.to_string());
    if new.meta.contains_key(COPIED_FROM) {
        // A copy without what it lost: a later whole one is worth having.
        new.meta.insert(COPIED_INCOMPLETE.to_owned(), lost.entries.len().max(1).to_string());
    }
    Ok(Some(Plan {
        old,
        snapshot: (rest.len() > 0).then_some(new),
        is_whole: false,
        is_gone: false,
        kept: rest.len(),
        remade_folders: rest.remade(),
        lost: Vec::new(),
        lost_count: lost.entries.len() as u64,
        unknown: !lost.nodes.is_empty(),
        problem: own,
    }))
}

/// Tells every path that is lost, and gives each plan its first ones.
fn name_lost(
    examined: &Examined,
    contents: &crate::check::LostContents,
    plans: &mut [Plan],
    progress: &dyn Progress,
) -> Result<(), RepairError> {
    let findings = &examined.findings;
    let mut readable = examined.snapshots.clone();
    plans.iter().filter(|plan| plan.is_gone).for_each(|plan| _ = readable.remove(&plan.old));
    let lineup = Lineup::new(plans.iter().filter(|plan| !plan.is_whole).map(|plan| plan.old), &readable);
    lineup.tell(|finding| progress.finding(finding));
    let places: BTreeMap<ObjectRef, usize> = (0..).zip(&*plans).map(|(place, plan)| (plan.old, place)).collect();
    let places: Vec<usize> = lineup.iter().filter_map(|(_, snapshot)| places.get(&snapshot).copied()).collect();
    for (number, snapshot) in lineup.iter().filter(|(number, _)| plans[places[*number as usize]].is_gone) {
        let own = findings.bad.get(&snapshot).map_or_else(|| snapshot.key(), |own| findings.object(*own).to_owned());
        progress.finding(&Finding::Lost(&Lost { path: None, object: &own, snapshots: number..number + 1 }));
    }
    let mut first: Vec<BTreeSet<(String, u32)>> = vec![BTreeSet::new(); plans.len()];
    find_losses(examined.trees_of(), &lineup, (findings, contents), &mut |run| {
        run.tell(findings, 1, |finding| progress.finding(finding));
        let (Some(path), Some(fault)) = (run.path, run.faults.first()) else { return };
        for number in run.snapshots {
            let kept = &mut first[places[number as usize]];
            if kept.len() < KEPT || kept.last().is_some_and(|(last, _)| path < last.as_str()) {
                kept.insert((path.to_owned(), *fault));
            }
            if kept.len() > KEPT {
                kept.pop_last();
            }
        }
    })?;
    for (plan, first) in plans.iter_mut().zip(first) {
        let lost = |(path, fault)| LostPath { path, object: findings.object(fault).to_owned() };
        plan.lost = first.into_iter().map(lost).collect();
    }
    Ok(())
}

/// Writes the trees of the new snapshots, and gives these with the numbers of their plans.
pub(super) async fn write(
    repository: &Arc<Repository>,
    examined: &Arc<Examined>,
    (plans, damage): (Vec<Plan>, &Damage),
    lease: &LeaseWatch,
) -> Result<(Written, Vec<Snapshot>, Vec<usize>), RepairError> {
    let existing = repository.existing().await?;
    let writer = repository.writer(existing, lease.clone());
    let (examined, contents) = (Arc::clone(examined), damage.contents.clone());
    blocking(move || {
        let (mut snapshots, mut places) = (Vec::new(), Vec::new());
        for (place, plan) in plans.into_iter().enumerate() {
            let Some(mut snapshot) = plan.snapshot else { continue };
            if let Some(root) = snapshot.root.filter(|_| !plan.is_whole) {
                let trees = examined.trees_of();
                let lost = loss(trees, root, &examined.findings, &contents);
                let time = snapshot.created.moment().map_or(0, |moment| moment.timestamp());
                let source = &snapshot.source.source_type;
                let rest = tree::Plan::new(trees, root, source, &lost.entries, time)?;
                let written = rest.write(&writer);
                if written.is_err() {
                    writer.settle();
                }
                snapshot.root = written?;
            }
            snapshots.push(snapshot);
            places.push(place);
        }
        Ok((writer.finish()?, snapshots, places))
    })
    .await
}
