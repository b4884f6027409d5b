//! Deciding what goes, and why the rest stays. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;

use super::{Cause, Fate, ForgetError, ForgetGroup, ForgetReport, ForgetRequest, GroupKey, Policy, Reason, Verdict};
use crate::object::ObjectRef;
use crate::repository::{SnapshotFilter, SnapshotList};

/// What is to be removed.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) removed: BTreeSet<ObjectRef>,
    groups: Vec<ForgetGroup>,
    unreadable: Vec<ObjectRef>,
}

impl Plan {
    /// What the policy does not keep.
    pub(super) fn by_policy(
        snapshots: &SnapshotList,
        filter: &SnapshotFilter,
        policy: &Policy,
        request: &ForgetRequest,
    ) -> Result<Self, ForgetError> {
        if policy.is_empty() {
            return Err(ForgetError::NothingToKeep);
        }
        let now = DateTime::from(request.clock.now());
        let matching = snapshots.readable.iter().filter(|snapshot| filter.matches(snapshot)).cloned();
        let judge = |(key, snapshots)| {
            let mut verdicts = policy.judge(snapshots, now, &request.zone);
            let is_left = request.remove_last || verdicts.iter().any(Verdict::stays);
            if let Some(newest) = verdicts.first_mut().filter(|_| !is_left) {
                newest.fate = Fate::Stays(vec![Reason::LastOfGroup]);
            }
            ForgetGroup { key, verdicts }
        };
        let groups: Vec<ForgetGroup> = request.group_by.divide(matching).into_iter().map(judge).collect();
        let going = groups.iter().flat_map(|group| &group.verdicts).filter(|verdict| !verdict.stays());
        let removed = going.map(|verdict| verdict.snapshot.reference).collect();
        Ok(Self { removed, groups, unreadable: Vec::new() })
    }

    /// What was named, and by which names.
    pub(super) fn named(
        snapshots: &SnapshotList,
        named: &[(&str, ObjectRef)],
        request: &ForgetRequest,
    ) -> Result<Self, ForgetError> {
        if named.is_empty() {
            return Err(ForgetError::NothingToKeep);
        }
        let removed: BTreeSet<ObjectRef> = named.iter().map(|(_, reference)| *reference).collect();
        let mut groups: BTreeMap<GroupKey, (Vec<Verdict>, bool)> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for snapshot in &snapshots.readable {
            let (verdicts, is_left) = groups.entry(request.group_by.key(snapshot)).or_default();
            if removed.contains(&snapshot.reference) {
                known.insert(snapshot.reference);
                verdicts.push(Verdict { snapshot: snapshot.clone(), fate: Fate::Goes(Cause::Named) });
            } else {
                *is_left = true;
            }
        }
        let unreadable: Vec<ObjectRef> = removed.difference(&known).copied().collect();
        for (name, reference) in named.iter().filter(|(_, reference)| unreadable.contains(reference)) {
            let hash = name.strip_prefix("snapshot/").unwrap_or(name);
            if hash != reference.hash.to_string() {
                return Err(ForgetError::Unreadable(*reference));
            }
        }
        let mut touched = Vec::new();
        for (key, (verdicts, is_left)) in groups {
            let Some(Verdict { snapshot, .. }) = verdicts.first() else { continue };
            if !is_left && !request.remove_last {
                return Err(ForgetError::LastOfGroup { group: key.into(), snapshot: snapshot.reference });
            }
            touched.push(ForgetGroup { key, verdicts });
        }
        Ok(Self { removed, groups: touched, unreadable })
    }

    /// Whatever of it is among those that are `left` stays after all.
    pub(super) fn keep(&mut self, left: &BTreeSet<ObjectRef>) {
        self.removed.retain(|reference| !left.contains(reference));
        self.unreadable.retain(|reference| !left.contains(reference));
        for verdict in self.groups.iter_mut().flat_map(|group| &mut group.verdicts) {
            if !verdict.stays() && left.contains(&verdict.snapshot.reference) {
                verdict.fate = Fate::Stays(vec![Reason::NotRemoved]);
            }
        }
    }

    pub(super) fn into_report(self) -> ForgetReport {
        let Self { removed, groups, unreadable } = self;
        let kept = groups.iter().flat_map(|group| &group.verdicts).filter(|verdict| verdict.stays()).count() as u64;
        ForgetReport { groups, unreadable, kept, removed: removed.len() as u64, ..ForgetReport::default() }
    }
}
