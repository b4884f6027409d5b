//! Snapshots, the pointer to the latest, and the snapshot catalog (format, section 8).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::reference::ObjectRef;
use super::time::Timestamp;

/// One backup: a tree, and where it came from. Its name is the SHA-256 of its canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// 1.
    pub version: u32,
    /// When the backup was made, in whole seconds.
    pub created: Timestamp,
    /// The root of the tree; `None` (written `""`) for an empty tree.
    #[serde(serialize_with = "write_root", deserialize_with = "read_root")]
    pub root: Option<ObjectRef>,
    /// Its number in the repository, from 1.
    pub seq: u64,
    /// What was backed up.
    #[serde(default, skip_serializing_if = "SourceInfo::is_empty")]
    pub source: SourceInfo,
    /// Free facts; `generator` names the program.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    /// Tags, in the user's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Where the next incremental backup of a cloud source goes on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub change_token: String,
    /// The SHA-256 of the exclude patterns joined by newlines; empty without patterns.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub exclude_hash: String,
}

/// Where a snapshot came from. Empty fields are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceInfo {
    /// `local`, `sftp`, `gdrive`, …
    #[serde(rename = "type")]
    pub source_type: String,
    /// The host, or `user@host`, or the cloud account.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub account: String,
    /// The path that was backed up.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What names the source even when it is mounted elsewhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// The path inside what `identity` names.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path_id: String,
    /// The volume label or drive name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub drive_name: String,
    /// The kind of file system.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fs_type: String,
}

impl SourceInfo {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `index/latest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// The snapshot with the highest number.
    pub latest_snapshot: ObjectRef,
    /// That number.
    pub seq: u64,
}

/// One entry of `index/snapshots`: a snapshot without its `version` and `meta`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotEntry {
    /// The snapshot.
    #[serde(rename = "ref")]
    pub reference: ObjectRef,
    /// See [`Snapshot::seq`].
    pub seq: u64,
    /// See [`Snapshot::created`].
    pub created: Timestamp,
    /// See [`Snapshot::root`].
    #[serde(serialize_with = "write_root", deserialize_with = "read_root")]
    pub root: Option<ObjectRef>,
    /// See [`Snapshot::source`].
    #[serde(default, skip_serializing_if = "SourceInfo::is_empty")]
    pub source: SourceInfo,
    /// See [`Snapshot::tags`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// See [`Snapshot::change_token`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub change_token: String,
    /// See [`Snapshot::exclude_hash`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub exclude_hash: String,
}

impl SnapshotEntry {
    /// The catalog entry of a snapshot.
    pub fn new(reference: ObjectRef, snapshot: &Snapshot) -> Self {
        Self {
            reference,
            seq: snapshot.seq,
            created: snapshot.created.clone(),
            root: snapshot.root,
            source: snapshot.source.clone(),
            tags: snapshot.tags.clone(),
            change_token: snapshot.change_token.clone(),
            exclude_hash: snapshot.exclude_hash.clone(),
        }
    }
}

fn write_root<S: Serializer>(root: &Option<ObjectRef>, serializer: S) -> Result<S::Ok, S::Error> {
    match root {
        Some(root) => root.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}

fn read_root<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ObjectRef>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(serde::de::Error::custom) }
}
