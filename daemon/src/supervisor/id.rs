//! Job ids: 16 hex digits, of which the first 12 are the milliseconds since 1970 and the rest a counter.
//!
//! The one invariant: a later job's id is greater, also after a restart and when the clock is set back.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

/// Names a job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// A text that is no job id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job id has 16 hex digits")]
pub struct BadJobId;

impl JobId {
    /// The id after `last`, at this time.
    pub fn next(last: Option<Self>, now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let by_time = (since.as_millis() as u64) << 16;
        Self(last.map_or(by_time, |last| by_time.max(last.0 + 1)))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = BadJobId;

    fn from_str(text: &str) -> Result<Self, BadJobId> {
        if text.len() != 16 || text.starts_with('+') {
            return Err(BadJobId);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| BadJobId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(ms: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(ms)
    }

    #[test]
    fn ids_grow_within_a_millisecond_and_when_the_clock_goes_back() {
        let first = JobId::next(None, at(1_700_000_000_000));
        let second = JobId::next(Some(first), at(1_700_000_000_000));
        let third = JobId::next(Some(second), at(0));
        let fourth = JobId::next(Some(third), at(1_700_000_000_001));
        assert!(first < second && second < third && third < fourth);
        assert_eq!(first.to_string(), "018bcfe568000000");
        assert!(first.to_string() < second.to_string());
    }

    #[test]
    fn only_what_was_printed_is_read_back() {
        assert_eq!("018bcfe568000000".parse(), Ok(JobId(0x018b_cfe5_6800_0000)));
        for text in ["", "18bcfe568000000", "018bcfe56800000g", "+18bcfe568000000", "018bcfe5680000000"] {
            assert_eq!(text.parse::<JobId>(), Err(BadJobId), "{text}");
        }
    }
}
