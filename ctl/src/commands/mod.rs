//! One file a command: it asks the daemon, and hands the answer to `output`.

mod answer;
mod archive;
mod backup;
mod break_lock;
mod cat;
mod check;
mod completions;
mod copy;
mod diff;
mod dump;
mod filter;
mod find;
mod forget;
mod init;
mod job;
mod key;
mod list;
mod lock;
mod ls;
mod man;
#[cfg(feature = "mount")]
mod mount;
mod path;
mod prune;
mod recovery;
mod repair;
mod restore;
mod sink;
mod stats;
mod status;
mod tag;

pub(crate) use find::having;
pub(crate) use job::lost_of;

use crate::cli::{self, Cli, Command};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;

/// Runs what the command line asks for.
pub(crate) async fn run(cli: Cli, out: &mut Output) -> Result<Exit, Error> {
    let global = &cli.global;
    match cli.command {
        Command::Status => status::run(global, out).await,
        Command::Init(args) => init::run(global, out, args).await,
        Command::Backup(args) => backup::run(global, out, args).await,
        Command::Restore(args) => restore::run(global, out, args).await,
        Command::Prune(args) => prune::run(global, out, args).await,
        Command::Check(args) => check::run(global, out, args).await,
        Command::Repair(args) => repair::run(global, out, args).await,
        Command::List(args) => list::run(global, out, args).await,
        Command::Ls(args) => ls::run(global, out, args).await,
        Command::Diff(args) => diff::run(global, out, args).await,
        Command::Find(args) => find::run(global, out, args).await,
        Command::Dump(args) => dump::run(global, out, args).await,
        Command::Cat(args) => cat::run(global, out, args).await,
        Command::Forget(args) => forget::run(global, out, args).await,
        Command::Tag(args) => tag::run(global, out, args).await,
        Command::Copy(args) => copy::run(global, out, args).await,
        Command::Stats(args) => stats::run(global, out, args).await,
        Command::Job(args) => job::run(global, out, args).await,
        Command::Key(args) => key::run(global, out, args).await,
        Command::Lock(cli::Lock::List(args)) => lock::list(global, out, args).await,
        Command::BreakLock(args) => break_lock::run(global, out, args).await,
        #[cfg(feature = "mount")]
        Command::Mount(args) => mount::run(global, out, args).await,
        Command::Completions(args) => completions::run(out, args),
        Command::Man(args) => man::run(&args),
    }
}
