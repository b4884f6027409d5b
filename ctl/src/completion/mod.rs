//! Completion of words in a shell.
//!
//! The script of [`script`] runs this program with [`VARIABLE`] set and the words of the line behind `--`; then
//! [`answer`] prints what the current word may become. Commands and options come from the definitions of the command
//! line, names of repositories, profiles and snapshots from the running daemon ([`names`]).
//!
//! The invariant: a shell is never kept waiting, never hears of an error, and never gets a word that it would act on.

mod bash;
mod line;
mod names;

use std::env;
use std::ffi::OsStr;
use std::io;
use std::process::ExitCode;

use clap::{Command, CommandFactory, ValueHint};
use clap_complete::CompleteEnv;
use clap_complete::engine::ArgValueCompleter;
use clap_complete::env::{EnvCompleter, Fish, Shells, Zsh};

use crate::cli::{Cli, Shell};
use bash::Bash;
use names::Kind;
pub(crate) use names::PATIENCE;

/// Names the shell that asks.
const VARIABLE: &str = "_CLOUDSTICCTL_COMPLETE";

/// Answers a shell that asks for completions; `None` if none does.
pub(crate) fn answer() -> Option<ExitCode> {
    let shell = env::var_os(VARIABLE)?;
    // bash completes files by itself, and quotes their names.
    let files = shell != "bash";
    let complete = CompleteEnv::with_factory(|| definitions(files)).var(VARIABLE).shells(Shells(&[&Bash, &Fish, &Zsh]));
    let here = env::current_dir().ok();
    match complete.try_complete(env::args_os(), here.as_deref()) {
        Ok(true) => Some(ExitCode::SUCCESS),
        Ok(false) => None,
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// The script that a shell reads to complete words of this program.
pub(crate) fn script(shell: Shell) -> io::Result<Vec<u8>> {
    const NAME: &str = "cloudsticctl";
    let mut script = Vec::new();
    let completer: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    completer.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
    if matches!(shell, Shell::Zsh) {
        // As a file of $fpath it is a function's body: the first time, it has to complete as well.
        script.extend(b"[[ $funcstack[1] == _cloudsticctl ]] && _clap_dynamic_completer_cloudsticctl \"$@\"\n");
    }
    Ok(script)
}

/// The definitions, with where the values of arguments are to be had.
fn definitions(files: bool) -> Command {
    completed(Cli::command(), files)
}

/// An argument is known by its name, so that a new command need not think of this.
fn completed(command: Command, files: bool) -> Command {
    let command = command.mut_args(|argument| {
        let is_file = argument.get_value_hint() != ValueHint::Unknown;
        let argument = if is_file && !files { argument.value_hint(ValueHint::Other) } else { argument };
        match Kind::of(argument.get_id().as_str()) {
            Some(kind) => {
                argument.add(ArgValueCompleter::new(move |current: &OsStr| names::candidates(kind, current, files)))
            }
            None => argument,
        }
    });
    command.mut_subcommands(|sub| completed(sub, files))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_argument_that_names_a_repository_or_snapshot_is_completed() {
        fn look(command: &Command, seen: &mut Vec<String>) {
            for argument in command.get_arguments() {
                let id = argument.get_id().as_str();
                let completed = argument.get::<ArgValueCompleter>().is_some();
                if id.contains("repository") || id.starts_with("snapshot") {
                    assert!(completed, "{}: {id}", command.get_name());
                    seen.push(id.to_owned());
                }
            }
            command.get_subcommands().for_each(|sub| look(sub, seen));
        }
        let mut seen = Vec::new();
        look(&definitions(true), &mut seen);
        for known in ["snapshot", "from_repository", "to_repository"] {
            assert!(seen.contains(&known.to_owned()), "{seen:?}");
        }
    }

    #[test]
    fn definitions_are_consistent_for_every_shell() {
        definitions(true).debug_assert();
        definitions(false).debug_assert();
    }

    #[test]
    fn scripts_ask_this_program() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell).unwrap()).unwrap();
            assert!(script.contains("_CLOUDSTICCTL_COMPLETE") && script.contains("cloudsticctl --"), "{script}");
        }
    }
}
