//! The entries that the kernel knows, by their inode numbers.
//!
//! A number is a keyed hash of the parent's number and the name, so an entry that the kernel forgot and looks up again has
//! the same one, and nobody remembers it meanwhile. The key is made for each mount: who can choose names cannot choose
//! numbers.

use std::collections::HashMap;
use std::collections::hash_map::{Entry as Place, RandomState};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::remote::Entry;

/// The number of the mount's own root.
pub(crate) const ROOT: u64 = 1;

/// What an entry is.
#[derive(Debug)]
pub(crate) enum What {
    /// A folder of the mount's own.
    Top,
    Snapshots,
    Tags,
    /// The folder of a tag, with the name that this has in the mount.
    Tag,
    /// A link of the mount's own.
    Link(Box<[u8]>),
    /// The root of a snapshot, by its hash.
    Snapshot(Arc<str>, Option<SystemTime>),
    /// An entry of a snapshot.
    Entry(Entry),
}

/// An entry under its name, without its place.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) name: Box<[u8]>,
    pub(crate) what: What,
}

/// An entry in its place.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) number: u64,
    parent: Option<Arc<Node>>,
    pub(crate) child: Arc<Child>,
}

impl Node {
    /// The snapshot that it is in, and its path in there.
    pub(crate) fn place(&self) -> Option<(Arc<str>, Vec<u8>)> {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut node = self;
        loop {
            match &node.child.what {
                What::Snapshot(hash, _) => {
                    names.reverse();
                    return Some((Arc::clone(hash), names.join(&b'/')));
                }
                What::Entry(_) => names.push(&node.child.name),
                _ => return None,
            }
            node = node.parent.as_deref()?;
        }
    }

    /// The number of the folder that it is in; the root's is its own.
    pub(crate) fn parent_number(&self) -> u64 {
        self.parent.as_ref().map_or(ROOT, |parent| parent.number)
    }
}

/// All that the kernel knows.
pub(crate) struct Nodes {
    key: RandomState,
    root: Arc<Node>,
    known: Mutex<HashMap<u64, (Arc<Node>, u64)>>,
}

impl Nodes {
    /// Only the root.
    pub(crate) fn new(root: What) -> Self {
        let root = Arc::new(Child { name: Box::default(), what: root });
        let root = Arc::new(Node { number: ROOT, parent: None, child: root });
        Self { key: RandomState::new(), root, known: Mutex::default() }
    }

    /// The node of a number, which the kernel has looked up and not forgotten.
    pub(crate) fn get(&self, number: u64) -> Option<Arc<Node>> {
        if number == ROOT {
            return Some(Arc::clone(&self.root));
        }
        self.known().get(&number).map(|(node, _)| Arc::clone(node))
    }

    /// The number that a child has if no other one took it, which does not happen by chance.
    pub(crate) fn number(&self, parent: &Node, name: &[u8]) -> u64 {
        // The kernel and programs give these a meaning.
        self.key.hash_one((parent.number, name)).max(ROOT + 1)
    }

    /// Tells the kernel of a child: it counts as looked up once more.
    pub(crate) fn look_up(&self, parent: &Arc<Node>, child: &Arc<Child>) -> Arc<Node> {
        let mut number = self.number(parent, &child.name);
        let mut known = self.known();
        loop {
            let node = || Arc::new(Node { number, parent: Some(Arc::clone(parent)), child: Arc::clone(child) });
            match known.entry(number) {
                Place::Vacant(place) => return Arc::clone(&place.insert((node(), 1)).0),
                Place::Occupied(mut place) => {
                    let (old, lookups) = place.get_mut();
                    if old.parent_number() == parent.number && old.child.name == child.name {
                        // What it is may have changed: a link that points to a newer snapshot.
                        *old = node();
                        *lookups += 1;
                        return Arc::clone(old);
                    }
                }
            }
            number = number.wrapping_add(1).max(ROOT + 1);
        }
    }

    /// The kernel has forgotten so many lookups of it.
    pub(crate) fn forget(&self, number: u64, lookups: u64) {
        if let Place::Occupied(mut place) = self.known().entry(number) {
            let left = place.get().1.saturating_sub(lookups);
            if left == 0 {
                place.remove();
            } else {
                place.get_mut().1 = left;
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<u64, (Arc<Node>, u64)>> {
        // Nothing panics while it is held.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many nodes the kernel knows, the root apart.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.known().len()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn child(name: &[u8]) -> Arc<Child> {
        Arc::new(Child { name: name.into(), what: What::Tag })
    }

    #[test]
    fn a_number_survives_being_forgotten_and_nothing_else_does() {
        let nodes = Nodes::new(What::Top);
        let root = nodes.get(ROOT).unwrap();
        let node = nodes.look_up(&root, &child(b"a"));
        assert_eq!(nodes.look_up(&root, &child(b"a")).number, node.number);
        assert_ne!(nodes.look_up(&node, &child(b"a")).number, node.number);
        nodes.forget(node.number, 1);
        assert!(nodes.get(node.number).is_some(), "it was looked up twice");
        nodes.forget(node.number, 1);
        assert!(nodes.get(node.number).is_none());
        assert_eq!(nodes.count(), 1);
        assert_eq!(nodes.look_up(&root, &child(b"a")).number, node.number);
    }

    #[test]
    fn two_entries_never_share_a_number() {
        let nodes = Nodes::new(What::Top);
        let root = nodes.get(ROOT).unwrap();
        let node = nodes.look_up(&root, &child(b"a"));
        // Somebody else sits where "b" wants to be.
        let taken = nodes.number(&root, b"b");
        let stranger = Arc::new(Node { number: taken, parent: Some(node), child: child(b"x") });
        nodes.known().insert(taken, (Arc::clone(&stranger), 1));
        let moved = nodes.look_up(&root, &child(b"b"));
        assert_eq!(moved.number, taken.wrapping_add(1).max(2));
        assert_eq!(nodes.look_up(&root, &child(b"b")).number, moved.number);
        assert!(Arc::ptr_eq(&nodes.get(taken).unwrap(), &stranger));
    }
}
