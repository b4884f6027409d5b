//! One entry as it is kept: 72 bytes. Its own name, its filemeta's and what many entries share lie elsewhere. There may
//! be millions of them, so nothing here owns memory, and what few entries have is in tables of its own.

use std::collections::HashMap;

use crate::object::{EntryType, FileMeta, Hash, Kind};

/// No entry.
pub(super) const NONE: u32 = u32::MAX;

/// The longest name that Linux file systems take, in bytes.
pub(super) const NAME_MAX: usize = 255;

#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) content_hash: Hash,
    pub(super) size: u64,
    pub(super) mtime: i64,
    pub(super) mtime_nsec: u32,
    /// The parent's number, [`NONE`] at the top.
    pub(super) parent: u32,
    /// One past the number of the last entry below it.
    pub(super) end: u32,
    /// The number of its [`Owner`].
    pub(super) owner: u32,
    pub(super) name_at: u32,
    pub(super) name_len: u8,
    bits: u8,
}

/// Whose an entry is, and who may do what with it: a tree has few that differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mode: u32,
    pub(super) flags: u32,
}

impl Owner {
    pub(super) const fn of(meta: &FileMeta) -> Self {
        Self { uid: meta.uid, gid: meta.gid, mode: meta.mode & 0o7777, flags: meta.flags }
    }
}

/// The owners of a tree, while it is read.
#[derive(Debug, Default)]
pub(super) struct Owners {
    numbers: HashMap<Owner, u32>,
    owners: Vec<Owner>,
}

impl Owners {
    pub(super) fn number(&mut self, owner: Owner) -> u32 {
        *self.numbers.entry(owner).or_insert_with(|| {
            self.owners.push(owner);
            self.owners.len() as u32 - 1
        })
    }

    pub(super) fn into_vec(self) -> Vec<Owner> {
        self.owners
    }
}

const FOLDER: u8 = 1;
const CONTENT: u8 = 2;
const SPARSE: u8 = 4;
const EXTRAS: u8 = 8;
const KIND_SHIFT: u32 = 4;
const KINDS: [Option<Kind>; 6] =
    [None, Some(Kind::Symlink), Some(Kind::Fifo), Some(Kind::Socket), Some(Kind::Char), Some(Kind::Block)];

impl Record {
    /// An entry of which nothing is known.
    pub(super) const fn unread() -> Self {
        const ZERO: Hash = Hash::from_bytes([0; 32]);
        Self {
            content_hash: ZERO,
            size: 0,
            mtime: 0,
            mtime_nsec: 0,
            parent: 0,
            end: 0,
            owner: 0,
            name_at: 0,
            name_len: 0,
            bits: 0,
        }
    }

    /// What a filemeta says; its name and its relations are set by others.
    pub(super) fn from_meta(meta: &FileMeta) -> Self {
        let folder = meta.entry_type == EntryType::Folder;
        let kind = if folder { None } else { meta.kind() };
        let mut record = Self::unread();
        let mut bits = KINDS.iter().position(|&known| known == kind).map_or(0, |at| (at as u8) << KIND_SHIFT);
        if folder {
            bits |= FOLDER;
        } else if kind.is_none() {
            record.size = meta.size;
            // Without the hash of the data nothing proves them, so a content without one is none.
            if let (Some(_), Ok(hash)) = (meta.content(), meta.content_hash.parse()) {
                record.content_hash = hash;
                bits |= CONTENT;
            }
        }
        if meta.posix().is_some_and(|posix| posix.sparse) {
            bits |= SPARSE;
        }
        if kind.is_some() || !meta.xattrs.is_empty() {
            bits |= EXTRAS;
        }
        record.bits = bits;
        record.mtime = meta.mtime;
        record.mtime_nsec = meta.mtime_nsec().min(999_999_999);
        record
    }

    /// Keeps the hash of the parent's fileId until the parent is known, in the room of what is known only then.
    pub(super) const fn set_parent_id(&mut self, id: u64) {
        (self.parent, self.end) = ((id >> 32) as u32, id as u32);
    }

    /// The hash of the parent's fileId, instead of which the entry is now at the top.
    pub(super) const fn take_parent_id(&mut self) -> u64 {
        let id = (self.parent as u64) << 32 | self.end as u64;
        (self.parent, self.end) = (NONE, 0);
        id
    }

    pub(super) const fn is_folder(&self) -> bool {
        self.bits & FOLDER != 0
    }

    pub(super) const fn has_content(&self) -> bool {
        self.bits & CONTENT != 0
    }

    pub(super) const fn is_sparse(&self) -> bool {
        self.bits & SPARSE != 0
    }

    pub(super) const fn has_extras(&self) -> bool {
        self.bits & EXTRAS != 0
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        KINDS.get(usize::from(self.bits >> KIND_SHIFT)).copied().flatten()
    }
}

/// Why a name cannot be one on disk, if it cannot (format, section 10: a restorer must not trust names).
pub(crate) fn name_problem(name: &[u8]) -> Option<&'static str> {
    match name {
        b"" => Some("its name is empty"),
        b"." | b".." => Some("its name is . or .."),
        _ if name.contains(&b'/') => Some("its name has a slash in it"),
        _ if name.contains(&0) => Some("its name has a NUL in it"),
        _ if name.len() > NAME_MAX => Some("its name is longer than 255 bytes"),
        _ => None,
    }
}
