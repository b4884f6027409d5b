//! What an entry must be like to be found.

use std::collections::BTreeSet;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use regex::bytes::{RegexSet, RegexSetBuilder};

use crate::view::{EntryInfo, QueryError};

/// What to look for. An entry is found if one of the patterns, and everything else that is given, is true of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Patterns for names and paths; none is as good as all.
    pub patterns: Vec<String>,
    /// How they are to be understood.
    pub syntax: Syntax,
    /// Whether upper and lower case are the same to them.
    pub ignore_case: bool,
    /// Ordinary files with more bytes than this.
    pub larger: Option<u64>,
    /// Ordinary files with fewer bytes than this.
    pub smaller: Option<u64>,
    /// Modified at this moment, in seconds and nanoseconds since 1970, or later.
    pub newer: Option<(i64, u32)>,
    /// Modified before.
    pub older: Option<(i64, u32)>,
    /// Ordinary files whose SHA-256 begins with these hex digits.
    pub hash: Option<String>,
    /// Entries of one of these types, by their words (see [`EntryInfo::type_word`]); empty for all.
    pub types: BTreeSet<String>,
}

/// How patterns are to be understood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Syntax {
    /// `*`, `?`, `[a-z]`, `{a,b}`: for the name, or for the whole path if there is a slash in the pattern; there `**` is
    /// any number of folders.
    #[default]
    Glob,
    /// A regular expression that is looked for anywhere in the path.
    Regex,
}

/// [`Criteria`], ready to be asked.
#[derive(Debug)]
pub struct Filter {
    names: GlobSet,
    paths: GlobSet,
    regexes: Option<RegexSet>,
    any_path: bool,
    criteria: Criteria,
}

impl Filter {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// [`QueryError::BadPattern`].
    pub fn new(criteria: &Criteria) -> Result<Self, QueryError> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        let mut regexes = None;
        match criteria.syntax {
            Syntax::Regex => regexes = Some(compiled(criteria)?),
            Syntax::Glob => {
                for pattern in &criteria.patterns {
                    let is_path = pattern.contains('/');
                    let glob = GlobBuilder::new(pattern.trim_start_matches('/'))
                        .case_insensitive(criteria.ignore_case)
                        .literal_separator(true)
                        .build()
                        .map_err(|why| bad(pattern, why.kind()))?;
                    if is_path {
                        paths.add(glob)
                    } else {
                        names.add(glob)
                    };
                }
            }
        }
        let all = criteria.patterns.join(", ");
        let mut criteria = criteria.clone();
        if let Some(hash) = &mut criteria.hash {
            hash.make_ascii_lowercase();
            if hash.is_empty() || hash.len() > 64 || !hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(bad(hash, "a hash is up to 64 hex digits"));
            }
        }
        Ok(Self {
            names: names.build().map_err(|why| bad(&all, why))?,
            paths: paths.build().map_err(|why| bad(&all, why))?,
            regexes,
            any_path: criteria.patterns.is_empty(),
            criteria,
        })
    }

    /// Whether an entry at this path may be one.
    pub fn takes_path(&self, path: &[u8]) -> bool {
        if self.any_path {
            return true;
        }
        if let Some(regexes) = &self.regexes {
            return regexes.is_match(path);
        }
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        (!self.names.is_empty() && self.names.is_match_candidate(&Candidate::from_bytes(name)))
            || (!self.paths.is_empty() && self.paths.is_match_candidate(&Candidate::from_bytes(path)))
    }

    /// Whether an entry whose path is right is one.
    pub fn takes(&self, entry: &EntryInfo) -> bool {
        let Criteria { larger, smaller, newer, older, hash, types, .. } = &self.criteria;
        let file = |is: &dyn Fn() -> bool| entry.is_file() && is();
        larger.is_none_or(|size| file(&|| entry.size > size))
            && smaller.is_none_or(|size| file(&|| entry.size < size))
            && newer.is_none_or(|moment| entry.mtime >= moment)
            && older.is_none_or(|moment| entry.mtime < moment)
            && (types.is_empty() || types.contains(entry.type_word()))
            && hash
                .as_ref()
                .is_none_or(|start| entry.content_hash.is_some_and(|hash| hash.to_hex().starts_with(start.as_bytes())))
    }
}

fn compiled(criteria: &Criteria) -> Result<RegexSet, QueryError> {
    for pattern in &criteria.patterns {
        // One by one first: an error of the set does not say whose it is.
        regex::bytes::Regex::new(pattern).map_err(|why| bad(pattern, last_line(&why.to_string())))?;
    }
    RegexSetBuilder::new(&criteria.patterns)
        .case_insensitive(criteria.ignore_case)
        .build()
        .map_err(|why| bad(&criteria.patterns.join(", "), last_line(&why.to_string())))
}

/// Errors of regular expressions are pictures; what is wrong stands in their last line.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

fn bad(pattern: &str, problem: impl std::fmt::Display) -> QueryError {
    QueryError::BadPattern { pattern: pattern.to_owned(), problem: problem.to_string() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::object::{Hash, ObjectKind, ObjectRef};
    use crate::tree::memory::meta;

    fn paths<'a>(criteria: &Criteria, paths: &[&'a str]) -> Vec<&'a str> {
        let filter = Filter::new(criteria).unwrap();
        paths.iter().copied().filter(|path| filter.takes_path(path.as_bytes())).collect()
    }

    fn globs(patterns: &[&str]) -> Criteria {
        Criteria { patterns: patterns.iter().map(|it| (*it).to_owned()).collect(), ..Criteria::default() }
    }

    const PATHS: [&str; 6] = ["a.txt", "d/a.txt", "d/e/a.txt", "d/b.TXT", "d", "txt/x"];

    #[test]
    fn a_glob_is_for_names_and_with_a_slash_for_paths() {
        assert_eq!(paths(&globs(&["*.txt"]), &PATHS), ["a.txt", "d/a.txt", "d/e/a.txt"]);
        assert_eq!(paths(&globs(&["d/*"]), &PATHS), ["d/a.txt", "d/b.TXT"]);
        assert_eq!(paths(&globs(&["/d/**"]), &PATHS), ["d/a.txt", "d/e/a.txt", "d/b.TXT"]);
        assert_eq!(paths(&globs(&["/a.txt"]), &PATHS), ["a.txt"]);
        assert_eq!(paths(&globs(&["d", "x"]), &PATHS), ["d", "txt/x"]);
        assert_eq!(paths(&globs(&[]), &PATHS), PATHS);
        let either_case = Criteria { ignore_case: true, ..globs(&["b.txt"]) };
        assert_eq!(paths(&either_case, &PATHS), ["d/b.TXT"]);
    }

    #[test]
    fn a_regex_is_looked_for_in_the_path_and_a_bad_one_is_named() {
        let regex = |pattern: &str| Criteria { syntax: Syntax::Regex, ..globs(&[pattern]) };
        assert_eq!(paths(&regex("^d/.*txt$"), &PATHS), ["d/a.txt", "d/e/a.txt"]);
        let why = Filter::new(&regex("a(")).unwrap_err().to_string();
        assert!(why.starts_with("the pattern \"a(\" cannot be understood: unclosed group"), "{why}");
        assert!(matches!(Filter::new(&globs(&["a["])), Err(QueryError::BadPattern { .. })));
        let filter = Filter::new(&regex("^.$")).unwrap();
        assert!(!filter.takes_path(b"\xff\xff"));
    }

    #[test]
    fn bounds_are_for_what_has_them() {
        let mut file = meta(b"f");
        (file.size, file.mtime, file.content_hash) = (100, 1000, Hash::of(b"x").to_string());
        let info = EntryInfo::new(ObjectRef::new(ObjectKind::Filemeta, Hash::of(b"f")), &file);
        let takes = |criteria: Criteria| Filter::new(&criteria).unwrap().takes(&info);
        let none = Criteria::default;
        assert!(takes(none()));
        assert!(takes(Criteria { larger: Some(99), smaller: Some(101), ..none() }));
        assert!(!takes(Criteria { larger: Some(100), ..none() }));
        assert!(!takes(Criteria { smaller: Some(100), ..none() }));
        assert!(takes(Criteria { newer: Some((1000, 0)), older: Some((1000, 1)), ..none() }));
        assert!(!takes(Criteria { newer: Some((1000, 1)), ..none() }));
        assert!(!takes(Criteria { older: Some((1000, 0)), ..none() }));
        assert!(takes(Criteria { hash: Some(file.content_hash[..5].to_uppercase()), ..none() }));
        assert!(!takes(Criteria { hash: Some("0000".to_owned()), ..none() }));
        assert!(Filter::new(&Criteria { hash: Some("xyz".to_owned()), ..none() }).is_err());
        assert!(!takes(Criteria { types: ["folder".to_owned()].into(), ..none() }));
        let folder = EntryInfo { is_folder: true, ..info.clone() };
        assert!(!Filter::new(&Criteria { smaller: Some(1), ..none() }).unwrap().takes(&folder));
    }
}
