//! The tree of a snapshot in memory: compact, ordered by path, with every name checked.

use tokio_util::sync::CancellationToken;

use crate::object::{FileMeta, Hash, Kind, ObjectRef};
use crate::repository::{ObjectReader, ReadError};
use crate::source::Warning;

/// All entries of a snapshot, some 160 bytes each and their names.
#[derive(Debug)]
pub struct Tree;

/// The number of an entry in its [`Tree`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub u32);

/// One entry.
#[derive(Debug, Clone, Copy)]
pub struct TreeEntry<'a> {
    /// Its number.
    pub id: EntryId,
    /// Parent, `None` at the top.
    pub parent: Option<EntryId>,
    /// Its name on disk: never empty, `.`, `..`, with `/` or NUL.
    pub name: &'a [u8],
    /// The filemeta object.
    pub filemeta: &'a Hash,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// See [`FileMeta`].
    pub size: u64,
    /// See [`FileMeta`]; `None` if the source collected no modes.
    pub mode: Option<u32>,
    /// See [`FileMeta`].
    pub uid: u32,
    /// See [`FileMeta`].
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Inode flags.
    pub flags: u32,
    /// The content object of an ordinary file.
    pub content: Option<ObjectRef>,
    /// The SHA-256 of an ordinary file's bytes.
    pub content_hash: Option<&'a Hash>,
    /// Special kind.
    pub kind: Option<Kind>,
    /// Whether the filemeta has more: xattrs, a link target, a device number. Read it again for that.
    pub has_extras: bool,
    /// The entry that is the first name of this file.
    pub hardlink: Option<EntryId>,
    /// Whether it had holes.
    pub sparse: bool,
}

impl Tree {
    /// Reads the tree. What is damaged or makes no sense (hostile names, loops, parents that are no folders) is left
    /// out, with all that is below it, and is in [`Tree::problems`].
    pub fn load(
        _reader: &ObjectReader,
        _root: Option<ObjectRef>,
        _collects_modes: bool,
        _cancel: &CancellationToken,
    ) -> Result<Self, Cancelled> {
        unimplemented!()
    }
    /// What is not in the tree because it could not be read.
    pub fn problems(&self) -> &[Warning] {
        unimplemented!()
    }
    /// How many entries.
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    /// All entries in path order (bytewise by component): a folder before what is in it.
    pub fn entries(&self) -> impl Iterator<Item = TreeEntry<'_>> {
        std::iter::empty()
    }
    /// One entry.
    pub fn get(&self, _id: EntryId) -> TreeEntry<'_> {
        unimplemented!()
    }
    /// The path from the root, joined with `/`.
    pub fn path(&self, _id: EntryId) -> Vec<u8> {
        unimplemented!()
    }
    /// The entry at a path.
    pub fn find(&self, _path: &[u8]) -> Option<EntryId> {
        unimplemented!()
    }
    /// The whole filemeta.
    pub fn read_filemeta(&self, _reader: &ObjectReader, _id: EntryId) -> Result<FileMeta, ReadError> {
        unimplemented!()
    }
}

/// The operation was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;
