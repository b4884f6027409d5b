//! Walks each snapshot over the numbers, and adds up.

use tokio_util::sync::CancellationToken;

use super::graph::{Below, Graph, Sort};
use super::{StatsError, Totals};
use crate::numbers::{Number, Set};
use crate::object::{ObjectKind, ObjectRef, SnapshotEntry};

/// What was counted.
pub(super) struct Counted {
    /// Of each snapshot.
    pub(super) snapshots: Vec<Counts>,
    /// Of the chosen ones together.
    pub(super) total: Totals,
    /// What the objects take that any snapshot needs.
    pub(super) needed_bytes: u64,
    /// How many objects some snapshot needs that are not there.
    pub(super) missing: u64,
}

/// Of one snapshot.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) files: u64,
    pub(super) folders: u64,
    pub(super) others: u64,
    pub(super) raw: u64,
    pub(super) stored: u64,
    pub(super) unique: u64,
}

/// Kinds of objects that are shared, in the order of [`ObjectKind::ALL`].
const KINDS: [ObjectKind; 4] = [ObjectKind::Chunk, ObjectKind::Content, ObjectKind::Filemeta, ObjectKind::Node];

pub(super) fn count(
    graph: &Graph<'_>,
    snapshots: &[SnapshotEntry],
    chosen: &[ObjectRef],
    cancel: &CancellationToken,
) -> Result<Counted, StatsError> {
    let mut owners = Owners::default();
    let mut all = Vec::with_capacity(snapshots.len());
    let mut total = Totals::default();
    let mut together = Together::default();
    for (at, (entry, root)) in (0..).zip(snapshots.iter().zip(&graph.roots)) {
        let is_chosen = chosen.contains(&entry.reference);
        let mut walk = Walk { graph, counts: Counts::default(), seen: Default::default() };
        walk.tree(*root, cancel, &mut |kind, number| {
            owners.note(kind, number, at);
            if is_chosen { together.add(graph, kind, number) } else { Ok(()) }
        })?;
        let counts = walk.counts;
        if is_chosen {
            total.files += counts.files;
            total.folders += counts.folders;
            total.others += counts.others;
            total.raw_bytes += counts.raw;
        }
        all.push(counts);
    }
    (total.distinct_bytes, total.data_stored_bytes, total.metadata_stored_bytes) =
        (together.distinct, together.data, together.metadata);
    let (needed_bytes, missing) = owners.settle(graph, &mut all);
    Ok(Counted { snapshots: all, total, needed_bytes, missing })
}

/// The walk of one snapshot.
struct Walk<'a> {
    graph: &'a Graph<'a>,
    counts: Counts,
    seen: [Set; KINDS.len()],
}

impl Walk<'_> {
    /// Gives every object once.
    fn tree(
        &mut self,
        root: Option<Number>,
        cancel: &CancellationToken,
        each: &mut dyn FnMut(ObjectKind, Number) -> Result<(), StatsError>,
    ) -> Result<(), StatsError> {
        let mut nodes: Vec<Number> = root.into_iter().collect();
        while let Some(node) = nodes.pop() {
            if cancel.is_cancelled() {
                return Err(StatsError::Cancelled);
            }
            if !self.meet(ObjectKind::Node, node, each)? {
                continue;
            }
            match self.graph.below(node)? {
                Below::Nodes(children) => nodes.extend(children),
                Below::Filemetas(filemetas) => {
                    for filemeta in filemetas {
                        self.entry(filemeta, each)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn entry(
        &mut self,
        filemeta: Number,
        each: &mut dyn FnMut(ObjectKind, Number) -> Result<(), StatsError>,
    ) -> Result<(), StatsError> {
        let entry = self.graph.entry(filemeta);
        match entry.sort {
            Sort::Unreadable => {}
            Sort::Folder => self.counts.folders += 1,
            Sort::Other => self.counts.others += 1,
            Sort::File => {
                self.counts.files += 1;
                self.counts.raw += entry.size;
            }
        }
        if !self.meet(ObjectKind::Filemeta, filemeta, each)? {
            return Ok(());
        }
        let Some(content) = entry.content else { return Ok(()) };
        if self.meet(ObjectKind::Content, content, each)? {
            for chunk in self.graph.content(content)?.1 {
                self.meet(ObjectKind::Chunk, chunk, each)?;
            }
        }
        Ok(())
    }

    /// `false` if it was met before.
    fn meet(
        &mut self,
        kind: ObjectKind,
        number: Number,
        each: &mut dyn FnMut(ObjectKind, Number) -> Result<(), StatsError>,
    ) -> Result<bool, StatsError> {
        if !self.seen[kind as usize].insert(number) {
            return Ok(false);
        }
        self.counts.stored += self.graph.length(kind, number).unwrap_or_default();
        each(kind, number)?;
        Ok(true)
    }
}

/// Which snapshot needs an object, as far as it is one.
#[derive(Default)]
struct Owners([Vec<u32>; KINDS.len()]);

const NOBODY: u32 = u32::MAX;
const SEVERAL: u32 = u32::MAX - 1;

impl Owners {
    fn note(&mut self, kind: ObjectKind, number: Number, snapshot: u32) {
        let (owners, number) = (&mut self.0[kind as usize], number as usize);
        if owners.len() <= number {
            owners.resize(number + 1, NOBODY);
        }
        owners[number] = if owners[number] == NOBODY { snapshot } else { SEVERAL };
    }

    /// Tells each snapshot what it needs alone; gives what all need, and how many objects are not there.
    fn settle(self, graph: &Graph<'_>, snapshots: &mut [Counts]) -> (u64, u64) {
        let (mut needed, mut missing) = (0, 0);
        for (kind, owners) in KINDS.into_iter().zip(self.0) {
            for (number, owner) in (0..).zip(owners).filter(|(_, owner)| *owner != NOBODY) {
                let Some(length) = graph.length(kind, number) else {
                    missing += 1;
                    continue;
                };
                needed += length;
                if let Some(counts) = snapshots.get_mut(owner as usize) {
                    counts.unique += length;
                }
            }
        }
        (needed, missing)
    }
}

/// The objects of several snapshots, each once.
#[derive(Default)]
struct Together {
    seen: [Set; KINDS.len()],
    /// Chunks that a content has counted.
    chunks: Set,
    distinct: u64,
    data: u64,
    metadata: u64,
}

impl Together {
    fn add(&mut self, graph: &Graph<'_>, kind: ObjectKind, number: Number) -> Result<(), StatsError> {
        if !self.seen[kind as usize].insert(number) {
            return Ok(());
        }
        let length = graph.length(kind, number).unwrap_or_default();
        match kind {
            ObjectKind::Chunk | ObjectKind::Content => self.data += length,
            ObjectKind::Filemeta | ObjectKind::Node | ObjectKind::Snapshot => self.metadata += length,
        }
        if kind == ObjectKind::Content {
            let (size, chunks) = graph.content(number)?;
            let new = chunks.iter().filter(|chunk| self.chunks.insert(**chunk)).count() as u128;
            self.distinct += match chunks.len() as u128 {
                0 => size,
                // As if all of its chunks were of one size. If all are new, it is exact.
                all => u64::try_from(u128::from(size) * new / all).unwrap_or(u64::MAX),
            };
        }
        Ok(())
    }
}
