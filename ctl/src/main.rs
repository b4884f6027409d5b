//! `cloudsticctl`: the client of the Cloudstic backup daemon.
//!
//! It asks, shows and exits: everything it does goes through the API of `proto/`, and it never touches a repository.
//! The one thing it writes itself is an archive, so that this happens with the rights of whoever called it.

mod cli;
mod commands;
mod completion;
mod connect;
mod error;
mod exit;
mod manual;
#[cfg(feature = "mount")]
mod mount;
mod output;
mod progress;
mod signals;
mod wait;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

use crate::cli::Cli;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;

fn main() -> ExitCode {
    if let Some(code) = completion::answer() {
        return code;
    }
    let cli = Cli::parse();
    let json = cli.global.json;
    match start(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            // There is nobody left to tell if standard error cannot be written.
            let _ = writeln!(std::io::stderr().lock(), "{}", error::line("INTERNAL", &format!("{error:#}"), json));
            Exit::Failure.into()
        }
    }
}

/// Runs the command; only what keeps it from starting at all is an error here.
fn start(cli: Cli) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let mut out = Output::new(&cli.global);
    let result = runtime.block_on(commands::run(cli, &mut out));
    let result = result.and_then(|exit| out.flush().map(|()| exit));
    // A thread that writes into a pipe nobody reads must not keep the process alive.
    runtime.shutdown_background();
    Ok(match result {
        Ok(exit) => exit,
        Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Success,
        Err(error) => {
            out.error(&error);
            error.exit()
        }
    })
}
