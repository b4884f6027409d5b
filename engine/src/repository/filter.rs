//! Which snapshots an operation is about: by their names, or by what they are like.

use crate::object::SnapshotEntry;

/// The snapshots that an operation is about.
#[derive(Debug, Clone)]
pub enum SnapshotSelection {
    /// These: `latest`, references, hashes, or beginnings of them.
    Named(Vec<String>),
    /// Those that match.
    Matching(SnapshotFilter),
}

/// What a snapshot must be like. What is empty asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SnapshotFilter {
    /// It has all of these tags.
    pub tags: Vec<String>,
    /// Its source is of one of these kinds: `local`, `sftp`, …
    pub sources: Vec<String>,
    /// It is of one of these accounts.
    pub accounts: Vec<String>,
    /// It is of one of these paths, exactly.
    pub paths: Vec<String>,
}

impl SnapshotFilter {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a snapshot is like that.
    pub fn matches(&self, snapshot: &SnapshotEntry) -> bool {
        let source = &snapshot.source;
        let one_of = |wanted: &[String], value: &String| wanted.is_empty() || wanted.contains(value);
        self.tags.iter().all(|tag| snapshot.tags.contains(tag))
            && one_of(&self.sources, &source.source_type)
            && one_of(&self.accounts, &source.account)
            && one_of(&self.paths, &source.path)
    }
}
