//! The command line: what can be asked, and how `--help` explains it; a file for each command or group of them.

mod backup;
mod check;
mod completions;
mod copy;
mod diff;
mod find;
mod flags;
mod forget;
mod init;
mod job;
mod key;
mod list;
mod lock;
mod man;
#[cfg(feature = "mount")]
mod mount;
mod prune;
mod read;
mod repair;
mod restore;
mod tag;
mod value;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use backup::Backup;
pub(crate) use check::Check;
pub(crate) use completions::{Completions, Shell};
pub(crate) use copy::{Copy, Stats};
pub(crate) use diff::Diff;
pub(crate) use find::Find;
pub(crate) use flags::{LockWait, PruneOptions, SnapshotFilter, SourceFilter, Waiting};
pub(crate) use forget::{Forget, GroupBy};
pub(crate) use init::Init;
pub(crate) use job::{Job, JobFindings, JobId, JobList, JobLogs};
pub(crate) use key::{Changing, Key, KeyAddPlatform, KeyAddRecovery, KeyList, KeyPasswd, KeyRemove};
pub(crate) use list::{List, Ls};
pub(crate) use lock::{BreakLock, Lock, LockList};
pub(crate) use man::Man;
#[cfg(feature = "mount")]
pub(crate) use mount::Mount;
pub(crate) use prune::Prune;
pub(crate) use read::{Cat, Dump};
pub(crate) use repair::Repair;
pub(crate) use restore::{Overwrite, Restore};
pub(crate) use tag::{Tag, TagArgs};

use crate::exit;

/// Talks to the Cloudstic backup daemon.
#[derive(Debug, Parser)]
#[command(name = "cloudsticctl", version, after_help = exit::help(), propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command understands.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The daemon's socket
    #[arg(long, global = true, env = "CLOUDSTIC_SOCKET", default_value = cloudstic_proto::DEFAULT_SOCKET, value_name = "PATH")]
    pub(crate) socket: PathBuf,
    /// Write JSON to standard output, and errors as JSON to standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No progress and no summary; data, warnings and errors stay
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// No progress
    #[arg(long, global = true)]
    pub(crate) no_progress: bool,
}

/// A command's summary is here, or on its arguments if these say more: a comment here would hide that one.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the daemon, its active jobs, and each repository's last backup
    Status,
    /// Make a repository on its configured store
    Init(Init),
    /// Back up a profile, or a path into a repository
    Backup(Backup),
    /// Restore a snapshot to a directory or into a ZIP archive
    Restore(Restore),
    /// List the snapshots of a repository
    List(List),
    Ls(Ls),
    Diff(Diff),
    Find(Find),
    Dump(Dump),
    Cat(Cat),
    Forget(Forget),
    #[command(subcommand)]
    Tag(Tag),
    Prune(Prune),
    Copy(Copy),
    Stats(Stats),
    Check(Check),
    Repair(Repair),
    /// Look at jobs, follow and cancel them
    #[command(subcommand)]
    Job(Job),
    #[command(subcommand)]
    Key(Key),
    /// Look at the locks of a repository
    #[command(subcommand)]
    Lock(Lock),
    BreakLock(BreakLock),
    #[cfg(feature = "mount")]
    Mount(Mount),
    Completions(Completions),
    /// Write the manual pages
    #[command(hide = true)]
    Man(Man),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn refused(args: &[&str]) -> ErrorKind {
        Cli::try_parse_from([&["cloudsticctl"], args].concat()).map(|_| ()).unwrap_err().kind()
    }

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    /// `Ls` of `Ls(Ls),`.
    fn variant(line: &str) -> &str {
        line.strip_suffix("),").and_then(|line| line.split_once('(')).map_or("", |(_, of)| of)
    }

    /// `Ls` of `Ls {`.
    fn word(line: &str) -> &str {
        line.split([' ', ';']).next().unwrap()
    }

    #[test]
    fn no_comment_on_a_command_hides_a_longer_one_on_its_arguments() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/cli")).unwrap();
        let sources: Vec<_> = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
        // The name behind `start`, where a comment is above it and its attributes.
        let commented = |source: &str, start: &str, name: fn(&str) -> &str| {
            let (mut comment, mut attribute) = (false, false);
            let mut names = Vec::new();
            for line in source.lines().map(str::trim) {
                attribute |= line.starts_with("#[");
                if attribute {
                    attribute = !line.ends_with(']');
                    continue;
                }
                let named = line.strip_prefix(start).map(name).filter(|name| comment && !name.is_empty());
                names.extend(named.map(str::to_owned));
                comment = line.starts_with("///");
            }
            names
        };
        let types = |source: &String| {
            ["pub(crate) struct ", "pub(crate) enum "].map(|start| commented(source, start, word)).concat()
        };
        let structs: Vec<_> = sources.iter().flat_map(types).collect();
        let variants: Vec<_> = sources.iter().flat_map(|source| commented(source, "", variant)).collect();
        assert!(["Ls", "Forget", "Tag"].iter().all(|name| structs.contains(&(*name).to_owned())));
        assert!(variants.contains(&"Init".to_owned()));
        for of in variants {
            assert!(
                !structs.contains(&of),
                "only the comment on the variant of {of} is shown: put it above the other one"
            );
        }
    }

    #[test]
    fn restore_wants_exactly_one_destination() {
        assert_eq!(refused(&["restore", "r", "latest"]), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused(&["restore", "r", "latest", "--to", "d", "--zip", "f"]), ErrorKind::ArgumentConflict);
        assert_eq!(
            refused(&["restore", "r", "latest", "--zip", "f", "--overwrite", "never"]),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(refused(&["restore", "r", "latest", "--to", "d", "--force"]), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn forget_wants_names_or_a_policy() {
        for nothing in [&["forget", "r"][..], &["forget", "r", "--tag", "x"], &["forget", "r", "--remove-last"]] {
            assert_eq!(refused(nothing), ErrorKind::MissingRequiredArgument);
        }
        for both in [&["--keep-last", "1"][..], &["--keep-tag", "x"], &["--path", "/"], &["--tag", "x"]] {
            assert_eq!(refused(&[&["forget", "r", "latest"], both].concat()), ErrorKind::ArgumentConflict);
        }
        assert_eq!(refused(&["forget", "r", "--keep-last", "-1"]), ErrorKind::UnknownArgument);
        assert_eq!(refused(&["forget", "r", "--keep-last", "1", "--group-by", "host"]), ErrorKind::ValueValidation);
        for good in [&["latest", "--remove-last"][..], &["--keep-last", "1", "--group-by", "none", "--path", "/"]] {
            Cli::try_parse_from([&["cloudsticctl", "forget", "r"], good].concat()).unwrap();
        }
    }

    #[test]
    fn snapshots_are_named_or_told_by_the_same_four_options_everywhere() {
        let filter = ["--tag", "a", "--tag", "b", "--source", "local", "--account", "vm", "--path", "/srv"];
        for command in [&["list", "r"][..], &["copy", "a", "b"], &["stats", "r"], &["find", "r", "*.jpg"]] {
            Cli::try_parse_from([&["cloudsticctl"], command, &filter].concat()).unwrap();
        }
        for named in [&["copy", "a", "b", "latest"][..], &["stats", "r", "latest"], &["find", "r", "-s", "latest"]] {
            for option in filter.chunks(2) {
                assert_eq!(refused(&[named, option].concat()), ErrorKind::ArgumentConflict, "{named:?} {option:?}");
            }
        }
    }

    #[test]
    fn limits_of_a_prune_go_with_a_prune() {
        for limit in [&["--max-waste", "5"][..], &["--max-repack-size", "1G"], &["--despite-unknown-packs"]] {
            let forget = [&["forget", "r", "latest"], limit].concat();
            assert_eq!(refused(&forget), ErrorKind::MissingRequiredArgument);
            Cli::try_parse_from([&["cloudsticctl"], &forget[..], &["--prune"]].concat()).unwrap();
            Cli::try_parse_from([&["cloudsticctl", "prune", "r"], limit].concat()).unwrap();
        }
        assert_eq!(refused(&["prune", "r", "--max-waste", "101"]), ErrorKind::ValueValidation);
    }

    #[test]
    fn tag_wants_tags_and_names_or_a_filter() {
        assert_eq!(refused(&["tag", "add", "r", "latest"]), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused(&["tag", "set", "r", "--tag", "x"]), ErrorKind::MissingRequiredArgument);
        let both = ["tag", "remove", "r", "latest", "--tag", "x", "--with-tag", "y"];
        assert_eq!(refused(&both), ErrorKind::ArgumentConflict);
        Cli::try_parse_from(["cloudsticctl", "tag", "add", "r", "--account", "vm", "--tag", "x"]).unwrap();
    }

    #[test]
    fn the_last_of_wait_and_no_wait_counts() {
        let wait = |args: &[&str]| match Cli::try_parse_from([&["cloudsticctl", "backup", "p"], args].concat()) {
            Ok(Cli { command: Command::Backup(backup), .. }) => backup.waiting.wait(),
            other => panic!("{other:?}"),
        };
        assert!(wait(&[]));
        assert!(!wait(&["--no-wait"]));
        assert!(wait(&["--no-wait", "--wait"]));
        assert!(!wait(&["--wait", "--no-wait"]));
    }
}
