//! Groups of snapshots: a policy is applied to each on its own.

use std::collections::BTreeMap;
use std::fmt;

use crate::object::SnapshotEntry;

/// By what snapshots are grouped. By nothing: all are one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupBy {
    /// By the kind of source: `local`, `sftp`, …
    pub source: bool,
    /// By the account: the host, or `user@host`.
    pub account: bool,
    /// By the path that was backed up.
    pub path: bool,
    /// By all tags together, in any order.
    pub tags: bool,
}

/// What the snapshots of a group have in common; `None` where they are not grouped by it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    /// The kind of source.
    pub source: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// The path.
    pub path: Option<String>,
    /// The tags, sorted.
    pub tags: Option<Vec<String>>,
}

impl Default for GroupBy {
    /// By source, account and path.
    fn default() -> Self {
        Self { source: true, account: true, path: true, tags: false }
    }
}

impl GroupBy {
    /// By nothing.
    pub const NOTHING: Self = Self { source: false, account: false, path: false, tags: false };

    /// The group that a snapshot is in.
    pub fn key(&self, snapshot: &SnapshotEntry) -> GroupKey {
        let source = &snapshot.source;
        let tags = || {
            let mut tags = snapshot.tags.clone();
            tags.sort();
            tags.dedup();
            tags
        };
        GroupKey {
            source: self.source.then(|| source.source_type.clone()),
            account: self.account.then(|| source.account.clone()),
            path: self.path.then(|| source.path.clone()),
            tags: self.tags.then(tags),
        }
    }

    /// The groups of these snapshots.
    pub fn divide(&self, snapshots: impl IntoIterator<Item = SnapshotEntry>) -> BTreeMap<GroupKey, Vec<SnapshotEntry>> {
        let mut groups: BTreeMap<GroupKey, Vec<SnapshotEntry>> = BTreeMap::new();
        for snapshot in snapshots {
            groups.entry(self.key(&snapshot)).or_default().push(snapshot);
        }
        groups
    }
}

impl fmt::Display for GroupKey {
    /// `source:local, account:vm, path:/home`, as the CLI has it; `all` for the one group of all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags = self.tags.as_ref().map(|tags| tags.join(","));
        let named = [("source", &self.source), ("account", &self.account), ("path", &self.path), ("tags", &tags)];
        let parts: Vec<String> =
            named.iter().filter_map(|(name, value)| Some(format!("{name}:{}", value.as_ref()?))).collect();
        f.write_str(if parts.is_empty() { "all" } else { "" })?;
        f.write_str(&parts.join(", "))
    }
}
