//! `man`, for whoever packages the program.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The directory, which must exist
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// The date at the foot of the pages, as YYYY-MM-DD
    #[arg(long, default_value = "")]
    pub(crate) date: String,
}
