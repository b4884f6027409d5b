//! The tree of a snapshot in memory: compact, ordered by path, with every name checked.
//!
//! A repository is not believed. What is in a [`Tree`] has a name that is one on disk, parents that are folders up to
//! the top, and a path of its own; everything else was left out and is in [`Tree::problems`]. Some 76 bytes an
//! entry and its name, some 12 more while it is read.

mod assemble;
mod contents;
mod filemetas;
mod load;
#[cfg(test)]
pub(crate) mod memory;
mod names;
mod objects;
mod problems;
mod record;
mod relate;
#[cfg(test)]
mod tests;
mod walk;

use std::cmp::Ordering;
use std::ops::Range;

use tokio_util::sync::CancellationToken;

use crate::object::{FileMeta, Hash, Kind, ObjectRef};
use crate::repository::ReadError;
use crate::source::Warning;

pub(crate) use crate::shown::{file_id as show_file_id, path as show_path};
pub use contents::NameContents;
pub(crate) use objects::read_json;
pub use objects::{BegunRead, ReadObjects};
pub(crate) use record::name_problem;

use contents::Contents;
use filemetas::Filemetas;
use load::Draft;
use names::Names;
use problems::Problems;
use record::{NONE, Owner, Record};

/// All entries of a snapshot.
#[derive(Debug)]
pub struct Tree {
    records: Vec<Record>,
    filemetas: Filemetas,
    owners: Vec<Owner>,
    names: Names,
    contents: Contents,
    /// Second names with their first ones; sorted.
    hardlinks: Vec<(u32, u32)>,
    modes: bool,
    problems: Problems,
}

/// The number of an entry in its [`Tree`]: its place in path order.
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
    /// The SHA-256 of an ordinary file's bytes, if it has a content object: see [`Tree::content`].
    pub content_hash: Option<&'a Hash>,
    /// Special kind.
    pub kind: Option<Kind>,
    /// Whether the filemeta has more: xattrs, a link target, a device number. Read it again for that.
    pub has_extras: bool,
    /// The entry that is the first name of this file: of the same kind and content, and itself not a second name.
    pub hardlink: Option<EntryId>,
    /// Whether it had holes.
    pub sparse: bool,
}

impl Tree {
    /// Reads the tree below `root`. What is damaged or makes no sense (hostile names, loops, parents that are no
    /// folders) is left out, with all that is below it, and is in [`Tree::problems`]. `collects_modes`: the source is
    /// of a kind that does (`local`, `sftp`), so that a missing mode is 0 if any entry has one.
    pub fn load(
        objects: &dyn ReadObjects,
        root: Option<ObjectRef>,
        collects_modes: bool,
        cancel: &CancellationToken,
    ) -> Result<Self, Cancelled> {
        let draft = Draft::read(objects, root, cancel)?;
        assemble::assemble(draft, objects, root, collects_modes, cancel)
    }

    /// What is not in the tree because it could not be read or makes no sense: the first 4 MiB, which are tens of
    /// thousands.
    pub fn problems(&self) -> &[Warning] {
        self.problems.kept()
    }

    /// How many problems there are in all.
    pub fn problem_count(&self) -> u64 {
        self.problems.count()
    }

    /// How many entries.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All entries in path order (bytewise by component): a folder before what is in it.
    pub fn entries(&self) -> impl Iterator<Item = TreeEntry<'_>> {
        (0..self.len() as u32).map(|at| self.get(EntryId(at)))
    }

    /// One entry. The number must be from this tree.
    pub fn get(&self, id: EntryId) -> TreeEntry<'_> {
        let at = id.0 as usize;
        let record = &self.records[at];
        let Owner { uid, gid, mode, flags } = self.owners.get(record.owner as usize).copied().unwrap_or_default();
        TreeEntry {
            id,
            parent: entry(record.parent),
            name: self.names.of(record),
            filemeta: self.filemetas.of(at),
            is_folder: record.is_folder(),
            size: record.size,
            mode: (self.modes || mode != 0).then_some(mode),
            uid,
            gid,
            mtime: (record.mtime, record.mtime_nsec),
            flags,
            content_hash: record.has_content().then_some(&record.content_hash),
            kind: record.kind(),
            has_extras: record.has_extras(),
            hardlink: self.hardlink(id.0),
            sparse: record.is_sparse(),
        }
    }

    /// The content object of an ordinary file, if it has one and the hash of its data is known.
    pub fn content(&self, id: EntryId) -> Option<ObjectRef> {
        let record = &self.records[id.0 as usize];
        record.has_content().then(|| self.contents.of(id.0, &record.content_hash))
    }

    fn hardlink(&self, second: u32) -> Option<EntryId> {
        let at = self.hardlinks.binary_search_by_key(&second, |&(second, _)| second).ok()?;
        Some(EntryId(self.hardlinks[at].1))
    }

    /// The numbers of an entry and all below it: they are neighbours.
    pub fn subtree(&self, id: EntryId) -> Range<u32> {
        id.0..self.records[id.0 as usize].end
    }

    /// The path from the root, joined with `/`.
    pub fn path(&self, id: EntryId) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = Some(id);
        while let Some(id) = at {
            let record = &self.records[id.0 as usize];
            names.push(self.names.of(record));
            at = entry(record.parent);
        }
        names.reverse();
        names.join(&b'/')
    }

    /// The entry at a path; slashes at its ends and doubled ones do not matter.
    pub fn find(&self, path: &[u8]) -> Option<EntryId> {
        let mut found = None;
        let mut below = 0..self.len() as u32;
        for component in path.split(|&byte| byte == b'/').filter(|component| !component.is_empty()) {
            let at = self.find_child(found.map_or(NONE, |EntryId(at)| at), below, component)?;
            found = Some(EntryId(at));
            below = at + 1..self.records[at as usize].end;
        }
        found
    }

    /// The child of `parent` with this name. All that is below the parent stands in `below`, its children in the order
    /// of their names and each followed by what is below it: so halves are told by the child that their middle is under.
    fn find_child(&self, parent: u32, below: Range<u32>, name: &[u8]) -> Option<u32> {
        let Range { mut start, mut end } = below;
        while start < end {
            let mut child = start + (end - start) / 2;
            while self.records[child as usize].parent != parent {
                child = self.records[child as usize].parent;
            }
            match self.names.of(&self.records[child as usize]).cmp(name) {
                Ordering::Equal => return Some(child),
                Ordering::Less => start = self.records[child as usize].end,
                Ordering::Greater => end = child,
            }
        }
        None
    }

    /// The whole filemeta.
    pub fn read_filemeta(&self, objects: &dyn ReadObjects, id: EntryId) -> Result<FileMeta, ReadError> {
        read_json(objects, &self.filemetas.object(id.0 as usize))
    }
}

fn entry(at: u32) -> Option<EntryId> {
    (at != NONE).then_some(EntryId(at))
}

/// The operation was cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;
