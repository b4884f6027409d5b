//! Whom the faults hurt: a second look at the trees, only where there are faults.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::CheckError;
use super::contents::Contents;
use super::entries::Entries;
use super::faults::Findings;
use super::graph::{Below, Graph};
use super::lost::{Lineup, LostRun, find_losses};
use super::numbers::{Bits, NONE};
use super::report::{Harm, PATHS_KEPT, SNAPSHOTS_KEPT};
use super::stop::Stop;
use crate::object::{Content, ObjectKind, ObjectRef, Snapshot};
use crate::repository::ObjectReader;

/// What of the repository was read.
#[derive(Clone, Copy)]
pub(crate) struct Trees<'a> {
    pub(crate) reader: &'a ObjectReader,
    pub(crate) stop: &'a Stop,
    pub(crate) graph: &'a Graph,
    pub(crate) entries: &'a Entries,
    pub(crate) contents: &'a Contents,
    pub(crate) snapshots: &'a BTreeMap<ObjectRef, Arc<Snapshot>>,
}

/// What is lost of a tree.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    /// The faults by which each lost entry is lost, by the numbers of their filemetas.
    pub(crate) entries: BTreeMap<u32, Vec<u32>>,
    /// The faults by which nodes are lost, and with them entries of which nothing is known.
    pub(crate) nodes: Vec<u32>,
}

impl Loss {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.nodes.is_empty()
    }
}

/// Bytes of all paths together that a report keeps.
const TOLD: usize = 2 << 20;

/// Bytes of paths that are held until it is known which are the first.
const HELD: usize = 4 * TOLD;

/// Tells each fault whom it hurts, and gives the number of snapshots of which something is lost.
pub(super) fn tell(trees: Trees<'_>, chosen: &[ObjectRef], findings: &mut Findings) -> Result<u64, CheckError> {
    let bad = findings.bad.keys().filter(|object| object.kind == ObjectKind::Snapshot).copied();
    let lineup = Lineup::new(chosen.iter().copied().chain(bad).collect::<BTreeSet<_>>(), trees.snapshots);
    lineup.tell(|finding| findings.tell(finding));
    let mut harms = Harms { faults: vec![Hurt::default(); findings.faults.len()], snapshots: Bits::default(), held: 0 };
    let mut take = |run: LostRun<'_>| {
        run.tell(findings, usize::MAX, |finding| findings.tell(finding));
        harms.note(&run);
    };
    for (number, snapshot) in lineup.iter() {
        if let Some(fault) = findings.bad.get(&snapshot) {
            take(LostRun { path: None, faults: &[*fault], snapshots: number..number + 1 });
        }
    }
    let contents = lost_contents(trees, findings)?;
    find_losses(trees, &lineup, (&*findings, &contents), &mut take)?;
    let damaged = harms.snapshots.count();
    harms.give(&lineup, findings);
    Ok(damaged)
}

/// Whom the first faults hurt, as far as it is known by now.
struct Harms {
    /// By number.
    faults: Vec<Hurt>,
    /// Of which anything is lost.
    snapshots: Bits,
    held: usize,
}

/// Whom one fault hurts.
#[derive(Debug, Clone, Default)]
struct Hurt {
    snapshots: Bits,
    /// The first of them.
    first: BTreeMap<u32, Taken>,
}

/// What a fault takes from one snapshot.
#[derive(Debug, Clone, Default)]
struct Taken {
    /// The first of them.
    paths: BTreeSet<String>,
    count: u64,
    unknown: bool,
}

impl Harms {
    fn note(&mut self, run: &LostRun<'_>) {
        run.snapshots.clone().for_each(|snapshot| _ = self.snapshots.insert(snapshot));
        for fault in run.faults {
            let Some(hurt) = self.faults.get_mut(*fault as usize) else { continue };
            for snapshot in run.snapshots.clone() {
                hurt.snapshots.insert(snapshot);
                let is_among_first = |(last, _): (&u32, _)| snapshot <= *last || hurt.first.len() < SNAPSHOTS_KEPT;
                if hurt.first.last_key_value().is_none_or(is_among_first) {
                    hurt.first.entry(snapshot).or_default().note(run.path, &mut self.held);
                }
            }
            while hurt.first.len() > SNAPSHOTS_KEPT {
                let dropped = hurt.first.pop_last().map(|(_, taken)| taken.paths).unwrap_or_default();
                self.held -= dropped.iter().map(String::len).sum::<usize>();
            }
        }
    }

    fn give(self, lineup: &Lineup, findings: &mut Findings) {
        let snapshots: Vec<ObjectRef> = lineup.iter().map(|(_, snapshot)| snapshot).collect();
        let mut told = 0;
        for (fault, hurt) in findings.faults.iter_mut().zip(self.faults) {
            fault.snapshots = hurt.snapshots.count();
            for (snapshot, Taken { paths, count, unknown }) in hurt.first {
                let size: usize = paths.iter().map(String::len).sum();
                let has_room = told + size <= TOLD;
                told += if has_room { size } else { 0 };
                let paths = if has_room { paths.into_iter().collect() } else { Vec::new() };
                fault.harm.push(Harm { snapshot: snapshots[snapshot as usize], paths, path_count: count, unknown });
            }
        }
    }
}

impl Taken {
    fn note(&mut self, path: Option<&str>, held: &mut usize) {
        let Some(path) = path else {
            self.unknown = true;
            return;
        };
        self.count += 1;
        let is_among_first =
            self.paths.len() < PATHS_KEPT || self.paths.last().is_some_and(|last| path < last.as_str());
        if is_among_first && *held + path.len() <= HELD && self.paths.insert(path.to_owned()) {
            *held += path.len();
            if self.paths.len() > PATHS_KEPT {
                *held -= self.paths.pop_last().map_or(0, |last| last.len());
            }
        }
    }
}

/// The contents that are lost, by number, and the faults by which they are.
pub(crate) type LostContents = HashMap<u32, Vec<u32>>;

/// Finds the contents that are lost themselves, or by a chunk.
pub(crate) fn lost_contents(trees: Trees<'_>, findings: &Findings) -> Result<LostContents, CheckError> {
    let mut lost = LostContents::new();
    for (object, fault) in findings.bad.iter().filter(|(object, _)| object.kind == ObjectKind::Content) {
        if let Some(number) = trees.contents.numbers.find(&object.hash) {
            lost.entry(number).or_default().push(*fault);
        }
    }
    if findings.bad.keys().any(|object| object.kind == ObjectKind::Chunk) {
        let large = trees.contents.large();
        trees.stop.each(
            &large,
            16,
            |number| {
                let list = trees.reader.read_json::<Content>(&trees.contents.numbers.object(*number));
                let chunks = list.map(|list| list.chunks).unwrap_or_default();
                let mut faults: Vec<u32> = chunks.iter().filter_map(|chunk| findings.bad.get(chunk)).copied().collect();
                faults.sort_unstable();
                faults.dedup();
                Ok(faults)
            },
            |number, faults| {
                if !faults.is_empty() {
                    lost.entry(*number).or_default().extend(faults);
                }
            },
        )?;
    }
    Ok(lost)
}

/// What is lost of the tree below a root.
pub(crate) fn loss(trees: Trees<'_>, root: ObjectRef, findings: &Findings, lost_contents: &LostContents) -> Loss {
    let mut loss = Loss::default();
    trees.graph.walk(root, |node, below| {
        let node = trees.graph.nodes.object(node);
        if let Some(fault) = findings.bad.get(&node) {
            loss.nodes.push(*fault);
        }
        let Below::Entries(entries) = below else { return };
        for entry in entries {
            let faults = faults_of(trees, *entry, findings, lost_contents);
            if !faults.is_empty() {
                loss.entries.insert(*entry, faults);
            }
        }
    });
    loss
}

/// The faults by which an entry is lost: its own, and those of its content; none if it is whole.
pub(crate) fn faults_of(trees: Trees<'_>, entry: u32, findings: &Findings, contents: &LostContents) -> Vec<u32> {
    let own = findings.bad.get(&trees.entries.numbers.object(entry));
    let content = Some(trees.entries.facts(entry).content).filter(|content| *content != NONE);
    let by_content = content.and_then(|content| contents.get(&content)).into_iter().flatten();
    let mut faults: Vec<u32> = own.into_iter().chain(by_content).copied().collect();
    if faults.len() > 1 {
        faults.sort_unstable();
        faults.dedup();
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_any_number_of_paths_and_snapshots_the_first_are_held_and_all_are_counted() {
        let mut harms = Harms { faults: vec![Hurt::default(); 2], snapshots: Bits::default(), held: 0 };
        // Backwards, so that each is among the first for a while.
        for n in (0..20_000_u32).rev() {
            let (path, at) = (format!("{n:05}"), n % 100);
            harms.note(&LostRun { path: Some(&path), faults: &[1, 7], snapshots: at..at + 50 });
        }
        let hurt = &harms.faults[1];
        assert_eq!((harms.snapshots.count(), hurt.snapshots.count()), (149, 149));
        assert!(hurt.first.keys().copied().eq(0..20));
        let count = |at: u64| 200 * (at + 1);
        assert!(hurt.first.iter().all(|(at, taken)| taken.count == count(u64::from(*at))));
        let first: Vec<&str> = hurt.first[&0].paths.iter().map(String::as_str).collect();
        assert_eq!(first, ["00000", "00100", "00200", "00300", "00400", "00500", "00600", "00700", "00800", "00900"]);
        assert_eq!(harms.held, 20 * PATHS_KEPT * 5);
        assert!(harms.faults[0].first.is_empty());
    }
}
