//! `diff`.

use std::ffi::OsString;

use clap::Args;

/// Show what changed from one snapshot to another
///
/// Each line is a change: A added, D removed, M modified, R moved (or renamed), known by its content. Brackets say what
/// of an entry differs: [content] for its bytes; anything else alone ([mode], [owner], [mtime], [xattrs], …) means that
/// the bytes are the same. A directory that moved with all that is in it is one line. Names are printed as `ls` does.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The repository
    pub(crate) repository: String,
    /// The older snapshot: "latest", or the beginning of its hash
    pub(crate) before: String,
    /// The newer snapshot
    pub(crate) after: String,
    /// Only these paths and what is below them
    pub(crate) paths: Vec<OsString>,
    /// Only totals: how many files, directories and bytes
    #[arg(long)]
    pub(crate) stat: bool,
    /// Show what moved as removed and added
    #[arg(long)]
    pub(crate) no_renames: bool,
}
