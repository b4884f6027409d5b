//! Walks two trees of nodes at once, level by level, and gives the entries that differ.
//!
//! Nothing is believed of their shape (format, section 7): where nodes do not pair, the entries below both are
//! collected, and what is in both drops out in the end. A node that cannot be read leaves a hole: what the other tree has
//! there is not compared, for it would seem to be new or gone.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use tokio_util::sync::CancellationToken;

use crate::object::{Hash, LeafEntry, Node, ObjectKind, ObjectRef};
use crate::repository::ReadError;
use crate::source::Warning;
use crate::tree::{Cancelled, ReadObjects, show_file_id};
use crate::view::{Pieces, Text, Texts, read_many};
use crate::warnings::Warnings;

/// Levels 0 to 6.
const LEVELS: u32 = 7;
/// Pairs of nodes that are in memory at once.
const BATCH: usize = 256;

/// The filemetas of an entry in the two trees; not both the same, and not both none.
pub(super) type Filemetas = [Option<ObjectRef>; 2];

/// The entries of two trees that differ.
pub(super) fn differing(
    objects: &dyn ReadObjects,
    roots: [Option<ObjectRef>; 2],
    warnings: &mut Warnings,
    cancel: &CancellationToken,
) -> Result<Differing, Cancelled> {
    let mut walk = Walk { sides: Default::default(), nodes: 0, warnings };
    let mut level = Vec::new();
    push(&mut level, Pair { nodes: roots, place: Place::default() });
    for depth in 0..LEVELS {
        level.sort_by_cached_key(|pair: &Pair| pair.nodes.iter().flatten().map(|node| objects.locality(node)).min());
        let mut next = Vec::new();
        for pairs in level.chunks(BATCH) {
            walk.visit(objects, pairs, depth, &mut next, cancel)?;
        }
        level = next;
    }
    Ok(walk.finish())
}

/// Entries that differ, in the order of their fileIds. For each of the two trees 52 bytes and the fileId.
pub(super) struct Differing {
    sides: [Side; 2],
    pairs: Vec<[Option<u32>; 2]>,
    /// How many nodes were read for them.
    pub(super) nodes: u64,
}

impl Differing {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// How many filemetas they have.
    pub(super) fn filemetas(&self) -> u64 {
        self.pairs.iter().map(|pair| pair.iter().flatten().count() as u64).sum()
    }

    /// The fileId and the filemetas of the one in this place.
    pub(super) fn get(&self, at: usize) -> Option<(&[u8], Filemetas)> {
        let [before, after] = *self.pairs.get(at)?;
        let [was, is] = &self.sides;
        let key = before.map(|number| was.key(number)).or_else(|| after.map(|number| is.key(number)))?;
        let filemeta = |side: &Side, number| Some(ObjectRef::new(ObjectKind::Filemeta, side.filemeta(number?)?));
        Some((key, [filemeta(was, before), filemeta(is, after)]))
    }
}

/// Which entries belong under a node: those whose routing begins with these bits.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    bits: u32,
    mask: u32,
}

impl Place {
    fn child(self, depth: u32, slot: u32) -> Self {
        let shift = 32 - 5 * (depth + 1);
        Self { bits: self.bits | slot << shift, mask: self.mask | 31 << shift }
    }

    const fn has(self, routing: u32) -> bool {
        routing & self.mask == self.bits
    }
}

/// What the two trees have in one place.
#[derive(Debug, Clone, Copy)]
struct Pair {
    nodes: [Option<ObjectRef>; 2],
    place: Place,
}

fn push(pairs: &mut Vec<Pair>, pair: Pair) {
    if pair.nodes[0] != pair.nodes[1] {
        pairs.push(pair);
    }
}

/// One of the two trees.
#[derive(Default)]
struct Side {
    seen: HashSet<Hash>,
    keys: Texts,
    entries: Pieces<Entry>,
    holes: Vec<Place>,
}

struct Entry {
    key: Text,
    filemeta: Hash,
    routing: u32,
}

impl Side {
    fn key(&self, number: u32) -> &[u8] {
        self.entries.get(number).map_or(&[], |entry| self.keys.get(entry.key))
    }

    fn filemeta(&self, number: u32) -> Option<Hash> {
        self.entries.get(number).map(|entry| entry.filemeta)
    }

    /// The numbers of its entries by fileId, each of these once, without what may be in holes.
    fn sorted(&self, holes: &[Place], warnings: &mut Warnings) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.entries.len()).collect();
        order.sort_unstable_by(|a, b| self.key(*a).cmp(self.key(*b)).then(a.cmp(b)));
        order.dedup_by(|second, first| {
            let is_taken = self.key(*second) == self.key(*first);
            if let Some(filemeta) = self.filemeta(*second).filter(|_| is_taken) {
                let problem = format!("filemeta/{filemeta}: another entry has its fileId; left out");
                warnings.push(Warning { path: show_file_id(self.key(*second)), problem });
            }
            is_taken
        });
        let is_known = |entry: &Entry| !holes.iter().any(|hole| hole.has(entry.routing));
        order.retain(|&number| self.entries.get(number).is_some_and(is_known));
        order
    }
}

struct Walk<'a> {
    sides: [Side; 2],
    nodes: u64,
    warnings: &'a mut Warnings,
}

impl Walk<'_> {
    fn visit(
        &mut self,
        objects: &dyn ReadObjects,
        pairs: &[Pair],
        depth: u32,
        next: &mut Vec<Pair>,
        cancel: &CancellationToken,
    ) -> Result<(), Cancelled> {
        let wanted: Vec<ObjectRef> = pairs.iter().flat_map(|pair| pair.nodes).flatten().collect();
        self.nodes += wanted.len() as u64;
        let mut read = read_many::<Node>(objects, &wanted, cancel)?.into_iter();
        for pair in pairs {
            let mut nodes: [Option<Node>; 2] = [None, None];
            let mut is_whole = true;
            for (side, reference) in pair.nodes.into_iter().enumerate() {
                let Some((reference, read)) = reference.and_then(|reference| Some((reference, read.next()?))) else {
                    continue;
                };
                match self.checked(side, reference, read, depth) {
                    Ok(node) => nodes[side] = Some(node),
                    Err(problem) => {
                        is_whole = false;
                        self.sides[side].holes.push(pair.place);
                        let problem = format!("{problem}; the entries below it are not compared");
                        self.warnings.push(Warning { path: reference.to_string(), problem });
                    }
                }
            }
            if is_whole {
                self.pair(nodes, pair.place, depth, next);
            }
        }
        Ok(())
    }

    /// A node that is in its tree once, in a place where it can be.
    fn checked(
        &mut self,
        side: usize,
        reference: ObjectRef,
        read: Result<Node, ReadError>,
        depth: u32,
    ) -> Result<Node, String> {
        if reference.kind != ObjectKind::Node {
            return Err(format!("{reference} is in the place of a node"));
        }
        if !self.sides[side].seen.insert(reference.hash) {
            return Err(format!("{reference} is in the tree twice"));
        }
        match read.map_err(|why| why.to_string())? {
            Node::Internal { children, .. } if depth + 1 == LEVELS && !children.is_empty() => {
                Err(format!("{reference} has {} nodes below the deepest level", children.len()))
            }
            node => Ok(node),
        }
    }

    fn pair(&mut self, nodes: [Option<Node>; 2], place: Place, depth: u32, next: &mut Vec<Pair>) {
        match nodes {
            [Some(Node::Leaf(mut a)), Some(Node::Leaf(mut b))] => {
                let shared: HashMap<String, ObjectRef> = {
                    let all: HashMap<&str, ObjectRef> =
                        a.entries.iter().map(|entry| (entry.key.as_str(), entry.filemeta)).collect();
                    let shared = b.entries.iter().filter(|entry| all.get(entry.key.as_str()) == Some(&entry.filemeta));
                    shared.map(|entry| (entry.key.clone(), entry.filemeta)).collect()
                };
                let differs = |entry: &LeafEntry| shared.get(&entry.key) != Some(&entry.filemeta);
                a.entries.retain(differs);
                b.entries.retain(differs);
                self.collect(0, a.entries);
                self.collect(1, b.entries);
            }
            [
                Some(Node::Internal { bitmap: a, children: below_a }),
                Some(Node::Internal { bitmap: b, children: below_b }),
            ] if fits(a, &below_a) && fits(b, &below_b) => {
                let (mut below_a, mut below_b) = (below_a.into_iter(), below_b.into_iter());
                for slot in 0..32 {
                    let child = |bitmap: u32, below: &mut std::vec::IntoIter<ObjectRef>| {
                        if bitmap & 1 << slot == 0 { None } else { below.next() }
                    };
                    let nodes = [child(a, &mut below_a), child(b, &mut below_b)];
                    push(next, Pair { nodes, place: place.child(depth, slot) });
                }
            }
            nodes => {
                for (side, node) in nodes.into_iter().enumerate() {
                    match node {
                        None => {}
                        Some(Node::Leaf(leaf)) => self.collect(side, leaf.entries),
                        Some(Node::Internal { bitmap, children }) => {
                            let slots = fits(bitmap, &children);
                            let mut taken = (0..32).filter(|slot| bitmap & 1 << slot != 0);
                            for child in children {
                                let slot = if slots { taken.next() } else { None };
                                let place = slot.map_or(place, |slot| place.child(depth, slot));
                                let mut nodes = [None; 2];
                                nodes[side] = Some(child);
                                push(next, Pair { nodes, place });
                            }
                        }
                    }
                }
            }
        }
    }

    fn collect(&mut self, side: usize, entries: Vec<LeafEntry>) {
        for entry in entries {
            if entry.filemeta.kind == ObjectKind::Filemeta {
                let Side { keys, entries, .. } = &mut self.sides[side];
                let (routing, filemeta) = (entry.routing(), entry.filemeta.hash);
                entries.push(Entry { key: keys.push(entry.key.as_bytes(), b""), filemeta, routing });
                continue;
            }
            let problem = format!("{} is in the place of a filemeta; left out", entry.filemeta);
            self.warnings.push(Warning { path: show_file_id(entry.key.as_bytes()), problem });
        }
    }

    fn finish(self) -> Differing {
        let Self { sides: [before, after], nodes, warnings } = self;
        let mut was = before.sorted(&after.holes, warnings).into_iter().peekable();
        let mut is = after.sorted(&before.holes, warnings).into_iter().peekable();
        let mut pairs = Vec::new();
        loop {
            let order = match (was.peek(), is.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) => before.key(*a).cmp(after.key(*b)),
            };
            let pair = [was.next_if(|_| order.is_le()), is.next_if(|_| order.is_ge())];
            if pair[0].and_then(|number| before.filemeta(number)) != pair[1].and_then(|number| after.filemeta(number)) {
                pairs.push(pair);
            }
        }
        Differing { sides: [before, after], pairs, nodes }
    }
}

/// Whether a node has as many children as slots.
fn fits(bitmap: u32, children: &[ObjectRef]) -> bool {
    bitmap.count_ones() as usize == children.len()
}
