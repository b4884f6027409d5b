//! `cloudsticd`: reads its configuration and serves until it is told to stop.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use cloudstic_engine::store::sftp::askpass;
use cloudstic_man::Section;
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

    /// Print the manual page, with this date at its foot, and exit.
    #[arg(long, value_name = "DATE", hide = true)]
    man: Option<String>,
}

fn main() -> ExitCode {
    // It may be `ssh` that started this program, for a password that the daemon has.
    if let Some(answered) = askpass::answer() {
        return answered;
    }
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
    if let Some(date) = &arguments.man {
        return Ok(std::io::stdout().write_all(&manual(date)?)?);
    }
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

/// The manual page.
fn manual(date: &str) -> std::io::Result<Vec<u8>> {
    let mut command = Arguments::command();
    command.build();
    let more = [
        Section::new("EXIT STATUS")
            .term("0", "It was told to stop, and has; or the configuration is valid.")
            .term("1", "It could not start or go on, or the configuration is not valid: standard error says why.")
            .term("2", "Wrong usage."),
        Section::new("FILES")
            .term(DEFAULT_PATH, "The configuration, unless --config names another one.")
            .term(cloudstic_proto::DEFAULT_SOCKET, "The socket, unless the configuration names another one.")
            .term("state.redb", "In the state directory of the configuration: the jobs and what they logged.")
            .term("cache.redb", "Beside it: what makes the next backup quick; it may be deleted while no daemon runs."),
        cloudstic_man::see_also(&["cloudsticctl(1)".to_owned()]),
    ];
    cloudstic_man::page(&command, "8", date, &more)
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
