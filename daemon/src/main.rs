//! `cloudsticd`: reads its configuration and serves until it is told to stop.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use cloudsticd::config::{Config, DEFAULT_PATH};
use cloudsticd::{daemon, logging};
use tokio::signal::unix::{SignalKind, signal};

/// The Cloudstic backup daemon.
///
/// It runs the backups and restores that cloudsticctl asks for. SIGTERM and SIGINT stop it: jobs that run are stopped at
/// a safe point and count as interrupted.
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
    let config = Config::load(&arguments.config)?;
    if arguments.check_config {
        let (repositories, profiles) = (config.repositories.len(), config.profiles.len());
        let path = arguments.config.display();
        writeln!(std::io::stdout(), "{path}: valid ({repositories} repositories, {profiles} profiles)")?;
        return Ok(());
    }
    logging::start(config.daemon.log_level, config.daemon.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        daemon::run(config, stop).await?;
        Ok(())
    });
    // What still blocks then (a job past its grace period, say) must not keep the process.
    runtime.shutdown_background();
    result
}
