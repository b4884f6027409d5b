//! The JSON that `--json` prints. `docs/json.md` documents it; the two change together.
//!
//! Rules: keys in snake case; what does not apply is `null`, never left out; times are RFC 3339 in UTC; sizes are in
//! bytes; names that are not UTF-8 have their bytes beside them, in base64.

mod daemon;
mod findings;
mod job;
mod key;
mod lock;
#[cfg(feature = "mount")]
mod mount;
mod query;
mod snapshot;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::SecondsFormat;
use prost_types::Timestamp;
use serde::{Serialize, Serializer};

pub(crate) use self::daemon::{Init, Status};
pub(crate) use self::findings::FindingLine;
pub(crate) use self::job::{Archive, Job, Jobs, LogLine, state};
pub(crate) use self::key::{ChangedKey, Keys};
pub(crate) use self::lock::{BrokenLocks, Locks};
#[cfg(feature = "mount")]
pub(crate) use self::mount::Mounted;
pub(crate) use self::query::{DiffLine, Dump, FindLine, Object};
pub(crate) use self::snapshot::{Entry, ListingLine, Snapshot, Snapshots, Warning};
use super::{escape, human};

/// An error as one line.
pub(crate) fn error(reason: &str, message: &str) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        error: Body<'a>,
    }
    #[derive(Serialize)]
    struct Body<'a> {
        reason: &'a str,
        message: &'a str,
    }
    // Two strings cannot fail to be written as JSON.
    serde_json::to_string(&Document { error: Body { reason, message } }).unwrap_or_default()
}

/// A moment; `null` if there is none.
struct Time<'a>(Option<&'a Timestamp>);

impl Serialize for Time<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        human::utc(self.0).map(|utc| utc.to_rfc3339_opts(SecondsFormat::AutoSi, true)).serialize(serializer)
    }
}

/// Text that the API leaves empty when it does not apply.
pub(crate) fn filled(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The base64 of bytes that a JSON string cannot hold.
fn not_utf8(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).is_err().then(|| STANDARD.encode(bytes))
}

/// A path that the API has as escaped text: as it is named, and its bytes where that cannot be.
#[derive(Serialize)]
pub(crate) struct Path<'a> {
    path: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_b64: Option<String>,
}

impl<'a> Path<'a> {
    /// `null` where there is none.
    fn new(escaped: Option<&'a str>) -> Self {
        let bytes = escaped.map(escape::undone);
        let path_b64 = bytes.as_deref().and_then(not_utf8);
        Self { path: bytes.map(lossy), path_b64 }
    }
}

/// Paths. If one of them is not UTF-8, the bytes of all are beside them, in the same order.
#[derive(Serialize)]
struct Paths<'a> {
    paths: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paths_b64: Option<Vec<String>>,
}

impl<'a> Paths<'a> {
    fn new(paths: Vec<Cow<'a, [u8]>>) -> Self {
        let is_odd = paths.iter().any(|path| std::str::from_utf8(path).is_err());
        let paths_b64 = is_odd.then(|| paths.iter().map(|path| STANDARD.encode(path)).collect());
        Self { paths: paths.into_iter().map(lossy).collect(), paths_b64 }
    }
}

impl<'a> From<&'a [Vec<u8>]> for Paths<'a> {
    fn from(paths: &'a [Vec<u8>]) -> Self {
        Self::new(paths.iter().map(|path| Cow::Borrowed(path.as_slice())).collect())
    }
}

fn lossy(bytes: Cow<'_, [u8]>) -> Cow<'_, str> {
    match bytes {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

#[cfg(test)]
pub(crate) fn text(document: &impl Serialize) -> String {
    serde_json::to_string(document).unwrap_or_else(|error| error.to_string())
}
