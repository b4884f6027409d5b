//! `[repositories.NAME.limits]`: how much is put up with from a store at the other end of a line, and how fast it is used.

use std::str::FromStr;

use chrono::NaiveTime;
use cloudstic_engine::store::limits::{RateSchedule, RateSpan, StoreLimits};

use super::reader::Section;
use super::size::Size;
use super::values::{Choice, Period};

/// The limits of one repository's store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsConfig {
    /// How much is put up with.
    pub store: StoreLimits,
    /// How fast it is written to.
    pub upload: RateSchedule,
    /// How fast it is read from.
    pub download: RateSchedule,
}

impl LimitsConfig {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let mut limits = Self::default();
        if let Some(rate) = section.parsed::<Rates>("upload") {
            limits.upload = rate.value.0;
        }
        if let Some(rate) = section.parsed::<Rates>("download") {
            limits.download = rate.value.0;
        }
        if let Some(tries) = section.integer("tries", 1, 100) {
            limits.store.tries = tries.value as u32;
        }
        for (key, limit) in [
            ("outage", &mut limits.store.outage),
            ("request_timeout", &mut limits.store.request),
            ("stall_timeout", &mut limits.store.stall),
        ] {
            if let Some(period) = section.parsed::<Period>(key) {
                *limit = period.value.0;
            }
        }
        section.finish();
        limits
    }
}

/// `2 MB`, or `08:00-18:00 2 MB, 18:00-23:00 10 MB, else none`.
struct Rates(RateSchedule);

const BAD: Choice = Choice(
    "not a rate: write bytes per second as \"2 MB\", or by local time as \"08:00-18:00 2 MB, else none\" (\"none\" is no \
     limit)",
);

impl FromStr for Rates {
    type Err = Choice;

    fn from_str(text: &str) -> Result<Self, Choice> {
        let mut schedule = RateSchedule::default();
        let parts: Vec<_> = text.split(',').map(str::trim).collect();
        for (at, part) in parts.iter().enumerate() {
            let is_last = at + 1 == parts.len();
            match part.strip_prefix("else ") {
                Some(otherwise) if is_last => schedule.otherwise = rate(otherwise)?,
                None if parts.len() == 1 && !part.contains(':') => schedule.otherwise = rate(part)?,
                None => schedule.spans.push(span(part)?),
                Some(_) => return Err(BAD),
            }
        }
        Ok(Self(schedule))
    }
}

fn span(text: &str) -> Result<RateSpan, Choice> {
    let (times, given) = text.split_once(' ').ok_or(BAD)?;
    let (from, until) = times.split_once('-').ok_or(BAD)?;
    let time = |text| match text {
        "24:00" => Ok(NaiveTime::MIN),
        text => NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| BAD),
    };
    Ok(RateSpan { from: time(from)?, until: time(until)?, rate: rate(given)? })
}

fn rate(text: &str) -> Result<Option<u64>, Choice> {
    let text = text.trim();
    if text == "none" {
        return Ok(None);
    }
    let size = text.strip_suffix("/s").unwrap_or(text);
    // "2M" is what many programs take.
    let bytes = if size.ends_with(['k', 'K', 'M', 'G']) { format!("{size}B").parse() } else { size.parse::<Size>() };
    bytes.ok().filter(|bytes| bytes.0 > 0).map(|bytes| Some(bytes.0)).ok_or(BAD)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hour(hour: u32) -> NaiveTime {
        NaiveTime::from_hms_opt(hour, 0, 0).unwrap()
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        let rates = |text: &str| text.parse::<Rates>().unwrap().0;
        assert_eq!(rates("2 MB"), RateSchedule::always(2_000_000));
        assert_eq!(rates("2M"), RateSchedule::always(2_000_000));
        assert_eq!(rates("512 KiB/s"), RateSchedule::always(512 << 10));
        assert!(rates("none").is_unlimited());
        let day = rates("08:00-18:00 2M, 22:00-24:00 1 GB, else none");
        let at = [7, 8, 17, 18, 22, 23, 0].map(|at| day.at(hour(at)));
        assert_eq!(at, [None, Some(2_000_000), Some(2_000_000), None, Some(1_000_000_000), Some(1_000_000_000), None]);
        assert_eq!(rates("00:00-12:00 none, else 1k").at(hour(13)), Some(1000));
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for text in
            ["", "0", "fast", "8-18 2M", "else 1M, 08:00-18:00 2M", "2M, else none", "25:00-26:00 1M", "08:00-09:00"]
        {
            assert!(text.parse::<Rates>().is_err(), "{text}");
        }
    }
}
