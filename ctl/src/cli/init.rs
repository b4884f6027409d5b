//! `init`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The repository's name in the daemon's configuration
    pub(crate) repository: String,
    /// Do not encrypt it (refused if credentials are configured)
    #[arg(long)]
    pub(crate) unencrypted: bool,
    /// Also make a recovery key and show its 24 words, this once, on the terminal; without one nothing is made
    #[arg(long, conflicts_with = "unencrypted")]
    pub(crate) recovery: bool,
    /// Let the key decide where files are cut into chunks
    #[arg(long, conflicts_with = "unencrypted")]
    pub(crate) keyed_chunker: bool,
}
