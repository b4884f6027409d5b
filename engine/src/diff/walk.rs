//! Walks two trees of nodes at once, level by level, and gives the entries that differ.
//!
//! Nothing is believed of their shape (format, section 7): where nodes do not pair, the entries below both are
//! collected, and what is in both drops out in the end. A node that cannot be read leaves a hole: what the other tree has
//! there is not compared, for it would seem to be new or gone.

use std::collections::{BTreeMap, HashMap, HashSet};

use tokio_util::sync::CancellationToken;

use crate::object::{Hash, LeafEntry, Node, ObjectKind, ObjectRef};
use crate::repository::ReadError;
use crate::source::Warning;
use crate::tree::{Cancelled, ReadObjects, show_path};
use crate::view::read_many;
use crate::warnings::Warnings;

/// Levels 0 to 6.
const LEVELS: u32 = 7;
/// Pairs of nodes that are in memory at once.
const BATCH: usize = 256;

/// The filemetas of an entry in the two trees; not both the same, and not both none.
pub(super) type Filemetas = [Option<ObjectRef>; 2];

/// The entries of two trees that differ, by fileId.
pub(super) fn differing(
    objects: &dyn ReadObjects,
    roots: [Option<ObjectRef>; 2],
    warnings: &mut Warnings,
    cancel: &CancellationToken,
) -> Result<BTreeMap<String, Filemetas>, Cancelled> {
    let mut walk = Walk { sides: Default::default(), warnings };
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
    entries: HashMap<String, Entry>,
    holes: Vec<Place>,
}

struct Entry {
    filemeta: ObjectRef,
    routing: u32,
}

struct Walk<'a> {
    sides: [Side; 2],
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
            let routing = entry.routing();
            let problem = if entry.filemeta.kind == ObjectKind::Filemeta {
                match self.sides[side].entries.entry(entry.key) {
                    std::collections::hash_map::Entry::Vacant(vacant) => {
                        vacant.insert(Entry { filemeta: entry.filemeta, routing });
                        continue;
                    }
                    std::collections::hash_map::Entry::Occupied(taken) => {
                        (taken.key().clone(), format!("{}: another entry has its fileId", entry.filemeta))
                    }
                }
            } else {
                (entry.key, format!("{} is in the place of a filemeta", entry.filemeta))
            };
            let (key, problem) = problem;
            self.warnings.push(Warning { path: show_path(key.as_bytes()), problem: format!("{problem}; left out") });
        }
    }

    fn finish(self) -> BTreeMap<String, Filemetas> {
        let [mut before, mut after] = self.sides;
        let known = |holes: &[Place], entry: &Entry| !holes.iter().any(|hole| hole.has(entry.routing));
        before.entries.retain(|_, entry| known(&after.holes, entry));
        after.entries.retain(|_, entry| known(&before.holes, entry));
        let mut differing = BTreeMap::new();
        for (key, Entry { filemeta, .. }) in before.entries {
            let other = after.entries.remove(&key).map(|entry| entry.filemeta);
            if other != Some(filemeta) {
                differing.insert(key, [Some(filemeta), other]);
            }
        }
        differing.extend(after.entries.into_iter().map(|(key, entry)| (key, [None, Some(entry.filemeta)])));
        differing
    }
}

/// Whether a node has as many children as slots.
fn fits(bitmap: u32, children: &[ObjectRef]) -> bool {
    bitmap.count_ones() as usize == children.len()
}
