//! Numbers, sizes and times for people. Times are local, with their offset from UTC.

use chrono::{DateTime, Local, TimeZone, Utc};
use prost_types::Timestamp;

/// What stands where there is nothing to show.
pub(crate) const NOTHING: &str = "-";

/// A size in binary units: `0 B`, `1023 B`, `1.0 KiB`, `12.5 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[allow(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be rounded to 1024.0 belongs to the next unit.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// How many times more the one is than the other; none where there is nothing.
#[allow(clippy::cast_precision_loss, reason = "two digits after the point are shown")]
pub(crate) fn ratio(more: u64, less: u64) -> Option<f64> {
    (less > 0).then(|| more as f64 / less as f64)
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A moment in local time: `2026-11-21 04:46:35 +0100`.
pub(crate) fn time(moment: Option<&Timestamp>) -> String {
    time_in(moment, &Local)
}

fn time_in<Z: TimeZone<Offset: std::fmt::Display>>(moment: Option<&Timestamp>, zone: &Z) -> String {
    utc(moment)
        .map_or_else(|| NOTHING.to_owned(), |utc| utc.with_timezone(zone).format("%Y-%m-%d %H:%M:%S %z").to_string())
}

/// A moment, if there is one and a calendar can hold it.
pub(crate) fn utc(moment: Option<&Timestamp>) -> Option<DateTime<Utc>> {
    let moment = moment?;
    DateTime::from_timestamp(moment.seconds, u32::try_from(moment.nanos).ok()?)
}

/// The time between two moments, in seconds; what ends before it began took none.
pub(crate) fn seconds_between(start: Option<&Timestamp>, end: Option<&Timestamp>) -> Option<f64> {
    let span = utc(end)?.signed_duration_since(utc(start)?);
    Some(span.as_seconds_f64().max(0.0))
}

/// A duration: `0.3 s`, `59.9 s`, `2 min 5 s`, `3 h 0 min`, `4 d 12 h`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and casts saturate")]
    let seconds = seconds.round() as u64;
    match seconds {
        ..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The first 12 digits of a snapshot's hash, which name it well enough: `99bb1f6cd4d1`.
pub(crate) fn short_hash(reference: &str) -> &str {
    let hash = reference.strip_prefix("snapshot/").unwrap_or(reference);
    hash.get(..12).unwrap_or(hash)
}

/// An entry's type and permissions as `ls -l` shows them. `mode` holds the twelve permission bits.
pub(crate) fn mode(kind: &str, mode: u32) -> String {
    let first = match kind {
        "file" => '-',
        "folder" => 'd',
        "symlink" => 'l',
        "fifo" => 'p',
        "socket" => 's',
        "char" => 'c',
        "block" => 'b',
        _ => '?',
    };
    let mut text = String::with_capacity(10);
    text.push(first);
    // For each class: its bits, and the special bit that shows in its third place.
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    #[test]
    fn sizes_change_unit_where_rounding_would_show_1024() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10_240, "10.0 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (1 << 20, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_name_their_offset_and_survive_nonsense() {
        let moment = Timestamp { seconds: 1_795_232_795, nanos: 999_999_999 };
        assert_eq!(time_in(Some(&moment), &Utc), "2026-11-21 03:46:35 +0000");
        assert_eq!(
            FixedOffset::east_opt(3600).map(|zone| time_in(Some(&moment), &zone)).as_deref(),
            Some("2026-11-21 04:46:35 +0100")
        );
        assert_eq!(time_in(None, &Utc), "-");
        assert_eq!(time_in(Some(&Timestamp { seconds: i64::MAX, nanos: 0 }), &Utc), "-");
        assert_eq!(time_in(Some(&Timestamp { seconds: 0, nanos: -1 }), &Utc), "-");
    }

    #[test]
    fn durations() {
        for (seconds, text) in [
            (0.0, "0.0 s"),
            (2.34, "2.3 s"),
            (59.94, "59.9 s"),
            (59.96, "1 min 0 s"),
            (3599.0, "59 min 59 s"),
            (10_800.0, "3 h 0 min"),
            (388_800.0, "4 d 12 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn modes_look_like_those_of_ls() {
        for (kind, bits, text) in [
            ("file", 0o644, "-rw-r--r--"),
            ("file", 0o4755, "-rwsr-xr-x"),
            ("file", 0o4644, "-rwSr--r--"),
            ("folder", 0o1777, "drwxrwxrwt"),
            ("folder", 0o3770, "drwxrws--T"),
            ("symlink", 0o777, "lrwxrwxrwx"),
            ("fifo", 0, "p---------"),
            ("from the future", 0o7, "?------rwx"),
        ] {
            assert_eq!(mode(kind, bits), text);
        }
    }

    #[test]
    fn short_hashes_of_odd_references() {
        assert_eq!(short_hash("snapshot/99bb1f6cd4d1281419f3"), "99bb1f6cd4d1");
        assert_eq!(short_hash("snapshot/99bb"), "99bb");
        assert_eq!(short_hash(""), "");
    }
}
