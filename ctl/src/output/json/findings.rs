//! `job findings`.

use cloudstic_proto::v1::finding::Finding;
use cloudstic_proto::v1::{self, Snapshot};
use serde::Serialize;

use super::query::Having;
use super::{Path, Warning, filled};
use crate::commands::lost_of;

/// One line of `job findings`.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum FindingLine<'a> {
    Warning(Warning<'a>),
    Fault {
        object: &'a str,
        pack: Option<&'a str>,
        fault: &'a str,
        problem: &'a str,
    },
    Remark {
        object: &'a str,
        text: &'a str,
    },
    Lost {
        #[serde(flatten)]
        path: Path<'a>,
        object: &'a str,
        snapshots: Having<'a>,
    },
    /// The last one.
    End {
        count: u64,
        missing: Option<&'a str>,
    },
}

impl<'a> FindingLine<'a> {
    /// Nothing for a snapshot, which others name.
    pub(crate) fn new(finding: &'a Finding, snapshots: &'a [Snapshot], each: bool) -> Option<Self> {
        Some(match finding {
            Finding::Warning(warning) => Self::Warning(warning.into()),
            Finding::Fault(v1::FoundFault { object, pack, kind, problem }) => {
                Self::Fault { object, pack: filled(pack), fault: kind, problem }
            }
            Finding::Remark(v1::Remark { object, text }) => Self::Remark { object, text },
            Finding::Lost(lost) => {
                let all = lost_of(lost, snapshots).iter().map(|snapshot| snapshot.r#ref.as_str());
                Self::Lost {
                    path: Path::new(filled(&lost.path)),
                    object: &lost.object,
                    snapshots: Having::new(all.collect(), each),
                }
            }
            Finding::Snapshot(_) | Finding::End(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    #[test]
    fn lines_have_their_documented_shape() {
        let snapshots: Vec<_> = ["x", "y"].map(|name| Snapshot { r#ref: name.into(), ..Default::default() }).into();
        let line = |finding| text(&FindingLine::new(&finding, &snapshots, false));
        let lost = v1::Lost {
            path: "a".into(),
            object: "packs/1".into(),
            snapshots: Some(v1::SnapshotRun { start: 0, end: 2 }),
        };
        let having = r#""snapshots":{"count":2,"newest":"x","oldest":"y","all":null}"#;
        assert_eq!(
            line(Finding::Lost(lost.clone())),
            format!(r#"{{"kind":"lost","path":"a","object":"packs/1",{having}}}"#)
        );
        let named = |path: &str| line(Finding::Lost(v1::Lost { path: path.to_owned(), ..lost.clone() }));
        assert!(named("").contains(r#""path":null,"object""#));
        assert!(named(r"a\n\\").contains(r#""path":"a\n\\","object""#));
        assert!(named(r"\xff").contains("\"path\":\"\u{fffd}\",\"path_b64\":\"/w==\",\"object\""));
        let fault = v1::FoundFault {
            object: "chunk/1".into(),
            kind: "missing".into(),
            problem: "is missing".into(),
            ..Default::default()
        };
        assert_eq!(
            line(Finding::Fault(fault)),
            r#"{"kind":"fault","object":"chunk/1","pack":null,"fault":"missing","problem":"is missing"}"#
        );
        let remark = v1::Remark { object: "index/packs".into(), text: "…".into() };
        assert_eq!(line(Finding::Remark(remark)), r#"{"kind":"remark","object":"index/packs","text":"…"}"#);
        let warning = v1::Warning { path: "a".into(), problem: "b".into() };
        assert_eq!(line(Finding::Warning(warning)), r#"{"kind":"warning","path":"a","problem":"b"}"#);
        let odd = v1::Warning { path: r"d/\xff\\xff\u{202e}".into(), problem: "b".into() };
        let expected = "{\"kind\":\"warning\",\"path\":\"d/\u{fffd}\\\\xff\u{202e}\",\"path_b64\":\"ZC//XHhmZuKArg==\",\"problem\":\"b\"}";
        assert_eq!(line(Finding::Warning(odd)), expected);
        assert_eq!(text(&FindingLine::End { count: 4, missing: None }), r#"{"kind":"end","count":4,"missing":null}"#);
    }
}
