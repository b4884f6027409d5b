//! What the file system asks for, and what it gets.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use fuser::FileType;

/// Where snapshots, folders and files come from. Every question may fail, and be asked again.
pub(crate) trait Remote: Send + Sync + 'static {
    /// All snapshots, the newest first.
    fn snapshots(&self) -> impl Future<Output = Result<Snapshots, Fault>> + Send;

    /// What is directly in a folder of a snapshot; the root has an empty path.
    fn list(&self, snapshot: &str, folder: &[u8]) -> impl Future<Output = Result<Vec<Entry>, Listed>> + Send;

    /// `length` bytes of a file from `offset` on, which lie within it.
    fn read(
        &self,
        snapshot: &str,
        file: &[u8],
        offset: u64,
        length: u64,
    ) -> impl Future<Output = Result<Bytes, Fault>> + Send;
}

/// Why there is no answer, in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not there (any more).
    Missing(String),
    /// It is damaged, or the daemon does not answer.
    Failed(String),
}

/// A listing that is not the whole folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed {
    /// Some of it, and what is wrong with the rest.
    Partly(Vec<Entry>, Vec<String>),
    /// Nothing of it.
    Not(Fault),
}

/// The snapshots of a repository.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshots {
    /// Those that can be read.
    pub(crate) known: Vec<Snapshot>,
    /// What is wrong with others.
    pub(crate) problems: Vec<String>,
}

/// A snapshot, as far as it has to be shown.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// 64 hex digits.
    pub(crate) hash: Arc<str>,
    pub(crate) created: Option<SystemTime>,
    /// As somebody gave them: anything.
    pub(crate) tags: Vec<String>,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// A name that the kernel accepts.
    pub(crate) name: Box<[u8]>,
    pub(crate) kind: FileType,
    pub(crate) size: u64,
    pub(crate) modified: SystemTime,
    /// The twelve permission bits.
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Where a symlink points.
    pub(crate) target: Box<[u8]>,
    /// The hash of the object that describes it: files with the same one have the same bytes.
    pub(crate) identity: Option<[u8; 32]>,
}
