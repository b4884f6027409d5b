//! Many processes that back up and prune one repository at the same time, while they are killed and stopped at random:
//! does the lock protocol hold, and is everything there in the end that was said to be stored?
//!
//! It starts itself again as each of the processes ([`worker`]), torments them ([`conductor`]) and judges what they left
//! ([`judge`]). With `--kill-prunes`, one prune after another is killed, and what it left is looked at each time
//! ([`killed`]). Times are scaled down: with locks that live for two seconds, a process that is stopped for four is a
//! laptop that slept for two minutes.
#![allow(clippy::print_stdout, reason = "it is a program for a terminal")]

mod conductor;
mod judge;
mod killed;
mod slow;
mod tree;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use cloudstic_engine::prune::MAX_WASTE_PERCENT;

/// Lets many processes back up and prune one repository while they are killed and stopped at random.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many processes; every fourth one prunes
    #[arg(long, default_value_t = 16)]
    processes: u64,
    /// How long a lock lives, in milliseconds
    #[arg(long, default_value_t = 2000)]
    ttl_ms: u64,
    /// What the store can do
    #[arg(long, value_enum, default_value_t = StoreKind::Local)]
    store: StoreKind,
    /// Take no locks, to see that it fails
    #[arg(long)]
    without_locks: bool,
    /// What chance is made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to work; a temporary folder by default
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Instead, kill so many prunes at random moments, and look at all snapshots after each
    #[arg(long, value_name = "PRUNES")]
    kill_prunes: Option<u64>,
    /// How many percent of a pack may be of no use to any snapshot, for a prune to leave it as it is
    #[arg(long, default_value_t = MAX_WASTE_PERCENT)]
    max_waste: u8,
    /// Be one of those prunes
    #[arg(long, hide = true)]
    prune: bool,
    /// Be one of the processes, with this number
    #[arg(long, hide = true)]
    worker: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StoreKind {
    /// Atomic creation, conditional replacement
    Local,
    /// Neither, and slow
    Plain,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match (&arguments.folder, arguments.worker) {
        (Some(folder), _) if arguments.prune => killed::prune(&arguments, folder),
        (Some(folder), Some(number)) => worker::run(&arguments, folder, number),
        (Some(folder), None) => {
            std::fs::create_dir_all(folder).map_err(Into::into).and_then(|()| play(&arguments, folder))
        }
        (None, _) => match tempfile::tempdir() {
            Ok(folder) => play(&arguments, folder.path()),
            Err(error) => Err(error.into()),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(arguments: &Arguments, folder: &std::path::Path) -> anyhow::Result<()> {
    if let Some(prunes) = arguments.kill_prunes {
        return killed::run(arguments, folder, prunes);
    }
    conductor::run(arguments, folder)?;
    judge::run(arguments, folder)
}
