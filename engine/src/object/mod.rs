//! What a repository stores: the objects of the format, their names and their canonical bytes.
//!
//! Everything here is a plain value: no I/O, no keys. The one invariant: what [`json::encode`] gives for a value of
//! this room is byte for byte what the Cloudstic CLI writes for it, because the SHA-256 of these bytes *is* the name of
//! a filemeta, node or snapshot object (format, section 4).

mod content;
mod filemeta;
mod hash;
pub mod json;
mod marker;
mod name;
mod node;
mod reference;
mod snapshot;
mod time;

pub use content::Content;
pub use filemeta::{EntryType, Extra, FileMeta, Kind, Posix};
pub use hash::{Hash, Hasher, ParseHashError};
pub use marker::{ChunkerKind, KdfParams, KeySlot, RepositoryMarker, SlotType};
pub use name::{FileName, file_id_bytes, file_id_component};
pub use node::{Leaf, LeafEntry, Node, path_key, routing};
pub use reference::{ObjectKind, ObjectRef, ParseRefError};
pub use snapshot::{Latest, Snapshot, SnapshotEntry, SourceInfo};
pub use time::Timestamp;

/// The largest plain size that is stored inside the content object instead of in chunks (format, section 5), in bytes.
pub const INLINE_MAX: u64 = 524_288;

/// The largest sealed size that goes into a pack (format, section 1), in bytes.
pub const PACKED_MAX: usize = 524_288;
