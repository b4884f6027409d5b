//! `restore`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

use super::{LockWait, Waiting};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("destination").args(["to", "zip"]).required(true))]
pub(crate) struct Restore {
    /// The repository
    pub(crate) repository: String,
    /// A snapshot: "latest", or the beginning of its hash
    pub(crate) snapshot: String,
    /// Only these paths inside the snapshot
    pub(crate) paths: Vec<OsString>,
    /// Only this path inside the snapshot (repeatable; the same as a PATHS argument)
    #[arg(long = "path", value_name = "PATH")]
    pub(crate) path: Vec<OsString>,
    /// Let the daemon restore to this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) to: Option<PathBuf>,
    /// Write a ZIP archive to this file, with your own rights; "-" is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) zip: Option<PathBuf>,
    /// Replace the archive FILE if it exists
    #[arg(long, conflicts_with = "to")]
    pub(crate) force: bool,
    /// What to do with files that exist in DIR
    #[arg(long, value_enum, default_value_t = Overwrite::IfChanged, conflicts_with = "zip")]
    pub(crate) overwrite: Overwrite,
    /// Say what would be restored, but write nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Overwrite {
    /// Keep every existing file
    Never,
    /// Replace files that differ in size or modification time
    IfChanged,
    /// Replace everything
    Always,
}
