//! Documents about what is in snapshots: `diff`, `find`, `dump` and `cat`.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloudstic_proto::v1;
use serde::Serialize;
use serde_json::value::RawValue;

use super::snapshot::{Entry, Snapshot, Warning};
use super::{Time, filled, not_utf8};
use crate::commands::having;

/// One line of `diff`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum DiffLine<'a> {
    /// The first line: what is compared.
    Snapshots { before: Snapshot<'a>, after: Snapshot<'a> },
    /// A change.
    Change(Change<'a>),
    /// Something that could not be compared.
    Warning(Warning<'a>),
    /// The last line.
    Totals(Totals),
}

#[derive(Serialize)]
pub(crate) struct Change<'a> {
    change: &'static str,
    path: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_b64: Option<String>,
    from: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_b64: Option<String>,
    fields: &'a [String],
    before: Option<State<'a>>,
    after: Option<State<'a>>,
    below: Option<Count>,
}

/// An entry without its path.
#[derive(Serialize)]
struct State<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    size: u64,
    mtime: Time<'a>,
    mode: u32,
    uid: u32,
    gid: u32,
    content_hash: Option<&'a str>,
    target: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_b64: Option<String>,
    #[serde(rename = "ref")]
    reference: &'a str,
}

#[derive(Serialize)]
struct Count {
    files: u64,
    folders: u64,
    others: u64,
    bytes: u64,
}

#[derive(Serialize)]
pub(crate) struct Totals {
    added: Count,
    removed: Count,
    modified: Count,
    modified_bytes_before: u64,
    metadata: Count,
    moved: Count,
    warning_count: u64,
}

impl<'a> DiffLine<'a> {
    pub(crate) fn snapshots(before: &'a v1::Snapshot, after: &'a v1::Snapshot) -> Self {
        Self::Snapshots { before: before.into(), after: after.into() }
    }

    pub(crate) fn change(change: &'a v1::Change) -> Self {
        let word = match change.kind() {
            v1::ChangeKind::Removed => "removed",
            v1::ChangeKind::Added => "added",
            v1::ChangeKind::Type => "type",
            v1::ChangeKind::Content => "content",
            v1::ChangeKind::Metadata => "metadata",
            v1::ChangeKind::Moved => "moved",
            v1::ChangeKind::Unspecified => "unknown",
        };
        Self::Change(Change {
            change: word,
            path: String::from_utf8_lossy(&change.path),
            path_b64: not_utf8(&change.path),
            from: (!change.from.is_empty()).then(|| String::from_utf8_lossy(&change.from)),
            from_b64: not_utf8(&change.from),
            fields: &change.fields,
            before: change.before.as_ref().map(State::from),
            after: change.after.as_ref().map(State::from),
            below: change.below.as_ref().map(Count::from),
        })
    }

    pub(crate) fn totals(totals: &v1::DiffTotals, warning_count: u64) -> Self {
        let count = |count: &Option<v1::EntryCount>| Count::from(&count.unwrap_or_default());
        Self::Totals(Totals {
            added: count(&totals.added),
            removed: count(&totals.removed),
            modified: count(&totals.modified),
            modified_bytes_before: totals.modified_bytes_before,
            metadata: count(&totals.metadata),
            moved: count(&totals.moved),
            warning_count,
        })
    }
}

impl<'a> From<&'a v1::Entry> for State<'a> {
    fn from(entry: &'a v1::Entry) -> Self {
        Self {
            kind: &entry.r#type,
            size: entry.size,
            mtime: Time(entry.mtime.as_ref()),
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            content_hash: filled(&entry.content_hash),
            target: (!entry.target.is_empty()).then(|| String::from_utf8_lossy(&entry.target)),
            target_b64: not_utf8(&entry.target),
            reference: &entry.r#ref,
        }
    }
}

impl From<&v1::EntryCount> for Count {
    fn from(count: &v1::EntryCount) -> Self {
        let v1::EntryCount { files, folders, others, bytes } = *count;
        Self { files, folders, others, bytes }
    }
}

/// One line of `find`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum FindLine<'a> {
    /// An entry.
    Entry {
        /// What it is.
        #[serde(flatten)]
        entry: Box<Entry<'a>>,
        /// Which snapshots have it.
        snapshots: Having<'a>,
    },
    /// Something that could not be looked into.
    Warning(Warning<'a>),
}

#[derive(Serialize)]
pub(crate) struct Having<'a> {
    count: usize,
    newest: Option<&'a str>,
    oldest: Option<&'a str>,
    all: Option<Vec<&'a str>>,
}

impl<'a> Having<'a> {
    /// The newest first.
    pub(crate) fn new(all: Vec<&'a str>, each: bool) -> Self {
        Self { count: all.len(), newest: all.first().copied(), oldest: all.last().copied(), all: each.then_some(all) }
    }
}

impl<'a> FindLine<'a> {
    pub(crate) fn entry(found: &'a v1::Found, snapshots: &'a [v1::Snapshot], each: bool) -> Self {
        static NOTHING: v1::Entry = v1::Entry {
            path: Vec::new(),
            r#type: String::new(),
            size: 0,
            mtime: None,
            mode: 0,
            uid: 0,
            gid: 0,
            content_hash: String::new(),
            target: Vec::new(),
            r#ref: String::new(),
        };
        let all = having(found, snapshots).into_iter().map(|snapshot| snapshot.r#ref.as_str());
        let having = Having::new(all.collect(), each);
        let entry = Box::new(Entry::from(found.entry.as_ref().unwrap_or(&NOTHING)));
        Self::Entry { entry, snapshots: having }
    }
}

/// `dump`
#[derive(Serialize)]
pub(crate) struct Dump<'a> {
    snapshot: &'a str,
    path: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_b64: Option<String>,
    size: u64,
    bytes: u64,
    output: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_b64: Option<String>,
    warning_count: usize,
    warnings: Vec<Warning<'a>>,
}

impl<'a> Dump<'a> {
    pub(crate) fn new(
        path: &'a [u8],
        head: &'a v1::FileHead,
        bytes: u64,
        output: Option<&'a Path>,
        warnings: &'a [v1::Warning],
    ) -> Self {
        Self {
            snapshot: &head.snapshot,
            path: String::from_utf8_lossy(path),
            path_b64: not_utf8(path),
            size: head.size,
            bytes,
            output: output.map(Path::to_string_lossy),
            output_b64: output.and_then(|path| not_utf8(path.as_os_str().as_bytes())),
            warning_count: warnings.len(),
            warnings: warnings.iter().map(Warning::from).collect(),
        }
    }
}

/// `cat`
#[derive(Serialize)]
pub(crate) struct Object<'a> {
    key: &'a str,
    size: u64,
    proven: bool,
    object: Option<&'a RawValue>,
    data_b64: Option<String>,
}

impl<'a> Object<'a> {
    pub(crate) fn new(head: &'a v1::ObjectHead, data: &'a [u8]) -> Self {
        let object = if head.json { serde_json::from_slice(data).ok() } else { None };
        let data_b64 = object.is_none().then(|| STANDARD.encode(data));
        Self { key: &head.key, size: head.size, proven: head.proven, object, data_b64 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    fn entry() -> v1::Entry {
        v1::Entry {
            path: b"a".to_vec(),
            r#type: "file".into(),
            size: 5,
            r#ref: "filemeta/1".into(),
            ..Default::default()
        }
    }

    #[test]
    fn lines_of_diff_have_their_documented_shape() {
        let state = r#"{"type":"file","size":5,"mtime":null,"mode":0,"uid":0,"gid":0,"content_hash":null,"target":null,"ref":"filemeta/1"}"#;
        let change = v1::Change {
            kind: v1::ChangeKind::Moved.into(),
            path: b"a".to_vec(),
            from: b"b\xff".to_vec(),
            fields: vec!["path".into()],
            before: None,
            after: Some(entry()),
            below: Some(v1::EntryCount { files: 1, ..Default::default() }),
        };
        assert_eq!(
            text(&DiffLine::change(&change)),
            format!(
                "{{\"kind\":\"change\",\"change\":\"moved\",\"path\":\"a\",\"from\":\"b\u{fffd}\",\"from_b64\":\"Yv8=\",\
                 \"fields\":[\"path\"],\"before\":null,\"after\":{state},\
                 \"below\":{{\"files\":1,\"folders\":0,\"others\":0,\"bytes\":0}}}}"
            )
        );
        let totals = text(&DiffLine::totals(&v1::DiffTotals::default(), 2));
        assert!(totals.starts_with(r#"{"kind":"totals","added":{"files":0,"#), "{totals}");
        assert!(totals.ends_with(r#""warning_count":2}"#), "{totals}");
    }

    #[test]
    fn a_line_of_find_is_one_of_ls_with_snapshots() {
        let snapshots: Vec<_> =
            ["x", "y", "z"].map(|name| v1::Snapshot { r#ref: name.into(), ..Default::default() }).into();
        let found = v1::Found { entry: Some(entry()), runs: vec![v1::SnapshotRun { start: 1, end: 3 }] };
        let line = text(&FindLine::entry(&found, &snapshots, false));
        assert!(line.starts_with(r#"{"kind":"entry","path":"a","type":"file","size":5,"#), "{line}");
        assert!(line.ends_with(r#""snapshots":{"count":2,"newest":"y","oldest":"z","all":null}}"#), "{line}");
        assert!(text(&FindLine::entry(&found, &snapshots, true)).ends_with(r#""all":["y","z"]}}"#));
    }

    #[test]
    fn an_object_keeps_its_form_in_the_document() {
        let head = |json| v1::ObjectHead { key: "node/1".into(), size: 9, proven: true, json };
        assert_eq!(
            text(&Object::new(&head(true), br#"{"z":1.0}"#)),
            r#"{"key":"node/1","size":9,"proven":true,"object":{"z":1.0},"data_b64":null}"#
        );
        assert!(text(&Object::new(&head(false), b"\xff")).ends_with(r#""object":null,"data_b64":"/w=="}"#));
    }
}
