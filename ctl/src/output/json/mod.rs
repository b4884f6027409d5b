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
use super::human;

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

#[cfg(test)]
pub(crate) fn text(document: &impl Serialize) -> String {
    serde_json::to_string(document).unwrap_or_else(|error| error.to_string())
}
