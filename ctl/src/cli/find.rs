//! `find`.

use clap::{Args, ValueEnum};

use super::{SnapshotFilter, value};

/// Find files in snapshots by name, size, time, type or content
///
/// Each entry is shown once, with the newest and the oldest snapshot that has it just so, and how many do. An entry must
/// match one of the patterns and every other condition. Names are printed as `ls` does.
#[derive(Debug, Args)]
pub(crate) struct Find {
    /// The repository
    pub(crate) repository: String,
    /// Globs for names ("*.jpg"), or with a slash for whole paths ("photos/**/*.jpg"); none is as good as all
    #[arg(value_name = "PATTERN")]
    pub(crate) patterns: Vec<String>,
    /// Only in this snapshot (repeatable)
    #[arg(long, short, value_name = "SNAPSHOT", conflicts_with = "filter")]
    pub(crate) snapshot: Vec<String>,
    /// In all snapshots (the default)
    #[arg(long, conflicts_with = "snapshot")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) filter: SnapshotFilter,
    /// The patterns are regular expressions, looked for anywhere in the path
    #[arg(long)]
    pub(crate) regex: bool,
    /// Upper and lower case are the same
    #[arg(long, short)]
    pub(crate) ignore_case: bool,
    /// Files with more bytes than this, as in "500", "10K", "1.5G"
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub(crate) larger: Option<u64>,
    /// Files with fewer bytes than this
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    pub(crate) smaller: Option<u64>,
    /// Modified since: "7d" (ago), "2026-01-31", "2026-01-31 12:00" (local time) or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub(crate) newer: Option<prost_types::Timestamp>,
    /// Modified before
    #[arg(long, value_name = "TIME", value_parser = value::time)]
    pub(crate) older: Option<prost_types::Timestamp>,
    /// Files whose SHA-256 begins with these hex digits
    #[arg(long, value_name = "HASH")]
    pub(crate) hash: Option<String>,
    /// Only entries of this type (repeatable)
    #[arg(long = "type", short, value_name = "TYPE")]
    pub(crate) types: Vec<Type>,
    /// Name each snapshot that has an entry
    #[arg(long)]
    pub(crate) each: bool,
}

/// A type of entry, by the letter that `find` of the system has for it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Type {
    /// An ordinary file
    #[value(name = "f", alias = "file")]
    File,
    /// A directory
    #[value(name = "d", alias = "folder", alias = "directory")]
    Folder,
    /// A symbolic link
    #[value(name = "l", alias = "symlink")]
    Symlink,
    /// A named pipe
    #[value(name = "p", alias = "fifo")]
    Fifo,
    /// A socket
    #[value(name = "s", alias = "socket")]
    Socket,
    /// A character device
    #[value(name = "c", alias = "char")]
    Char,
    /// A block device
    #[value(name = "b", alias = "block")]
    Block,
}

impl Type {
    /// The API's word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Symlink => "symlink",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Char => "char",
            Self::Block => "block",
        }
    }
}
