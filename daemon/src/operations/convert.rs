//! The engine's values as messages of the API, and some the other way round.

use cloudstic_engine::object::{Kind, ObjectRef, Snapshot, SnapshotEntry, SourceInfo, Timestamp};
use cloudstic_engine::repository::SnapshotFilter;
use cloudstic_engine::source::Warning;
use cloudstic_engine::tree::TreeEntry;
use cloudstic_engine::view::EntryInfo;
use cloudstic_proto::v1;

pub(crate) fn warning(warning: &Warning) -> v1::Warning {
    v1::Warning { path: warning.path.clone(), problem: warning.problem.clone() }
}

/// What asks for nothing, if there is none.
pub(super) fn filter(filter: Option<v1::SnapshotFilter>) -> SnapshotFilter {
    let v1::SnapshotFilter { tags, sources, accounts, paths } = filter.unwrap_or_default();
    SnapshotFilter { tags, sources, accounts, paths }
}

pub(super) fn snapshot_entry(entry: SnapshotEntry) -> v1::Snapshot {
    v1::Snapshot {
        r#ref: entry.reference.to_string(),
        seq: entry.seq,
        created: moment(&entry.created),
        root: optional(entry.root),
        source: Some(source(entry.source)),
        tags: entry.tags,
    }
}

pub(crate) fn snapshot(reference: ObjectRef, snapshot: &Snapshot) -> v1::Snapshot {
    snapshot_entry(SnapshotEntry::new(reference, snapshot))
}

/// An entry, but for the target of a symlink.
pub(super) fn entry(entry: &TreeEntry<'_>, path: Vec<u8>) -> v1::Entry {
    let word = match entry.kind {
        Some(Kind::Symlink) => "symlink",
        Some(Kind::Fifo) => "fifo",
        Some(Kind::Socket) => "socket",
        Some(Kind::Char) => "char",
        Some(Kind::Block) => "block",
        None if entry.is_folder => "folder",
        None => "file",
    };
    v1::Entry {
        path,
        r#type: word.to_owned(),
        size: entry.size,
        mtime: Some(prost_types::Timestamp { seconds: entry.mtime.0, nanos: entry.mtime.1 as i32 }),
        mode: entry.mode.unwrap_or_default(),
        uid: entry.uid,
        gid: entry.gid,
        content_hash: entry.content_hash.map(ToString::to_string).unwrap_or_default(),
        target: Vec::new(),
        r#ref: format!("filemeta/{}", entry.filemeta),
    }
}

/// An entry that is known without a tree.
pub(super) fn entry_info(info: &EntryInfo, path: Vec<u8>) -> v1::Entry {
    v1::Entry {
        path,
        r#type: info.type_word().to_owned(),
        size: info.size,
        mtime: Some(prost_types::Timestamp { seconds: info.mtime.0, nanos: info.mtime.1 as i32 }),
        mode: info.mode,
        uid: info.uid,
        gid: info.gid,
        content_hash: info.content_hash.as_ref().map(ToString::to_string).unwrap_or_default(),
        target: info.target.clone(),
        r#ref: info.reference.to_string(),
    }
}

fn source(info: SourceInfo) -> v1::Source {
    v1::Source {
        r#type: info.source_type,
        account: info.account,
        path: info.path,
        identity: info.identity,
        path_id: info.path_id,
        drive_name: info.drive_name,
        fs_type: info.fs_type,
    }
}

pub(super) fn optional(reference: Option<ObjectRef>) -> String {
    reference.map(|reference| reference.to_string()).unwrap_or_default()
}

pub(super) fn moment(timestamp: &Timestamp) -> Option<prost_types::Timestamp> {
    let moment = timestamp.moment()?;
    Some(prost_types::Timestamp { seconds: moment.timestamp(), nanos: moment.timestamp_subsec_nanos() as i32 })
}
