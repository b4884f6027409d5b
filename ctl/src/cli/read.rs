//! `dump` and `cat`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// Write the bytes of one file of a snapshot
///
/// A whole file is held against its hash at the end: if it is not right, that is an error, and FILE does not appear. A
/// directory has no bytes: use `restore --zip -`.
#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// The repository
    pub(crate) repository: String,
    /// A snapshot: "latest", or the beginning of its hash
    pub(crate) snapshot: String,
    /// A file inside the snapshot
    pub(crate) path: OsString,
    /// Write to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace FILE if it exists
    #[arg(long, requires = "output")]
    pub(crate) force: bool,
    /// Begin at this byte
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub(crate) offset: u64,
    /// Write so many bytes at most
    #[arg(long, value_name = "BYTES")]
    pub(crate) length: Option<u64>,
}

/// Show one object of a repository
///
/// JSON is printed with line breaks and indentation. Every object is proven by its name where the format allows that. The
/// wrapped key of a key slot is hidden from all but root and the daemon's own user.
#[derive(Debug, Args)]
pub(crate) struct Cat {
    /// The repository
    pub(crate) repository: String,
    /// snapshot/HASH (or its beginning, or "latest"), node/, filemeta/, content/, chunk/ or packs/HASH, index/latest,
    /// index/snapshots, index/packs, index/doomed, keys/SLOT or config
    pub(crate) key: String,
    /// The object's plain bytes as they are
    #[arg(long)]
    pub(crate) raw: bool,
    /// The bytes as they lie in the store: compressed, encrypted, or damaged
    #[arg(long, conflicts_with = "raw")]
    pub(crate) stored: bool,
}
