//! References between objects: `chunk/<hash>`, `content/<hash>`, …

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::hash::Hash;

/// The kinds of object that are named by a hash (format, section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// File data.
    Chunk,
    /// The chunk list of a file, or its inline data.
    Content,
    /// The metadata of one file or folder.
    Filemeta,
    /// A HAMT node.
    Node,
    /// A snapshot.
    Snapshot,
}

impl ObjectKind {
    /// All kinds, in the order of their names.
    pub const ALL: [Self; 5] = [Self::Chunk, Self::Content, Self::Filemeta, Self::Node, Self::Snapshot];

    /// The first part of the key, without the slash.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chunk => "chunk",
            Self::Content => "content",
            Self::Filemeta => "filemeta",
            Self::Node => "node",
            Self::Snapshot => "snapshot",
        }
    }

    /// Whether this project packs objects of this kind (format, section 11.1).
    pub const fn is_data(self) -> bool {
        !matches!(self, Self::Snapshot)
    }

    /// The most bytes that one object of this kind can decode to (format, section 2).
    pub const fn max_plain_size(self) -> usize {
        match self {
            Self::Chunk => 8 << 20,
            Self::Content => 1 << 30,
            Self::Filemeta | Self::Node | Self::Snapshot => 64 << 20,
        }
    }
}

/// The name of an object: its kind and hash, written `kind/<64 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name.
    pub hash: Hash,
}

/// A text that is not an object reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a reference to an object")]
pub struct ParseRefError(pub String);

impl ObjectRef {
    /// Names an object.
    pub const fn new(kind: ObjectKind, hash: Hash) -> Self {
        Self { kind, hash }
    }

    /// Its key in a store.
    ///
    /// ```
    /// use cloudstic_engine::object::{Hash, ObjectKind, ObjectRef};
    /// let node = ObjectRef::new(ObjectKind::Node, Hash::of(b"{}"));
    /// assert!(node.key().starts_with("node/44136fa355b3678a"));
    /// assert_eq!(node.key().parse::<ObjectRef>().unwrap(), node);
    /// ```
    pub fn key(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.hash)
    }
}

impl fmt::Debug for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ObjectRef {
    type Err = ParseRefError;

    fn from_str(text: &str) -> Result<Self, ParseRefError> {
        let wrong = || ParseRefError(text.to_owned());
        let (kind, hash) = text.split_once('/').ok_or_else(wrong)?;
        let kind = ObjectKind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or_else(wrong)?;
        Ok(Self::new(kind, hash.parse().map_err(|_| wrong())?))
    }
}

impl Serialize for ObjectRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
