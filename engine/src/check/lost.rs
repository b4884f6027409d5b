//! What is lost of many snapshots, path by path: a second look at the trees, only where there are faults.
//!
//! Why memory stays small whatever is lost: an entry that is lost costs some 30 bytes while the trees are walked, and
//! few have a path at the same time. Why what is told is no more than what the trees hold: neighbours among the snapshots mostly share
//! their entries, so an entry is told once for a run of snapshots, not once for each.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use super::CheckError;
use super::entries::TOP;
use super::faults::Findings;
use super::graph::Below;
use super::harm::{LostContents, Trees, faults_of};
use super::numbers::Bits;
use crate::finding::{Finding, Lost};
use crate::object::{FileMeta, Node, ObjectKind, ObjectRef, Snapshot, file_id_bytes};
use crate::tree::show_path;

/// Something that is lost of a run of snapshots.
pub(crate) struct LostRun<'a> {
    /// As in [`Lost`].
    pub(crate) path: Option<&'a str>,
    /// The faults that it is lost by.
    pub(crate) faults: &'a [u32],
    /// The numbers of the snapshots in the [`Lineup`].
    pub(crate) snapshots: Range<u32>,
}

impl LostRun<'_> {
    /// Tells it, once for each of the first `faults` that it is lost by.
    pub(crate) fn tell(&self, findings: &Findings, faults: usize, tell: impl Fn(&Finding<'_>)) {
        for fault in self.faults.iter().take(faults) {
            let snapshots = self.snapshots.clone();
            tell(&Finding::Lost(&Lost { path: self.path, object: findings.object(*fault), snapshots }));
        }
    }
}

/// Snapshots in the order in which they have numbers.
pub(crate) struct Lineup {
    snapshots: Vec<(ObjectRef, Option<Arc<Snapshot>>)>,
    /// Those of one source each; the others cannot be read.
    sources: Vec<Range<usize>>,
}

impl Lineup {
    /// Those of each source together, the newest first; at the end those that cannot be read.
    pub(crate) fn new(
        chosen: impl IntoIterator<Item = ObjectRef>,
        readable: &BTreeMap<ObjectRef, Arc<Snapshot>>,
    ) -> Self {
        let mut snapshots: Vec<_> = chosen.into_iter().map(|chosen| (chosen, readable.get(&chosen).cloned())).collect();
        let source = |snapshot: &Snapshot| {
            let source = &snapshot.source;
            (source.source_type.clone(), source.account.clone(), source.path.clone())
        };
        snapshots.sort_by_cached_key(|(reference, snapshot)| {
            let newest_first = |snapshot: &Snapshot| std::cmp::Reverse((snapshot.seq, snapshot.created.moment()));
            (snapshot.is_none(), snapshot.as_deref().map(|it| (source(it), newest_first(it))), *reference)
        });
        let mut sources: Vec<Range<usize>> = Vec::new();
        let mut last = None;
        for (at, (_, snapshot)) in snapshots.iter().enumerate() {
            let Some(source) = snapshot.as_deref().map(source) else { break };
            match sources.last_mut().filter(|_| last.as_ref() == Some(&source)) {
                Some(range) => range.end = at + 1,
                None => sources.push(at..at + 1),
            }
            last = Some(source);
        }
        Self { snapshots, sources }
    }

    /// Tells them all.
    pub(crate) fn tell(&self, tell: impl Fn(&Finding<'_>)) {
        for (reference, snapshot) in &self.snapshots {
            tell(&Finding::Snapshot { reference: *reference, snapshot: snapshot.as_deref() });
        }
    }

    /// Each and its number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, ObjectRef)> {
        (0..).zip(self.snapshots.iter().map(|(reference, _)| *reference))
    }
}

/// Things that are lost, and since which snapshot of those that are walked each has been there.
struct Runs {
    /// Numbers, sorted.
    items: Vec<u32>,
    /// The same.
    known: Bits,
    since: Vec<u32>,
    /// Those of the tree that is walked, by their places among the items.
    seen: Bits,
}

/// In place of a snapshot: not there.
const NEVER: u32 = u32::MAX;

impl Runs {
    fn new(items: Vec<u32>) -> Self {
        let mut known = Bits::default();
        items.iter().for_each(|item| _ = known.insert(*item));
        Self { since: vec![NEVER; items.len()], items, known, seen: Bits::default() }
    }

    /// The place of an item that is one of these.
    fn place(&self, item: u32) -> Option<usize> {
        if self.known.contains(item) { self.items.binary_search(&item).ok() } else { None }
    }

    /// Begins the runs of what was seen, and gives what was there until now and was not seen.
    fn turn(&mut self, at: u32) -> Vec<usize> {
        let mut over = Vec::new();
        for (place, since) in self.since.iter_mut().enumerate() {
            let is_seen = self.seen.contains(place as u32);
            if is_seen && *since == NEVER {
                *since = at;
            } else if !is_seen && *since != NEVER {
                over.push(place);
            }
        }
        self.seen = Bits::default();
        over
    }

    /// Ends a run, and gives where it began.
    fn end(&mut self, place: usize) -> u32 {
        std::mem::replace(&mut self.since[place], NEVER)
    }
}

/// Finds everything that is lost of snapshots that can be read, and gives it to `take`.
pub(crate) fn find_losses(
    trees: Trees<'_>,
    lineup: &Lineup,
    (findings, contents): (&Findings, &LostContents),
    take: &mut dyn FnMut(LostRun<'_>),
) -> Result<(), CheckError> {
    let entries = trees.entries.named().filter(|entry| !faults_of(trees, *entry, findings, contents).is_empty());
    let nodes = findings.bad.keys().filter(|object| object.kind == ObjectKind::Node);
    let mut nodes: Vec<u32> = nodes.filter_map(|node| trees.graph.nodes.find(&node.hash)).collect();
    nodes.sort_unstable();
    let (entries, nodes) = (Runs::new(entries.collect()), Runs::new(nodes));
    if entries.items.is_empty() && nodes.items.is_empty() {
        return Ok(());
    }
    let leaves = vec![0; entries.items.len()];
    let mut search = Search { trees, findings, contents, entries, leaves, nodes, take };
    lineup.sources.iter().try_for_each(|source| search.source(&lineup.snapshots[source.clone()], source.start as u32))
}

struct Search<'a> {
    trees: Trees<'a>,
    findings: &'a Findings,
    contents: &'a LostContents,
    entries: Runs,
    /// A leaf that has each of the entries.
    leaves: Vec<u32>,
    nodes: Runs,
    take: &'a mut dyn FnMut(LostRun<'_>),
}

impl Search<'_> {
    /// Walks the trees of one source, of which the first has the number `at`.
    fn source(&mut self, snapshots: &[(ObjectRef, Option<Arc<Snapshot>>)], first: u32) -> Result<(), CheckError> {
        let is_path = snapshots.first().and_then(|(_, snapshot)| snapshot.as_deref()).is_some_and(has_paths);
        let mut last: Option<Option<ObjectRef>> = None;
        for (at, (_, snapshot)) in (first..).zip(snapshots) {
            self.trees.stop.check()?;
            let root = snapshot.as_deref().and_then(|snapshot| snapshot.root);
            if last == Some(root) {
                continue;
            }
            if let Some(root) = root {
                self.walk(root);
            }
            self.turn(at, last.flatten(), is_path)?;
            last = Some(root);
        }
        self.turn(first + snapshots.len() as u32, last.flatten(), is_path)
    }

    fn walk(&mut self, root: ObjectRef) {
        let Self { trees, entries, leaves, nodes, .. } = self;
        trees.graph.walk(root, |node, below| {
            if let Some(place) = nodes.place(node) {
                nodes.seen.insert(place as u32);
            }
            let Below::Entries(items) = below else { return };
            for item in items {
                if let Some(place) = entries.place(*item) {
                    entries.seen.insert(place as u32);
                    leaves[place] = node;
                }
            }
        });
    }

    /// Tells what was there until the snapshot before `at`, whose root is `last`, and is not in the tree that was walked.
    fn turn(&mut self, at: u32, last: Option<ObjectRef>, is_path: bool) -> Result<(), CheckError> {
        for place in self.nodes.turn(at) {
            let node = self.trees.graph.nodes.object(self.nodes.items[place]);
            let fault = self.findings.bad.get(&node).copied();
            let snapshots = self.nodes.end(place)..at;
            (self.take)(LostRun { path: None, faults: fault.as_slice(), snapshots });
        }
        let over = self.entries.turn(at);
        if over.is_empty() {
            return Ok(());
        }
        let mut leaves: Vec<u32> = over.iter().map(|place| self.leaves[*place]).collect();
        leaves.sort_unstable();
        leaves.dedup();
        let leaves: Vec<ObjectRef> = leaves.into_iter().map(|leaf| self.trees.graph.nodes.object(leaf)).collect();
        let mut waiting = Bits::default();
        over.iter().for_each(|place| _ = waiting.insert(*place as u32));
        let Trees { reader, stop, .. } = self.trees;
        let mut chains = last.filter(|_| !is_path).map(|root| Chains { trees: self.trees, root, by_key: None });
        let mut named = Named::default();
        stop.each(
            &leaves,
            4,
            |leaf| Ok(reader.read_json::<Node>(leaf).ok()),
            |_, node| {
                let Some(Node::Leaf(leaf)) = node else { return };
                for entry in leaf.entries {
                    let number = self.trees.entries.numbers.find(&entry.filemeta.hash);
                    let place = number.and_then(|number| self.entries.place(number));
                    let is_waiting = |place: &usize| waiting.contains(*place as u32);
                    let Some(place) = place.filter(|place| is_waiting(place) && named.seen.insert(*place as u32))
                    else {
                        continue;
                    };
                    let path = match &mut chains {
                        Some(chains) => chains.path(self.entries.items[place]).unwrap_or(entry.key),
                        None => show_path(&file_id_bytes(&entry.key)),
                    };
                    named.bytes += path.len();
                    named.paths.push((path, place));
                    if named.bytes >= NAMED {
                        self.tell(&mut named, at);
                    }
                }
            },
        )?;
        // What the store did not give a second time is told by another name.
        for place in over.into_iter().filter(|place| named.seen.insert(*place as u32)) {
            let name = self.trees.entries.numbers.object(self.entries.items[place]).to_string();
            named.paths.push((name, place));
        }
        self.tell(&mut named, at);
        Ok(())
    }

    /// Tells entries by their paths, in order.
    fn tell(&mut self, named: &mut Named, at: u32) {
        named.bytes = 0;
        named.paths.sort_unstable();
        for (path, place) in named.paths.drain(..) {
            let faults = faults_of(self.trees, self.entries.items[place], self.findings, self.contents);
            let snapshots = self.entries.end(place)..at;
            (self.take)(LostRun { path: Some(&path), faults: &faults, snapshots });
        }
    }
}

/// Bytes of paths that are held to be told in order.
const NAMED: usize = 8 << 20;

/// Entries whose paths are known, and that wait to be told.
#[derive(Default)]
struct Named {
    paths: Vec<(String, usize)>,
    bytes: usize,
    /// These, and those that were told before, by their places.
    seen: Bits,
}

/// Whether the fileIds of a snapshot are paths.
fn has_paths(snapshot: &Snapshot) -> bool {
    matches!(snapshot.source.source_type.as_str(), "local" | "sftp")
}

/// Paths of a cloud source, whose fileIds say nothing: by the names of the parents.
struct Chains<'a> {
    trees: Trees<'a>,
    root: ObjectRef,
    by_key: Option<HashMap<u64, u32>>,
}

impl Chains<'_> {
    fn path(&mut self, entry: u32) -> Option<String> {
        const DEEPEST: usize = 256;
        let Trees { reader, graph, entries, .. } = self.trees;
        let root = self.root;
        let by_key = self.by_key.get_or_insert_with(|| {
            let mut by_key = HashMap::new();
            graph.walk(root, |_, below| {
                if let Below::Entries(items) = below {
                    by_key.extend(items.iter().map(|item| (entries.facts(*item).key, *item)));
                }
            });
            by_key
        });
        let (mut names, mut at) = (Vec::new(), entry);
        while names.len() < DEEPEST {
            let meta: FileMeta = reader.read_json(&entries.numbers.object(at)).ok()?;
            names.push(show_path(&meta.name_bytes().unwrap_or_else(|_| meta.name.as_bytes().into())));
            match entries.facts(at).parent {
                TOP => break,
                parent => at = *by_key.get(&parent)?,
            }
        }
        names.reverse();
        Some(names.join("/"))
    }
}
