//! `cloudsticd`: reads its configuration and serves until it is told to stop.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use cloudsticd::config::{Config, DEFAULT_PATH};
use cloudsticd::{daemon, logging};
use tokio::signal::unix::{SignalKind, signal};

/// Gives freed memory back to the system, which matters to a program that idles most of the day; its settings are in
/// `.cargo/config.toml`, the reason in `docs/decisions.md`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The Cloudstic backup daemon.
///
/// It runs the backups and restores that cloudsticctl asks for. SIGTERM and SIGINT stop it: jobs that run are stopped at
/// a safe point and count as interrupted. A second one stops it at once.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_PATH)]
    config: PathBuf,

    /// Check the configuration file, say what is wrong with it, and exit.
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a word before it: an error of the configuration begins with its file and line.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // The daemon tells this path to people who are elsewhere.
    let config = Config::load(&std::path::absolute(&arguments.config)?)?;
    if arguments.check_config {
        let (repositories, profiles) = (config.repositories.len(), config.profiles.len());
        let path = arguments.config.display();
        writeln!(std::io::stdout(), "{path}: valid ({repositories} repositories, {profiles} profiles)")?;
        return Ok(());
    }
    logging::start(config.daemon.log_level, config.daemon.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let (stop, at_once) = (told_to_stop(1)?, told_to_stop(2)?);
        tokio::select! {
            ended = daemon::run(config, stop) => Ok(ended?),
            () = at_once => anyhow::bail!("told to stop twice: jobs that ran will be interrupted at the next start"),
        }
    });
    // What still blocks then (a job past its grace period, say) must not keep the process.
    runtime.shutdown_background();
    result
}

/// Is ready after the `times`th SIGTERM or SIGINT from now on.
fn told_to_stop(times: usize) -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        for _ in 0..times {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    })
}
