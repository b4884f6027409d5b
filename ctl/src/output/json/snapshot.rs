//! Documents about what is in a repository: `list` and `ls`.

use std::borrow::Cow;

use cloudstic_proto::v1;
use serde::Serialize;

use super::{Path, Time, filled, not_utf8};

/// `list`.
#[derive(Serialize)]
pub(crate) struct Snapshots<'a> {
    repository: &'a str,
    snapshots: Vec<Snapshot<'a>>,
    warning_count: u64,
    warnings: Vec<Warning<'a>>,
}

impl<'a> Snapshots<'a> {
    /// The snapshots of a repository of this name.
    pub(crate) fn new(repository: &'a str, list: &'a v1::ListSnapshotsResponse) -> Self {
        Self {
            repository,
            snapshots: list.snapshots.iter().map(Snapshot::from).collect(),
            warning_count: list.warning_count,
            warnings: list.warnings.iter().map(Warning::from).collect(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Snapshot<'a> {
    #[serde(rename = "ref")]
    reference: &'a str,
    seq: u64,
    created: Time<'a>,
    root: Option<&'a str>,
    source: Option<Source<'a>>,
    tags: &'a [String],
}

#[derive(Serialize)]
struct Source<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    account: Option<&'a str>,
    path: Option<&'a str>,
    identity: Option<&'a str>,
    path_id: Option<&'a str>,
    drive_name: Option<&'a str>,
    fs_type: Option<&'a str>,
}

impl<'a> From<&'a v1::Snapshot> for Snapshot<'a> {
    fn from(snapshot: &'a v1::Snapshot) -> Self {
        Self {
            reference: &snapshot.r#ref,
            seq: snapshot.seq,
            created: Time(snapshot.created.as_ref()),
            root: filled(&snapshot.root),
            source: snapshot.source.as_ref().map(|source| Source {
                kind: &source.r#type,
                account: filled(&source.account),
                path: filled(&source.path),
                identity: filled(&source.identity),
                path_id: filled(&source.path_id),
                drive_name: filled(&source.drive_name),
                fs_type: filled(&source.fs_type),
            }),
            tags: &snapshot.tags,
        }
    }
}

/// One line of `ls`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum ListingLine<'a> {
    /// The first line: what is listed.
    Snapshot(Snapshot<'a>),
    /// An entry.
    Entry(Entry<'a>),
    /// Something that could not be listed.
    Warning(Warning<'a>),
}

#[derive(Serialize)]
pub(crate) struct Entry<'a> {
    path: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_b64: Option<String>,
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

impl<'a> From<&'a v1::Entry> for Entry<'a> {
    fn from(entry: &'a v1::Entry) -> Self {
        Self {
            path: String::from_utf8_lossy(&entry.path),
            path_b64: not_utf8(&entry.path),
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

#[derive(Serialize)]
pub(crate) struct Warning<'a> {
    #[serde(flatten)]
    path: Path<'a>,
    problem: &'a str,
}

impl<'a> From<&'a v1::Warning> for Warning<'a> {
    fn from(warning: &'a v1::Warning) -> Self {
        Self { path: Path::new(Some(&warning.path)), problem: &warning.problem }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    fn snapshot() -> v1::Snapshot {
        v1::Snapshot {
            r#ref: "snapshot/99bb".to_owned(),
            seq: 3,
            created: Some(prost_types::Timestamp { seconds: 1_795_232_795, nanos: 0 }),
            root: String::new(),
            source: Some(v1::Source { r#type: "local".to_owned(), path: "/srv".to_owned(), ..v1::Source::default() }),
            tags: vec!["a".to_owned()],
        }
    }

    const SNAPSHOT: &str = concat!(
        r#""ref":"snapshot/99bb","seq":3,"created":"2026-11-21T03:46:35Z","root":null,"source":{"type":"local","#,
        r#""account":null,"path":"/srv","identity":null,"path_id":null,"drive_name":null,"fs_type":null},"tags":["a"]}"#
    );

    #[test]
    fn list_has_its_documented_shape() {
        let expected = format!(
            r#"{{"repository":"home","snapshots":[{{{SNAPSHOT}],"warning_count":1,"warnings":[{}]}}"#,
            r#"{"path":"snapshot/77aa","problem":"damaged"}"#
        );
        let warnings = vec![v1::Warning { path: "snapshot/77aa".to_owned(), problem: "damaged".to_owned() }];
        let list = v1::ListSnapshotsResponse { snapshots: vec![snapshot()], warnings, warning_count: 1 };
        assert_eq!(text(&Snapshots::new("home", &list)), expected);
    }

    #[test]
    fn lines_of_ls_say_what_they_are() {
        let snapshot = snapshot();
        assert_eq!(
            text(&ListingLine::Snapshot(Snapshot::from(&snapshot))),
            format!(r#"{{"kind":"snapshot",{SNAPSHOT}"#)
        );
        let warning = v1::Warning { path: "a".to_owned(), problem: "damaged".to_owned() };
        assert_eq!(
            text(&ListingLine::Warning(Warning::from(&warning))),
            r#"{"kind":"warning","path":"a","problem":"damaged"}"#
        );
    }

    #[test]
    fn names_that_are_not_utf8_keep_their_bytes() {
        let mut entry = v1::Entry {
            path: b"a/\xff\n".to_vec(),
            r#type: "symlink".to_owned(),
            mtime: Some(prost_types::Timestamp { seconds: 1_795_232_795, nanos: 123_456_789 }),
            mode: 0o777,
            target: b"b".to_vec(),
            r#ref: "filemeta/1".to_owned(),
            ..v1::Entry::default()
        };
        assert_eq!(
            text(&ListingLine::Entry(Entry::from(&entry))),
            concat!(
                r#"{"kind":"entry","path":"a/"#,
                "\u{fffd}",
                r#"\n","path_b64":"YS//Cg==","type":"symlink","size":0,"mtime":"2026-11-21T03:46:35.123456789Z","#,
                r#""mode":511,"uid":0,"gid":0,"content_hash":null,"target":"b","ref":"filemeta/1"}"#
            )
        );
        entry.path = b"a".to_vec();
        entry.target = Vec::new();
        let plain = text(&ListingLine::Entry(Entry::from(&entry)));
        assert!(!plain.contains("b64") && plain.contains(r#""target":null"#), "{plain}");
    }
}
