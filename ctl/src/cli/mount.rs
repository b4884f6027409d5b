//! `mount`.

use std::path::PathBuf;

use clap::Args;

/// Show snapshots as a file system, read-only
///
/// Without --snapshot DIR holds snapshots/TIME_HASH for each snapshot (the time in UTC), tags/TAG with links to them, and
/// the link latest; with it DIR holds the files of that snapshot. A snapshot that is made later appears by itself.
///
/// Everything is read when it is looked at: a folder when it is opened, a file in pieces when they are read. At most 64
/// MiB of files and the listings of folders with 100,000 entries together are kept in memory.
///
/// It stays in the foreground until Ctrl-C or `fusermount3 -u DIR`; one line says that it is mounted. To leave it running,
/// use systemd-run as in the example of the manual page. Where data is damaged or the daemon does not answer, programs get
/// an input/output error, and a line on standard error says why; when the daemon is back, reading goes on.
///
/// Only you can look into it, and you can read all of it, as you could by restoring. Extended attributes are not shown,
/// devices are shown without their numbers, and hard links as files of their own.
#[derive(Debug, Args)]
pub(crate) struct Mount {
    /// The repository
    pub(crate) repository: String,
    /// An empty directory
    #[arg(value_hint = clap::ValueHint::DirPath)]
    pub(crate) dir: PathBuf,
    /// Only this snapshot: "latest", or the beginning of its hash
    #[arg(long)]
    pub(crate) snapshot: Option<String>,
    /// Let other users look into it too, each as far as the modes and owners of files say (needs user_allow_other in
    /// /etc/fuse.conf, unless you are root)
    #[arg(long)]
    pub(crate) allow_other: bool,
}
