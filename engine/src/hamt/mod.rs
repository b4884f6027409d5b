//! The Merkle HAMT of a snapshot's entries (format, section 7), built bottom-up.
//!
//! The one invariant: the tree of a given set of entries is unique, whatever the order in which they came, so that its
//! root is a fingerprint of them. Entries are sorted into the 32 slots of the root and wait on disk once they are many;
//! then each slot is sorted and built by itself, so that memory holds a small part of the tree at a time.

mod bucket;

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use bucket::Buckets;

use crate::object::{Hash, Leaf, LeafEntry, Node, ObjectKind, ObjectRef, json, routing};

/// The most entries of a leaf above the deepest level.
const LEAF_MAX: usize = 32;
/// The deepest level, where every node is a leaf.
const DEEPEST: u32 = 6;
/// Slots of a node.
const SLOTS: usize = 32;

/// Which slot of a node at `level` (from 0) an entry with this routing number belongs to.
const fn slot(routing: u32, level: u32) -> usize {
    (routing >> (32 - 5 * (level + 1)) & 31) as usize
}

/// Collects the entries of a snapshot.
#[derive(Default)]
pub struct TreeBuilder {
    buckets: Buckets,
}

impl TreeBuilder {
    /// No entries yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. Each fileId must come once.
    ///
    /// # Errors
    /// When the temporary file cannot be written.
    pub fn add(&mut self, file_id: &str, path_key: Hash, filemeta: Hash) -> io::Result<()> {
        self.buckets.add(slot(routing(&path_key), 0), file_id, &path_key, &filemeta)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Builds the tree on `threads` threads. Gives every node to `store`, children before their parents, and returns
    /// the root; `None` for an empty tree.
    ///
    /// # Errors
    /// What `store` returns, and when the temporary file cannot be read.
    pub fn build<E, F>(self, threads: usize, store: F) -> Result<Option<ObjectRef>, E>
    where
        E: From<io::Error> + Send,
        F: Fn(ObjectRef, Vec<u8>) -> Result<(), E> + Sync,
    {
        let buckets = self.buckets.seal()?;
        if buckets.len() == 0 {
            return Ok(None);
        }
        if buckets.len() <= LEAF_MAX {
            let mut all = Vec::new();
            for index in 0..SLOTS {
                all.extend(buckets.load(index)?);
            }
            return store_node(&leaf(&mut all), &store).map(Some);
        }
        let next = AtomicUsize::new(0);
        let build_some = || -> Result<Vec<(usize, ObjectRef)>, E> {
            let mut built = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= SLOTS {
                    return Ok(built);
                }
                let mut entries = buckets.load(index)?;
                if !entries.is_empty() {
                    entries.sort_unstable_by_key(LeafEntry::routing);
                    built.push((index, build_node(&mut entries, 1, &store)?));
                }
            }
        };
        let mut built = std::thread::scope(|scope| {
            let workers: Vec<_> = (1..threads).map(|_| scope.spawn(build_some)).collect();
            let mut all = build_some()?;
            for worker in workers {
                all.extend(worker.join().map_err(|_| io::Error::other("a thread that built the tree panicked"))??);
            }
            Ok::<_, E>(all)
        })?;
        built.sort_unstable();
        store_node(&internal(built), &store).map(Some)
    }
}

/// Builds the node of entries that are sorted by their routing and all belong under it.
fn build_node<E, F>(entries: &mut [LeafEntry], level: u32, store: &F) -> Result<ObjectRef, E>
where
    F: Fn(ObjectRef, Vec<u8>) -> Result<(), E>,
{
    if entries.len() <= LEAF_MAX || level >= DEEPEST {
        return store_node(&leaf(entries), store);
    }
    let mut children = Vec::new();
    for (index, range) in slots_of(entries, level) {
        children.push((index, build_node(&mut entries[range], level + 1, store)?));
    }
    store_node(&internal(children), store)
}

/// The slots that are taken at a level, and which entries belong to each.
fn slots_of(entries: &[LeafEntry], level: u32) -> Vec<(usize, Range<usize>)> {
    let mut slots: Vec<(usize, Range<usize>)> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let index = slot(entry.routing(), level);
        match slots.last_mut() {
            Some((last, range)) if *last == index => range.end = at + 1,
            _ => slots.push((index, at..at + 1)),
        }
    }
    slots
}

fn leaf(entries: &mut [LeafEntry]) -> Node {
    entries.sort_unstable_by(|a, b| a.key.as_bytes().cmp(b.key.as_bytes()));
    Node::Leaf(Leaf { entries: entries.to_vec() })
}

fn internal(children: Vec<(usize, ObjectRef)>) -> Node {
    let bitmap = children.iter().fold(0, |bitmap, (slot, _)| bitmap | 1 << slot);
    Node::Internal { bitmap, children: children.into_iter().map(|(_, child)| child).collect() }
}

fn store_node<E, F>(node: &Node, store: &F) -> Result<ObjectRef, E>
where
    F: Fn(ObjectRef, Vec<u8>) -> Result<(), E>,
{
    let bytes = json::encode(node);
    let reference = ObjectRef::new(ObjectKind::Node, Hash::of(&bytes));
    store(reference, bytes)?;
    Ok(reference)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;
    use crate::object::path_key;

    type Nodes = BTreeMap<ObjectRef, Node>;

    fn build(entries: &[(String, Hash)], threads: usize) -> (Option<ObjectRef>, Nodes) {
        let mut builder = TreeBuilder::new();
        for (file_id, path_key) in entries {
            builder.add(file_id, *path_key, Hash::of(file_id.as_bytes())).unwrap();
        }
        let nodes = Mutex::new(Nodes::new());
        let root = builder
            .build(threads, |reference, bytes| {
                nodes.lock().unwrap().insert(reference, json::decode(&bytes).unwrap());
                Ok::<_, io::Error>(())
            })
            .unwrap();
        (root, nodes.into_inner().unwrap())
    }

    fn collect(nodes: &Nodes, reference: &ObjectRef, level: u32, out: &mut Vec<String>) {
        match &nodes[reference] {
            Node::Leaf(leaf) => {
                assert!(leaf.entries.len() <= LEAF_MAX || level >= DEEPEST);
                assert!(leaf.entries.is_sorted_by(|a, b| a.key.as_bytes() < b.key.as_bytes()));
                out.extend(leaf.entries.iter().map(|entry| entry.key.clone()));
            }
            Node::Internal { bitmap, children } => {
                assert_eq!(bitmap.count_ones() as usize, children.len());
                children.iter().for_each(|child| collect(nodes, child, level + 1, out));
            }
        }
    }

    fn entry(n: u32) -> (String, Hash) {
        let (parent, id) = (format!("d{}", n % 7), format!("d{}/f{n}", n % 7));
        let key = path_key(&parent, &id);
        (id, key)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_root_is_the_same_whatever_the_order_and_holds_all_entries(
            numbers in proptest::collection::hash_set(0u32..100_000, 0..600),
            seed in any::<u64>(),
        ) {
            let mut entries: Vec<_> = numbers.into_iter().map(entry).collect();
            let (root, nodes) = build(&entries, 1);
            entries.sort_by_key(|(id, _)| (id.len() as u64 ^ seed, Hash::of(id.as_bytes())));
            prop_assert_eq!(build(&entries, 2).0, root);
            let mut found = Vec::new();
            if let Some(root) = &root {
                collect(&nodes, root, 0, &mut found);
            }
            found.sort();
            let mut expected: Vec<_> = entries.into_iter().map(|(id, _)| id).collect();
            expected.sort();
            prop_assert_eq!(found, expected);
        }
    }

    /// Entries whose routing keys agree in all 30 bits that the levels use.
    #[test]
    fn entries_that_cannot_be_told_apart_share_the_deepest_leaf() {
        let same = Hash::from_bytes([7; 32]);
        let entries: Vec<_> = (0..100).map(|n| (format!("f{n:03}"), same)).collect();
        let (root, nodes) = build(&entries, 2);
        assert_eq!(nodes.len(), 7);
        let mut found = Vec::new();
        collect(&nodes, &root.unwrap(), 0, &mut found);
        assert_eq!(found.len(), 100);
    }
}
