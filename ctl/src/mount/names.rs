//! Names of folders and links that the file system makes up, and which names it takes from a snapshot.

use std::fmt::Write;
use std::time::SystemTime;

use chrono::{DateTime, Utc};

use crate::output::escape;

/// The longest name that Linux knows, in bytes.
const LONGEST: usize = 255;

/// Whether an entry can have this name: else it would be another one, or none at all.
pub(crate) fn is_valid(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && name.len() <= LONGEST && !name.iter().any(|byte| matches!(byte, 0 | b'/'))
}

/// The folder of a snapshot: its time in UTC, then `digits` of its hash. Names sort by time, and have no colon, which
/// `scp` and `rsync` would take for a host.
pub(crate) fn of_snapshot(created: Option<SystemTime>, hash: &str, digits: usize) -> String {
    let time = created.map_or_else(
        || "unknown".to_owned(),
        |created| DateTime::<Utc>::from(created).format("%Y-%m-%dT%H-%M-%SZ").to_string(),
    );
    format!("{time}_{}", hash.get(..digits).unwrap_or(hash))
}

/// The folder of a tag. A tag is any text: what cannot be in a name or moves a cursor is escaped, so that different tags
/// have different folders. One that is too long for a name has none.
pub(crate) fn of_tag(tag: &str) -> Option<String> {
    let escaped = match tag {
        "" => "\\".to_owned(),
        "." | ".." => tag.replace('.', "\\x2e"),
        tag => escape::name(tag.as_bytes()).replace('/', "\\x2f"),
    };
    is_valid(escaped.as_bytes()).then_some(escaped)
}

/// A place in a snapshot, for messages.
pub(crate) fn shown(snapshot: &str, path: &[u8]) -> String {
    let mut place = snapshot.get(..12).unwrap_or(snapshot).to_owned();
    let _ = write!(place, "/{}", escape::name(path));
    place
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn names_that_would_be_other_places_are_refused() {
        for name in [&b""[..], b".", b"..", b"a/b", b"/", b"a\0b", &[b'a'; 256]] {
            assert!(!is_valid(name), "{name:?}");
        }
        for name in [&b"..."[..], b" ", b"\n", b"\xff", &[b'a'; 255]] {
            assert!(is_valid(name), "{name:?}");
        }
    }

    #[test]
    fn snapshots_sort_by_time_and_no_tool_takes_them_for_a_host() {
        let time = UNIX_EPOCH + Duration::from_secs(1_795_232_795);
        assert_eq!(of_snapshot(Some(time), "99bb1f6cd4d1281419f3", 12), "2026-11-21T03-46-35Z_99bb1f6cd4d1");
        assert_eq!(of_snapshot(None, "99bb", 12), "unknown_99bb");
    }

    #[test]
    fn tags_become_names_that_stay_different() {
        let tags = ["nightly", "a/b", "a\\x2fb", "..", "\\x2e\\x2e", ".", "", "\\", "\0", "\u{1b}[2J", "\\x1b[2J", "ä"];
        let names: HashSet<_> = tags.iter().map(|tag| of_tag(tag)).collect();
        assert_eq!(names.len(), tags.len(), "{names:?}");
        assert!(names.iter().flatten().all(|name| is_valid(name.as_bytes()) && !name.contains('\u{1b}')), "{names:?}");
        assert_eq!(of_tag("nightly").as_deref(), Some("nightly"));
        assert_eq!(of_tag(&"a".repeat(256)), None);
    }
}
