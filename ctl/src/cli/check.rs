//! `check`.

use clap::Args;

use super::{LockWait, Waiting};

/// Prove that all snapshots are whole
///
/// Without options, no file's data are read. All metadata are read and proven: snapshots, folders, what is known of each file,
/// and the lists of what large files consist of. Of the data themselves, also those of small files, it is only seen that they
/// are there, not whether they are still right: that takes --read-data. Faults end with exit code 1, and each is told with
/// the snapshots and paths that it hurts; remarks are about what has cost nothing.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The repository
    pub(crate) repository: String,
    /// Only this snapshot: "latest", or the beginning of its hash
    pub(crate) snapshot: Option<String>,
    /// Also read all data, and prove each file
    #[arg(long, conflicts_with = "read_data_subset")]
    pub(crate) read_data: bool,
    /// Also read a part of the data: "2/7" (part 2 of 7), or the next part of the repository, so that everything is read in
    /// time: "10%" (ten such parts have everything; each is about a tenth, or nothing where there are only few packs), or "1G"
    /// (at most that, but one pack or file at least). Of one snapshot only as in "2/7"
    #[arg(long, value_name = "PART")]
    pub(crate) read_data_subset: Option<String>,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
