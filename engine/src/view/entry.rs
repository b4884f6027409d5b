//! What people and programs are shown of an entry.

use crate::object::{EntryType, FileMeta, Hash, Kind, ObjectRef};

/// An entry without its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryInfo {
    /// The filemeta object.
    pub reference: ObjectRef,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// What it is, if neither folder nor ordinary file.
    pub kind: Option<Kind>,
    /// Bytes.
    pub size: u64,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// The twelve permission bits; 0 also if the source has none.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The SHA-256 of an ordinary file's bytes, if it is known.
    pub content_hash: Option<Hash>,
    /// Where a symlink points.
    pub target: Vec<u8>,
}

impl EntryInfo {
    /// What a filemeta says.
    pub fn new(reference: ObjectRef, meta: &FileMeta) -> Self {
        let is_folder = meta.entry_type == EntryType::Folder;
        let kind = if is_folder { None } else { meta.kind() };
        let is_file = !is_folder && kind.is_none();
        Self {
            reference,
            is_folder,
            kind,
            size: if is_file { meta.size } else { 0 },
            mtime: (meta.mtime, meta.mtime_nsec().min(999_999_999)),
            mode: meta.mode & 0o7777,
            uid: meta.uid,
            gid: meta.gid,
            content_hash: if is_file { meta.content_hash.parse().ok() } else { None },
            target: match kind {
                Some(Kind::Symlink) => meta.posix().and_then(|posix| posix.target_bytes()).unwrap_or_default(),
                _ => Vec::new(),
            },
        }
    }

    /// Whether it is an ordinary file.
    pub const fn is_file(&self) -> bool {
        !self.is_folder && self.kind.is_none()
    }

    /// A word for what it is: `file`, `folder`, `symlink`, …
    pub const fn type_word(&self) -> &'static str {
        match self.kind {
            Some(Kind::Symlink) => "symlink",
            Some(Kind::Fifo) => "fifo",
            Some(Kind::Socket) => "socket",
            Some(Kind::Char) => "char",
            Some(Kind::Block) => "block",
            None if self.is_folder => "folder",
            None => "file",
        }
    }
}
