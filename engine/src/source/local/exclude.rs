//! Which entries are left out: patterns as in `.gitignore`, and folders that ask to be left out themselves.
//!
//! `docs/excludes.md` states the exact semantics; its tables are run as tests here. Names are matched by their bytes.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use rustix::fs::{Mode, OFlags};

use super::SourceError;
use crate::object::Hash;

/// Whether an exclude pattern makes sense, for whoever has to know before there is a folder to walk.
///
/// # Errors
/// [`SourceError::BadPattern`]
pub fn check_pattern(pattern: &str) -> Result<(), SourceError> {
    Patterns::compile(&[pattern.to_owned()]).map(drop)
}

/// The same for a name of [`exclude_if_present`](super::LocalOptions::exclude_if_present).
///
/// # Errors
/// [`SourceError::BadPattern`]
pub fn check_mark(name: &str) -> Result<(), SourceError> {
    Markers::new(&[name.to_owned()], false).map(drop)
}

/// Whether a walk with these patterns does not come to a folder: `path` is relative to the source.
///
/// # Errors
/// [`SourceError::BadPattern`]
pub fn excludes_folder(patterns: &[String], path: &Path) -> Result<bool, SourceError> {
    let patterns = Patterns::compile(patterns)?;
    Ok(path.ancestors().any(|folder| patterns.exclude(folder.as_os_str().as_bytes(), true)))
}

/// Compiled exclude patterns.
#[derive(Debug)]
pub(super) struct Patterns {
    matcher: Gitignore,
    hash: Option<Hash>,
}

impl Patterns {
    pub(super) fn compile(patterns: &[String]) -> Result<Self, SourceError> {
        let mut builder = GitignoreBuilder::new("");
        for pattern in patterns {
            let bad = |problem: String| SourceError::BadPattern { pattern: pattern.clone(), problem };
            if names_nothing(pattern) {
                return Err(bad("it names nothing".to_owned()));
            }
            builder.add_line(None, pattern).map_err(|error| bad(reason(&error)))?;
        }
        let matcher = builder
            .build()
            .map_err(|error| SourceError::BadPattern { pattern: patterns.join(", "), problem: reason(&error) })?;
        let hash = (!patterns.is_empty()).then(|| Hash::of(patterns.join("\n").as_bytes()));
        Ok(Self { matcher, hash })
    }

    /// Whether the last pattern that matches excludes this path (relative to the root).
    pub(super) fn exclude(&self, path: &[u8], is_folder: bool) -> bool {
        !self.matcher.is_empty() && self.matcher.matched(Path::new(OsStr::from_bytes(path)), is_folder).is_ignore()
    }

    /// The snapshot's `exclude_hash` (format, section 8).
    pub(super) fn hash(&self) -> Option<Hash> {
        self.hash
    }
}

fn names_nothing(pattern: &str) -> bool {
    let pattern = pattern.trim_end();
    !pattern.is_empty() && pattern.strip_prefix('!').unwrap_or(pattern).trim_matches('/').is_empty()
}

/// The library's own words, without the pattern, which the error has already.
fn reason(error: &ignore::Error) -> String {
    match error {
        ignore::Error::Glob { err, .. } => err.clone(),
        other => other.to_string(),
    }
}

const CACHE_TAG: &str = "CACHEDIR.TAG";
const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// The files that make a folder be stored without the rest of what is in it.
#[derive(Debug)]
pub(super) struct Markers {
    names: Vec<String>,
    caches: bool,
}

impl Markers {
    pub(super) fn new(names: &[String], caches: bool) -> Result<Self, SourceError> {
        if let Some(bad) = names.iter().find(|name| name.is_empty() || name.contains(['/', '\0'])) {
            let problem = "the mark of a folder is the name of a file, without slashes".to_owned();
            return Err(SourceError::BadPattern { pattern: bad.clone(), problem });
        }
        Ok(Self { names: names.to_vec(), caches })
    }

    /// Whether this name may be a mark. Most folders have none, and then nothing more is asked.
    pub(super) fn may_be_mark(&self, name: &[u8]) -> bool {
        (self.caches && name == CACHE_TAG.as_bytes()) || self.names.iter().any(|mark| mark.as_bytes() == name)
    }

    /// Whether the file of this name, in this folder, is a mark.
    pub(super) fn is_mark(&self, folder: impl AsFd, name: &[u8]) -> bool {
        self.names.iter().any(|mark| mark.as_bytes() == name) || has_cache_signature(folder, name)
    }
}

fn has_cache_signature(folder: impl AsFd, name: &[u8]) -> bool {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(tag) = rustix::fs::openat(folder, name, flags, Mode::empty()) else { return false };
    let mut start = [0; CACHE_SIGNATURE.len()];
    rustix::io::pread(tag, &mut start, 0).is_ok_and(|read| read == start.len()) && start == CACHE_SIGNATURE
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn compile(patterns: &[&str]) -> Result<Patterns, SourceError> {
        Patterns::compile(&patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>())
    }

    /// Whether a walk would meet the path: neither it nor a folder above it is excluded.
    fn is_met(patterns: &Patterns, path: &str) -> bool {
        let is_folder = path.ends_with('/');
        let path = path.trim_end_matches('/');
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        !above.into_iter().any(|folder| patterns.exclude(folder.as_bytes(), true))
            && !patterns.exclude(path.as_bytes(), is_folder)
    }

    fn code_spans(cell: &str) -> Vec<&str> {
        cell.split('`').skip(1).step_by(2).collect()
    }

    #[test]
    fn every_row_of_the_documented_tables_is_true() {
        let document = include_str!("../../../../docs/excludes.md");
        let mut rows = 0;
        for line in document.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = line.split('|').collect();
            let [_, patterns, excluded, kept, ..] = cells[..] else { panic!("not a row: {line}") };
            let patterns = compile(&code_spans(patterns)).unwrap();
            for path in code_spans(excluded) {
                assert!(!is_met(&patterns, path), "{path} is not excluded: {line}");
            }
            for path in code_spans(kept) {
                assert!(is_met(&patterns, path), "{path} is excluded: {line}");
            }
            rows += 1;
        }
        assert!(rows > 15, "the tables were not found");
    }

    #[test]
    fn names_that_are_not_utf8_match_by_their_bytes() {
        let patterns = compile(&["*.tmp", "/caf?"]).unwrap();
        assert!(patterns.exclude(b"d/\xff\xfe.tmp", false));
        assert!(patterns.exclude(b"caf\xe9", false));
        assert!(!patterns.exclude(b"caf\xe9s", false));
    }

    #[test]
    fn a_bad_pattern_is_named() {
        for bad in ["x[z-a]", "a{b", "a\\", "/", "!", "!//"] {
            match compile(&["fine", bad]) {
                Err(SourceError::BadPattern { pattern, problem }) => {
                    assert_eq!(pattern, bad);
                    assert!(!problem.is_empty() && !problem.contains("fine"));
                }
                other => panic!("{bad}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_hash_is_of_the_patterns_as_they_were_given() {
        assert_eq!(compile(&[]).unwrap().hash(), None);
        assert_eq!(compile(&["*.log", "!keep.log"]).unwrap().hash(), Some(Hash::of(b"*.log\n!keep.log")));
    }
}
