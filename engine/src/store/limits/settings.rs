//! How much is put up with from a store, and how fast it is used.

use std::time::Duration;

use chrono::NaiveTime;

/// How much is put up with from a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLimits {
    /// How often one request is tried at most, if it fails while the store answers others, or is the first one after
    /// a long time; at least 1.
    pub tries: u32,
    /// The longest wait before the second try; before each further one it may be twice as long.
    pub backoff: Duration,
    /// The longest wait between two tries, unless the store asks for a longer one.
    pub longest_backoff: Duration,
    /// How long a store that has just answered may answer nothing at all until every request fails.
    pub outage: Duration,
    /// How long one try may take, beside the time for its bytes.
    pub request: Duration,
    /// Bytes per second that one of several requests on a slow line is taken to move at least: so much longer may a large
    /// object take.
    pub slowest: u64,
    /// How long a connection may carry no byte and no answer; for backends that can see that.
    pub stall: Duration,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            tries: 8,
            backoff: Duration::from_millis(500),
            longest_backoff: Duration::from_secs(30),
            outage: Duration::from_secs(300),
            request: Duration::from_secs(120),
            slowest: 4 << 10,
            stall: Duration::from_secs(60),
        }
    }
}

impl StoreLimits {
    /// How long one try may take that moves so many bytes.
    pub(super) fn deadline(&self, bytes: u64) -> Duration {
        self.request + Duration::from_secs(bytes / self.slowest.max(1))
    }

    /// The longest wait after so many failures.
    pub(super) fn longest_wait(&self, failures: u32) -> Duration {
        let doubled = self.backoff.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(self.longest_backoff)
    }
}

/// How fast bytes may go in one direction, by the time of day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateSchedule {
    /// The first that the time falls into counts.
    pub spans: Vec<RateSpan>,
    /// Bytes per second at all other times; as fast as it goes if it is `None`. Zero counts as one.
    pub otherwise: Option<u64>,
}

/// How fast bytes may go at a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateSpan {
    /// From then on, local time.
    pub from: NaiveTime,
    /// Until then. Earlier than `from` means over midnight; the same as `from`, all day.
    pub until: NaiveTime,
    /// Bytes per second; as fast as it goes if it is `None`. Zero counts as one.
    pub rate: Option<u64>,
}

impl RateSchedule {
    /// The same at all times.
    pub fn always(rate: u64) -> Self {
        Self { spans: Vec::new(), otherwise: Some(rate) }
    }

    /// Bytes per second at this time of day.
    pub fn at(&self, time: NaiveTime) -> Option<u64> {
        let span = self.spans.iter().find(|span| span.contains(time));
        span.map_or(self.otherwise, |span| span.rate).map(|rate| rate.max(1))
    }

    /// Whether it never limits anything.
    pub fn is_unlimited(&self) -> bool {
        self.otherwise.is_none() && self.spans.iter().all(|span| span.rate.is_none())
    }
}

impl RateSpan {
    fn contains(&self, time: NaiveTime) -> bool {
        match self.from < self.until {
            true => (self.from..self.until).contains(&time),
            false => time >= self.from || time < self.until,
        }
    }
}
