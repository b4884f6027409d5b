//! Values of options: sizes and times.

use std::time::SystemTime;

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};

/// A size in bytes, or with a binary unit.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no size: write it as in 500, 10K, 1.5M or 2G");
    let number = text.trim_end_matches(['i', 'B', 'b']);
    let (number, shift) = match number.chars().last().map(|unit| unit.to_ascii_uppercase()) {
        Some('K') => (&number[..number.len() - 1], 10),
        Some('M') => (&number[..number.len() - 1], 20),
        Some('G') => (&number[..number.len() - 1], 30),
        Some('T') => (&number[..number.len() - 1], 40),
        _ => (number, 0),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(1 << shift).ok_or_else(wrong);
    }
    let part = number.parse::<f64>().ok().filter(|part| part.is_finite() && *part >= 0.0 && shift > 0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and casts saturate")]
    part.map(|part| (part * (1_u64 << shift) as f64) as u64).ok_or_else(wrong)
}

/// A moment: so long ago, a day or a time of day here, or RFC 3339.
pub(crate) fn time(text: &str) -> Result<prost_types::Timestamp, String> {
    time_at(text, SystemTime::now(), &Local)
}

fn time_at<Z: TimeZone>(text: &str, now: SystemTime, zone: &Z) -> Result<prost_types::Timestamp, String> {
    let wrong = || format!("{text:?} is no time: write it as in 7d, 2026-01-31, \"2026-01-31 12:00\" or RFC 3339");
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        let nanos = i32::try_from(moment.timestamp_subsec_nanos()).map_err(|_| wrong())?;
        return Ok(prost_types::Timestamp { seconds: moment.timestamp(), nanos });
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().map(|day| day.and_time(NaiveTime::MIN));
    let minute = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").ok();
    let second = || NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok();
    if let Some(local) = day.or_else(minute).or_else(second) {
        // A time that the clock skips is taken for the moment of the skip, one that it repeats for the first of them.
        let moment = zone
            .from_local_datetime(&local)
            .earliest()
            .or_else(|| zone.from_local_datetime(&(local + chrono::TimeDelta::hours(1))).earliest());
        let moment = moment.ok_or_else(wrong)?;
        return Ok(prost_types::Timestamp { seconds: moment.timestamp(), nanos: 0 });
    }
    let ago = humantime::parse_duration(text).map_err(|_| wrong())?;
    now.checked_sub(ago).map(prost_types::Timestamp::from).ok_or_else(wrong)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use chrono::Utc;

    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        for (text, bytes) in
            [("0", 0), ("500", 500), ("10K", 10_240), ("1.5M", 1_572_864), ("2GiB", 2 << 30), ("1t", 1 << 40)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "K", "1.5", "-1", "1X", "99999999999T", "nan", "infK"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_moments_days_or_so_long_ago() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |text: &str| time_at(text, now, &Utc).map(|moment| (moment.seconds, moment.nanos));
        assert_eq!(at("1h"), Ok((996_400, 0)));
        assert_eq!(at("1970-01-02"), Ok((86_400, 0)));
        assert_eq!(at("1970-01-02 01:00"), Ok((90_000, 0)));
        assert_eq!(at("1970-01-02 01:00:01"), Ok((90_001, 0)));
        assert_eq!(at("1970-01-02T01:00:00.5+01:00"), Ok((86_400, 500_000_000)));
        for text in ["", "yesterday", "1970-13-01", "12:00"] {
            assert!(at(text).is_err(), "{text}");
        }
    }
}
