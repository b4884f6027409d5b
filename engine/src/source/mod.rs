//! Where backups come from: the [`Source`] trait and its implementations.
//!
//! A source is read by the engine's own worker threads, never from async ones, so its methods block. What a source says
//! about an entry becomes a filemeta object byte for byte, so each implementation follows the format's rules for its
//! kind (format, sections 6 and 11.3).

pub mod local;

use std::ops::ControlFlow;

use crate::object::{EntryType, FileMeta, Hash, SourceInfo};
use crate::sparse::ReadRuns;
use crate::store::StoreError;

/// A tree that can be backed up.
pub trait Source: Send + Sync {
    /// What the snapshot says of where it came from.
    fn info(&self) -> &SourceInfo;

    /// The SHA-256 of the exclude patterns joined by newlines, if there are patterns.
    fn exclude_hash(&self) -> Option<Hash>;

    /// Calls `visit` once for every folder, a folder before its children, until it breaks or all are visited.
    /// What cannot be read is in [`Listing::warnings`] and does not end the walk; an error means that the root itself
    /// cannot be read.
    ///
    /// Files with several names come last: which of the names is the first in byte order of the paths is only known
    /// when every folder has been seen. So after the last folder, a folder that holds such files has a second listing,
    /// with nothing but these. No entry comes twice, and a source without hard links has no second listings.
    fn walk(&self, visit: &mut dyn FnMut(Listing) -> ControlFlow<()>) -> Result<(), SourceError>;

    /// Everything about an entry that takes more than the walk's own look at it: attributes, flags, link target. The
    /// result has all fields of the stored filemeta but `content_hash` and `content_ref`; a hard link to an earlier
    /// name has [`crate::object::Posix::hardlink`] as the walk found it. Warnings: attributes that could not be read.
    fn describe(&self, entry: &Entry) -> Result<(FileMeta, Vec<Warning>), SourceError>;

    /// The bytes of a regular file.
    fn open(&self, entry: &Entry) -> Result<Box<dyn FileReader>, SourceError>;

    /// [`Source::describe`] and [`Source::open`] of a regular file at once, for sources that save a look at it so.
    fn describe_and_open(&self, entry: &Entry) -> Result<Described, SourceError> {
        let (meta, warnings) = self.describe(entry)?;
        Ok(Described { meta, warnings, reader: self.open(entry)? })
    }

    /// Looks again at an entry that changed or was replaced while it was read, for another try: the same name with what
    /// is there now. An error if it is gone, of another type, or not to be told from its other names any more.
    fn refresh(&self, entry: &Entry) -> Result<Entry, SourceError> {
        Ok(entry.clone())
    }
}

/// A regular file, ready to be read.
pub struct Described {
    /// See [`Source::describe`].
    pub meta: FileMeta,
    /// Attributes that could not be read.
    pub warnings: Vec<Warning>,
    /// See [`Source::open`].
    pub reader: Box<dyn FileReader>,
}

/// Reads the bytes of one file.
pub trait FileReader: ReadRuns + Send {
    /// Whether the file is what its [`Entry::stat`] says, as far as its size, inode and times tell. Called after the last
    /// byte: if it is, the bytes read and the filemeta belong together; if not, [`Source::refresh`] and try again.
    fn unchanged(&mut self) -> bool;
}

/// The entries of one folder.
#[derive(Debug)]
pub struct Listing {
    /// The fileId of the folder, `""` for the root.
    pub folder: String,
    /// What is in it, in byte order of the names, but files with several names (see [`Source::walk`]).
    pub entries: Vec<Entry>,
    /// Whether this is the folder's second listing: its files with several names (see [`Source::walk`]).
    pub hard_links: bool,
    /// What in it could not be read.
    pub warnings: Vec<Warning>,
}

/// One file or folder, as the walk saw it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What names it in its source.
    pub file_id: String,
    /// Its name as the source has it.
    pub name: Vec<u8>,
    /// File or folder.
    pub entry_type: EntryType,
    /// What the walk knows without opening it.
    pub stat: Stat,
    /// The fileId of the first name of a file with several; the first name itself has none.
    pub hardlink: Option<String>,
}

impl Entry {
    /// Whether it has bytes to read: a regular file.
    pub fn has_content(&self) -> bool {
        self.stat.file_type == FileType::Regular
    }
}

/// What one `statx` tells. Equal values of two runs mean that nothing of the entry has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Modification time: seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Change time: seconds and nanoseconds.
    pub ctime: (i64, u32),
    /// Birth time in seconds, 0 if unknown.
    pub btime: i64,
    /// `st_mode & 0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device numbers of a device.
    pub rdev: (u32, u32),
    /// Allocated blocks of 512 bytes.
    pub blocks: u64,
    /// Number of names.
    pub links: u32,
    /// What it is.
    pub file_type: FileType,
}

/// The file types of POSIX.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// An ordinary file.
    Regular,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// Something that could not be read, or not wholly; the backup goes on and ends `partial`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The path, as [`crate::show_path`] gives it, or the key of an object.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

impl From<StoreError> for Warning {
    fn from(error: StoreError) -> Self {
        Self { problem: error.to_string(), path: error.key }
    }
}

/// A source or one of its entries that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The root is not there.
    #[error("{path} does not exist: check the path of the backup")]
    NoSuchRoot {
        /// The root.
        path: String,
    },
    /// The root is not a folder.
    #[error("{path} is not a folder: a backup starts from a folder")]
    NotAFolder {
        /// The root.
        path: String,
    },
    /// An exclude pattern that cannot be understood.
    #[error("exclude pattern {pattern:?} is not valid: {problem}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// Why.
        problem: String,
    },
    /// The entry vanished after the walk saw it.
    #[error("{path} vanished while it was being backed up")]
    Vanished {
        /// The entry.
        path: String,
    },
    /// It is not what the walk saw any more: another type, another inode.
    #[error("{path} became something else while it was being backed up")]
    Replaced {
        /// The entry.
        path: String,
    },
    /// Anything else.
    #[error("{path}: {cause}")]
    Io {
        /// The entry.
        path: String,
        /// What the system says.
        cause: std::io::Error,
    },
}

impl SourceError {
    /// What is wrong with an entry, for a [`Warning`], which says itself with which.
    pub fn problem(&self) -> String {
        match self {
            Self::Vanished { .. } => "it vanished while it was being backed up".to_owned(),
            Self::Replaced { .. } => "it became something else while it was being backed up".to_owned(),
            Self::Io { cause, .. } => format!("it cannot be read: {cause}"),
            Self::NoSuchRoot { .. } | Self::NotAFolder { .. } | Self::BadPattern { .. } => self.to_string(),
        }
    }
}
