//! HAMT nodes and how entries are routed to them (format, section 7).

use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::reference::ObjectRef;

/// One node of a tree of entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Node {
    /// References to the children, one for each bit that is set, in ascending slot order.
    Internal {
        /// Which of the 32 slots are taken.
        #[serde(default, skip_serializing_if = "is_zero")]
        bitmap: u32,
        /// The children.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        children: Vec<ObjectRef>,
    },
    /// Entries.
    Leaf(Leaf),
}

/// The entries of a leaf, sorted by key, bytewise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// The entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<LeafEntry>,
}

/// One entry of a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafEntry {
    /// The fileId.
    pub key: String,
    /// The routing key; old writers left it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_key: Option<Hash>,
    /// The entry's metadata.
    pub filemeta: ObjectRef,
}

impl LeafEntry {
    /// The first 32 bits of the key that routes this entry.
    pub fn routing(&self) -> u32 {
        routing(&self.path_key.unwrap_or_else(|| Hash::of(self.key.as_bytes())))
    }
}

/// The routing key of an entry: 4 hex digits of its parent's hash, then 60 of its own.
///
/// ```
/// use cloudstic_engine::object::{path_key, Hash};
/// let key = path_key("docs", "docs/a.txt").to_string();
/// assert_eq!(key[..4], Hash::of(b"docs").to_string()[..4]);
/// assert_eq!(key[4..], Hash::of(b"docs/a.txt").to_string()[4..]);
/// ```
pub fn path_key(parent: &str, file_id: &str) -> Hash {
    let mut bytes = *Hash::of(file_id.as_bytes()).as_bytes();
    bytes[..2].copy_from_slice(&Hash::of(parent.as_bytes()).as_bytes()[..2]);
    Hash::from_bytes(bytes)
}

/// The first 8 hex digits of a routing key as a number: level L of the tree uses its bits from the top, five a level.
pub fn routing(path_key: &Hash) -> u32 {
    let [a, b, c, d, ..] = *path_key.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

fn is_zero(bitmap: &u32) -> bool {
    *bitmap == 0
}
