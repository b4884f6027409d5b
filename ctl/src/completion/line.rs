//! What already stands on the line that a shell completes.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgMatches, CommandFactory};

use crate::cli::Cli;

/// Holds the number of the word that is completed; without it, it is the last one.
pub(super) const INDEX: &str = "_CLAP_COMPLETE_INDEX";

/// The line before the word that is completed.
pub(super) struct Line {
    /// The repository that it names.
    pub(super) repository: Option<String>,
    /// The daemon's socket.
    pub(super) socket: PathBuf,
}

impl Line {
    /// The line of this process.
    pub(super) fn current() -> Option<Self> {
        let words: Vec<_> = env::args_os().skip_while(|word| word != "--").skip(1).collect();
        let index = env::var(INDEX).ok().and_then(|index| index.parse().ok()).unwrap_or(words.len().saturating_sub(1));
        Self::read(words.into_iter().take(index))
    }

    /// Understands as much of an unfinished line as there is.
    fn read(words: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let matches = Cli::command().ignore_errors(true).try_get_matches_from(words).ok()?;
        let mut deepest = &matches;
        let mut repository = None;
        loop {
            // Snapshots that are copied are those of the repository that they come from.
            let here = ["repository", "from_repository"].into_iter().find_map(|id| named::<String>(deepest, id));
            repository = here.or(repository);
            match deepest.subcommand() {
                Some((_, below)) => deepest = below,
                None => break,
            }
        }
        let socket = named(deepest, "socket").or_else(|| named(&matches, "socket"))?;
        Some(Self { repository, socket })
    }
}

fn named<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Option<T> {
    matches.try_get_one::<T>(id).ok().flatten().cloned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn repository(words: &[&str]) -> Option<String> {
        Line::read(words.iter().map(OsString::from)).unwrap().repository
    }

    #[test]
    fn the_repository_is_found_in_lines_that_are_not_complete() {
        assert_eq!(repository(&["cloudsticctl", "ls", "home"]).as_deref(), Some("home"));
        assert_eq!(repository(&["cloudsticctl", "restore", "home"]).as_deref(), Some("home"));
        assert_eq!(repository(&["cloudsticctl", "restore", "--to", "x", "home"]).as_deref(), Some("home"));
        assert_eq!(repository(&["cloudsticctl", "backup", "--repository", "home"]).as_deref(), Some("home"));
        assert_eq!(repository(&["cloudsticctl", "copy", "home", "away"]).as_deref(), Some("home"));
        assert_eq!(repository(&["cloudsticctl", "ls"]), None);
        assert_eq!(repository(&["cloudsticctl", "nonsense", "home"]), None);
        assert_eq!(repository(&[]), None);
    }

    #[test]
    fn the_socket_may_stand_anywhere() {
        for words in
            [["cloudsticctl", "--socket", "/s", "ls", "home"], ["cloudsticctl", "ls", "home", "--socket", "/s"]]
        {
            let line = Line::read(words.iter().map(OsString::from)).unwrap();
            assert_eq!((line.socket, line.repository.as_deref()), (PathBuf::from("/s"), Some("home")));
        }
    }
}
