//! `list` and `ls`.

use std::ffi::OsString;

use clap::Args;

use super::SnapshotFilter;

#[derive(Debug, Args)]
pub(crate) struct List {
    /// The repository; may be left out if exactly one is configured
    pub(crate) repository: Option<String>,
    #[command(flatten)]
    pub(crate) filter: SnapshotFilter,
}

/// List the entries of a snapshot
///
/// Everything below the given paths is listed, a folder before its children. Names are printed safely: control
/// characters, backslashes and bytes that are not UTF-8 become escapes like \n, \\ and \xff, so a line is always one
/// entry, on a terminal and in a pipe.
#[derive(Debug, Args)]
pub(crate) struct Ls {
    /// The repository
    pub(crate) repository: String,
    /// A snapshot: "latest", or the beginning of its hash
    pub(crate) snapshot: String,
    /// Only these paths and what is below them
    pub(crate) paths: Vec<OsString>,
    /// Also mode, owner, group, size, modification time, and where a link points
    #[arg(long, short)]
    pub(crate) long: bool,
    /// Only the entries directly in the folder, not what is below
    #[arg(long)]
    pub(crate) shallow: bool,
    /// Print names as they are, byte for byte
    #[arg(long)]
    pub(crate) raw: bool,
    /// Like --raw, and end entries with a zero byte instead of a newline
    #[arg(long, short = '0')]
    pub(crate) null: bool,
}
