//! Finds each entry's place: parents, order, clashes, loops. What has no place is told and left out, with what is below.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::contents::Contents;
use super::load::Draft;
use super::objects::ReadObjects;
use super::record::{NONE, Record};
use super::relate::{Index, resolve_hardlinks, resolve_parents};
use super::{Cancelled, Tree};
use super::{show_file_id, show_path};
use crate::object::ObjectRef;

/// Deeper folders are left out: no file system has them, and every path would cost its length again and again.
const DEEPEST: usize = 4096;

/// Puts the entries in path order.
pub(super) fn assemble(
    mut draft: Draft,
    objects: &dyn ReadObjects,
    root: Option<ObjectRef>,
    collects_modes: bool,
    cancel: &CancellationToken,
) -> Result<Tree, Cancelled> {
    let index = Index::new(&mut draft);
    resolve_parents(&mut draft, &index, objects);
    let hardlinks = resolve_hardlinks(&draft, &index);
    drop(index);
    let children = Children::new(&draft);
    leave_out_clashes(&mut draft, &children, objects, root, cancel)?;
    let mut order = preorder(&mut draft, &children);
    let lost = leave_out_unreached(&mut draft, &children, &order);
    tell(&mut draft, &lost, objects, root, cancel)?;
    drop(children);

    let kept = order.len();
    let mut rank = vec![NONE; draft.records.len()];
    for (at, &entry) in (0..).zip(&order) {
        rank[entry as usize] = at;
    }
    for &entry in &order {
        let parent = draft.records[entry as usize].parent;
        draft.records[entry as usize].parent = if parent == NONE { NONE } else { rank[parent as usize] };
    }
    let ranked = |at: u32| Some(rank[at as usize]).filter(|&rank| rank != NONE);
    let mut hardlinks: Vec<_> =
        hardlinks.into_iter().filter_map(|(second, first)| ranked(second).zip(ranked(first))).collect();
    hardlinks.sort_unstable();
    let contents = std::mem::take(&mut draft.contents);
    let contents = contents.into_iter().filter_map(|(at, content)| Some((ranked(at)?, content))).collect();
    let contents = Contents::new(objects.name_contents(), contents);
    order.extend((0..rank.len() as u32).filter(|&entry| rank[entry as usize] == NONE));
    drop(rank);
    let Draft { mut records, mut filemetas, owners, names, problems, .. } = draft;
    let owners = owners.into_vec();
    permute(&mut order, |a, b| {
        records.swap(a, b);
        filemetas.swap(a, b);
    });
    records.truncate(kept);
    filemetas.truncate(kept);
    set_ends(&mut records);
    let modes = collects_modes
        && records.iter().any(|record| owners.get(record.owner as usize).is_some_and(|owner| owner.mode != 0));
    Ok(Tree { records, filemetas, owners, names, contents, hardlinks, modes, problems })
}

/// The entries of each folder, sorted by name.
struct Children {
    /// Where the group of a parent begins; the top is the last group.
    starts: Vec<u32>,
    entries: Vec<u32>,
}

impl Children {
    fn new(draft: &Draft) -> Self {
        let records = &draft.records;
        let group = |record: &Record| if record.parent == NONE { records.len() } else { record.parent as usize };
        let mut starts = vec![0_u32; records.len() + 2];
        records.iter().for_each(|record| starts[group(record) + 1] += 1);
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut entries = vec![0; records.len()];
        for (at, record) in (0..).zip(records) {
            // While filling, a start moves on to where its group's next entry goes: in the end, to the next group.
            let start = &mut starts[group(record)];
            entries[*start as usize] = at;
            *start += 1;
        }
        starts.pop();
        starts.insert(0, 0);
        let mut children = Self { starts, entries };
        for parent in 0..=records.len() {
            let (from, to) = children.range(parent);
            let name = |&at: &u32| draft.names.of(&records[at as usize]);
            children.entries[from..to].sort_unstable_by(|a, b| name(a).cmp(name(b)).then(a.cmp(b)));
        }
        children
    }

    fn range(&self, parent: usize) -> (usize, usize) {
        (self.starts[parent] as usize, self.starts[parent + 1] as usize)
    }

    fn of(&self, parent: usize) -> &[u32] {
        let (from, to) = self.range(parent);
        &self.entries[from..to]
    }

    fn top(&self) -> &[u32] {
        self.of(self.starts.len() - 2)
    }
}

/// Of entries with one path, the one whose fileId is first in byte order stays.
fn leave_out_clashes(
    draft: &mut Draft,
    children: &Children,
    objects: &dyn ReadObjects,
    root: Option<ObjectRef>,
    cancel: &CancellationToken,
) -> Result<(), Cancelled> {
    let mut clashes: Vec<Vec<u32>> = Vec::new();
    for parent in 0..=draft.records.len() {
        let good: Vec<u32> = children.of(parent).iter().copied().filter(|at| !draft.bad.contains_key(at)).collect();
        let same = |a: &u32, b: &u32| {
            draft.names.of(&draft.records[*a as usize]) == draft.names.of(&draft.records[*b as usize])
        };
        clashes.extend(good.chunk_by(same).filter(|group| group.len() > 1).map(<[u32]>::to_vec));
    }
    let ids = draft.file_ids(objects, root, &clashes.concat(), cancel)?;
    for mut group in clashes {
        group.sort_by(|a, b| ids.get(a).cmp(&ids.get(b)));
        for at in group.into_iter().skip(1) {
            draft.bad.insert(at, "another entry has its path".to_owned());
        }
    }
    Ok(())
}

/// The entries that a chain of good folders leads to, a folder right before what is in it.
fn preorder(draft: &mut Draft, children: &Children) -> Vec<u32> {
    let mut order = Vec::with_capacity(draft.records.len());
    let mut stack = vec![children.top().iter()];
    while let Some(siblings) = stack.last_mut() {
        let Some(&at) = siblings.next() else {
            stack.pop();
            continue;
        };
        if draft.bad.contains_key(&at) {
            continue;
        }
        if stack.len() > DEEPEST {
            draft.bad.insert(at, format!("it is more than {DEEPEST} folders deep"));
            continue;
        }
        order.push(at);
        stack.push(children.of(at as usize).iter());
    }
    order
}

/// Finds what hangs below bad entries or in loops, and how much each takes with it.
fn leave_out_unreached(draft: &mut Draft, children: &Children, order: &[u32]) -> BTreeMap<u32, u64> {
    let mut reached = vec![false; draft.records.len()];
    order.iter().for_each(|&at| reached[at as usize] = true);
    let mut lost = BTreeMap::new();
    for &at in draft.bad.keys() {
        reached[at as usize] = true;
    }
    for &at in draft.bad.keys() {
        lost.insert(at, reach_below(at, children, &mut reached));
    }
    for at in 0..draft.records.len() {
        if reached[at] {
            continue;
        }
        let head = loop_above(at as u32, &draft.records);
        reached[head as usize] = true;
        draft.bad.insert(head, "its parents form a loop".to_owned());
        lost.insert(head, reach_below(head, children, &mut reached));
    }
    lost
}

fn reach_below(at: u32, children: &Children, reached: &mut [bool]) -> u64 {
    let (mut count, mut stack) = (0, vec![at]);
    while let Some(at) = stack.pop() {
        for &child in children.of(at as usize) {
            if !std::mem::replace(&mut reached[child as usize], true) {
                count += 1;
                stack.push(child);
            }
        }
    }
    count
}

/// An entry of the loop that the parents of an entry end in (Brent's two runners: one waits, one walks).
fn loop_above(at: u32, records: &[Record]) -> u32 {
    let (mut waiting, mut walking, mut steps, mut patience) = (at, records[at as usize].parent, 1_u64, 1_u64);
    while waiting != walking && walking != NONE {
        if steps == patience {
            (waiting, steps, patience) = (walking, 0, patience * 2);
        }
        walking = records[walking as usize].parent;
        steps += 1;
    }
    waiting
}

/// Makes a problem of each bad entry.
fn tell(
    draft: &mut Draft,
    lost: &BTreeMap<u32, u64>,
    objects: &dyn ReadObjects,
    root: Option<ObjectRef>,
    cancel: &CancellationToken,
) -> Result<(), Cancelled> {
    let bad: Vec<u32> = draft.bad.keys().copied().collect();
    let ids = draft.file_ids(objects, root, &bad, cancel)?;
    for (at, reason) in std::mem::take(&mut draft.bad) {
        let object = draft.filemetas.object(at as usize).to_string();
        let id = || ids.get(&at).map(|id| show_file_id(id.as_bytes())).unwrap_or_default();
        let path = path_of(draft, at).map_or_else(id, |path| show_path(&path));
        let mut problem = if reason.starts_with(&object) { reason } else { format!("{object}: {reason}") };
        match lost.get(&at) {
            None | Some(0) => problem.push_str("; left out"),
            Some(1) => problem.push_str("; left out, with 1 entry below it"),
            Some(more) => problem.push_str(&format!("; left out, with {more} entries below it")),
        }
        draft.problems.push(path, problem);
    }
    Ok(())
}

/// The names up to the top, if they lead there.
fn path_of(draft: &Draft, at: u32) -> Option<Vec<u8>> {
    let (mut names, mut at) = (Vec::new(), at);
    loop {
        let record = draft.records.get(at as usize)?;
        let name = draft.names.of(record);
        if name.is_empty() || names.len() > DEEPEST {
            return None;
        }
        names.push(name);
        match record.parent {
            NONE => break,
            parent => at = parent,
        }
    }
    names.reverse();
    Some(names.join(&b'/'))
}

/// Brings what `order[i]` names to place `i`, for all `i`, by swapping; `order` is used up.
fn permute(order: &mut [u32], mut swap: impl FnMut(usize, usize)) {
    for start in 0..order.len() {
        let mut at = start;
        loop {
            let from = std::mem::replace(&mut order[at], at as u32) as usize;
            if from == start || from == at {
                break;
            }
            swap(at, from);
            at = from;
        }
    }
}

fn set_ends(records: &mut [Record]) {
    for at in (0..records.len()).rev() {
        let end = records[at].end.max(at as u32 + 1);
        records[at].end = end;
        let parent = records[at].parent;
        if parent != NONE {
            let parent = &mut records[parent as usize];
            parent.end = parent.end.max(end);
        }
    }
}
