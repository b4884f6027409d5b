//! Names that the daemon knows, in as little time as a shell may be kept waiting.

use std::env;
use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use cloudstic_proto::v1::{ListRepositoriesRequest, ListSnapshotsRequest, RepositoryInfo, Snapshot};

use super::line::Line;
use crate::connect::Daemon;
use crate::error::Error;
use crate::output::{escape, human};

/// The variable that says how long the daemon may take.
pub(crate) const PATIENCE: &str = "CLOUDSTIC_COMPLETE_TIMEOUT";

/// How long it may take otherwise.
const DEFAULT_PATIENCE: Duration = Duration::from_millis(300);

/// The most characters of a description.
const WIDTH: usize = 80;

/// What an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Repository,
    Profile,
    /// A profile, or a path where a repository is given.
    Source,
    Snapshot,
}

impl Kind {
    /// What an argument of this name names.
    pub(super) fn of(id: &str) -> Option<Self> {
        match id {
            "repository" | "from_repository" | "to_repository" => Some(Self::Repository),
            "profile" => Some(Self::Profile),
            "what" => Some(Self::Source),
            "snapshot" | "snapshots" | "before" | "after" => Some(Self::Snapshot),
            _ => None,
        }
    }
}

/// What a word that begins with `current` may become; nothing where the daemon does not answer.
pub(super) fn candidates(kind: Kind, current: &OsStr, files: bool) -> Vec<CompletionCandidate> {
    let Some(line) = Line::current() else { return Vec::new() };
    if kind == Kind::Source && line.repository.is_some() {
        return if files { PathCompleter::any().complete(current) } else { Vec::new() };
    }
    let Some(current) = current.to_str() else { return Vec::new() };
    let known = match kind {
        Kind::Repository => ask(&line, repositories).map(|known| repository_names(&known)),
        Kind::Profile | Kind::Source => ask(&line, repositories).map(|known| profile_names(&known)),
        Kind::Snapshot => ask(&line, snapshots).map(|known| snapshot_names(&known, current)),
    };
    let matching = known.unwrap_or_default().into_iter().filter(|(name, _)| name.starts_with(current));
    let candidate = |(order, (name, help)): (usize, (String, String))| {
        CompletionCandidate::new(name).help(Some(described(&help).into())).display_order(Some(order))
    };
    matching.enumerate().map(candidate).collect()
}

/// Runs a question against the daemon; `None` if it refuses, is not there, or takes too long.
fn ask<T>(line: &Line, question: impl AsyncFnOnce(Daemon, &Line) -> Result<T, Error>) -> Option<T> {
    let patience = env::var(PATIENCE).ok().and_then(|text| humantime::parse_duration(&text).ok());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let answer = async {
        let daemon = Daemon::connect(&line.socket).await?;
        question(daemon, line).await
    };
    let answer = runtime.block_on(async { tokio::time::timeout(patience.unwrap_or(DEFAULT_PATIENCE), answer).await });
    runtime.shutdown_background();
    answer.ok()?.ok()
}

async fn repositories(daemon: Daemon, _: &Line) -> Result<Vec<RepositoryInfo>, Error> {
    Ok(daemon.repositories().list(ListRepositoriesRequest {}).await?.into_inner().repositories)
}

async fn snapshots(daemon: Daemon, line: &Line) -> Result<Vec<Snapshot>, Error> {
    let Some(repository) = line.repository.clone() else { return Ok(Vec::new()) };
    let request = ListSnapshotsRequest { repository, ..ListSnapshotsRequest::default() };
    Ok(daemon.repositories().list_snapshots(request).await?.into_inner().snapshots)
}

/// Each with its store.
fn repository_names(known: &[RepositoryInfo]) -> Vec<(String, String)> {
    let named = known.iter().filter(|repository| is_name(&repository.name));
    named.map(|repository| (repository.name.clone(), repository.store.clone())).collect()
}

/// Each with its repository.
fn profile_names(known: &[RepositoryInfo]) -> Vec<(String, String)> {
    let profiles = |repository: &RepositoryInfo| {
        let into = format!("into {}", repository.name);
        let named = repository.profiles.iter().filter(|profile| is_name(profile));
        named.map(|profile| (profile.clone(), into.clone())).collect::<Vec<_>>()
    };
    known.iter().flat_map(profiles).collect()
}

/// Short hashes, the newest first, with what tells snapshots apart; as long as what was typed if that is longer.
fn snapshot_names(known: &[Snapshot], current: &str) -> Vec<(String, String)> {
    let mut names = Vec::with_capacity(known.len() + 1);
    if let Some(newest) = known.first() {
        names.push(("latest".to_owned(), about(newest)));
    }
    for snapshot in known {
        let short = human::short_hash(&snapshot.r#ref);
        let hash = snapshot.r#ref.strip_prefix("snapshot/").unwrap_or(&snapshot.r#ref);
        let name = if current.len() > short.len() { hash } else { short };
        if !name.is_empty() && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            names.push((name.to_owned(), about(snapshot)));
        }
    }
    names
}

/// When, of what, and with which tags.
fn about(snapshot: &Snapshot) -> String {
    let path = snapshot.source.as_ref().map_or("", |source| &source.path);
    let tags = snapshot.tags.iter().map(|tag| format!(" [{tag}]")).collect::<String>();
    format!("{} {path}{tags}", human::time(snapshot.created.as_ref()))
}

/// Whether a word is what the daemon's configuration allows as a name, and so nothing a shell would act on.
fn is_name(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    word.starts_with(plain) && word.chars().all(|c| plain(c) || c == '-' || c == '_')
}

/// A description as one short line: paths and tags may hold anything.
fn described(text: &str) -> String {
    let line = escape::text(text);
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use cloudstic_proto::v1::Source;

    use super::*;

    #[test]
    fn what_a_shell_would_act_on_is_no_name() {
        for name in ["home", "home-2", "0_a"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "-home", "a b", "a;b", "$(a)", "a\nb", "A", "*", "ä", "a'b"] {
            assert!(!is_name(name), "{name}");
        }
        let hostile = RepositoryInfo {
            name: "`reboot`".to_owned(),
            profiles: vec!["ok".to_owned(), "a\nb".to_owned()],
            ..RepositoryInfo::default()
        };
        assert_eq!(repository_names(std::slice::from_ref(&hostile)), []);
        assert_eq!(profile_names(&[hostile]), [("ok".to_owned(), "into `reboot`".to_owned())]);
    }

    fn snapshot(reference: &str) -> Snapshot {
        let source = Some(Source { path: "/srv".to_owned(), ..Source::default() });
        Snapshot { r#ref: reference.to_owned(), source, tags: vec!["a\x1b[2J".to_owned()], ..Snapshot::default() }
    }

    #[test]
    fn snapshots_are_short_hashes_until_more_was_typed() {
        let known = [snapshot("snapshot/99bb1f6cd4d1281419f3"), snapshot("snapshot/$(reboot)")];
        let names = |current| snapshot_names(&known, current).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(""), ["latest", "99bb1f6cd4d1"]);
        assert_eq!(names("99bb1f6cd4d12"), ["latest", "99bb1f6cd4d1281419f3"]);
    }

    #[test]
    fn a_description_is_one_short_line_without_control_characters() {
        assert_eq!(described(&about(&snapshot("snapshot/99"))), "- /srv [a\\x1b[2J]");
        assert_eq!(described("a\nb\tc"), "a\\nb\\tc");
        assert_eq!(described(&"ä".repeat(100)), format!("{}…", "ä".repeat(WIDTH)));
    }
}
