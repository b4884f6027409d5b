//! How fast bytes go: a bucket for each direction that fills at the allowed rate.
//!
//! An object goes as one piece once the bucket holds anything, and may leave it in debt: so the rate holds on average,
//! whatever the sizes, and nothing is too large for the bucket. Whoever comes first goes first.

use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{Local, NaiveTime};
use tokio::time::Instant;

use super::RateSchedule;

/// What a bucket holds at most: so much time's worth of bytes.
const BURST: Duration = Duration::from_secs(1);

/// How long a wait may be until it is looked again how fast bytes may go by then.
const LOOK: Duration = Duration::from_secs(30);

/// Tells the time of day.
pub trait TimeOfDay: Send + Sync + Debug {
    /// Local time.
    fn now(&self) -> NaiveTime;
}

/// This host's.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalTimeOfDay;

impl TimeOfDay for LocalTimeOfDay {
    fn now(&self) -> NaiveTime {
        Local::now().time()
    }
}

/// How fast bytes go to a store and from it, shared by all that use the same line.
#[derive(Debug)]
pub struct Pace {
    upload: Bucket,
    download: Bucket,
    clock: Box<dyn TimeOfDay>,
}

impl Default for Pace {
    /// As fast as it goes.
    fn default() -> Self {
        Self::new(RateSchedule::default(), RateSchedule::default())
    }
}

impl Pace {
    /// As fast as these allow, by this host's time of day.
    pub fn new(upload: RateSchedule, download: RateSchedule) -> Self {
        Self { upload: Bucket::new(upload), download: Bucket::new(download), clock: Box::new(LocalTimeOfDay) }
    }

    /// By another clock.
    pub fn with_clock(mut self, clock: impl TimeOfDay + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Waits until so many bytes may be sent.
    pub async fn send(&self, bytes: u64) {
        self.upload.take(bytes, &*self.clock).await;
    }

    /// So many were sent again. Whoever comes next waits for them: who has failed has waited enough.
    pub fn sent_again(&self, bytes: u64) {
        self.upload.lock().bytes -= bytes as f64;
    }

    /// Waits until so many bytes may be received.
    pub async fn receive(&self, bytes: u64) {
        self.download.take(bytes, &*self.clock).await;
    }

    /// So many more were received than was known before.
    pub fn received(&self, bytes: u64) {
        self.download.lock().bytes -= bytes as f64;
    }
}

#[derive(Debug)]
struct Bucket {
    schedule: RateSchedule,
    level: Mutex<Level>,
    /// Held by whoever is next.
    turn: tokio::sync::Mutex<()>,
}

/// What a bucket held at some time; less than nothing if more was taken.
#[derive(Debug)]
struct Level {
    bytes: f64,
    at: Option<Instant>,
}

impl Bucket {
    fn new(schedule: RateSchedule) -> Self {
        Self { schedule, level: Mutex::new(Level { bytes: 0.0, at: None }), turn: tokio::sync::Mutex::default() }
    }

    async fn take(&self, bytes: u64, clock: &dyn TimeOfDay) {
        if self.schedule.is_unlimited() {
            return;
        }
        let _turn = self.turn.lock().await;
        while let Some(wait) = self.try_take(bytes, self.schedule.at(clock.now())) {
            tokio::time::sleep(wait.min(LOOK)).await;
        }
    }

    /// How long to wait, if they cannot be had yet.
    fn try_take(&self, bytes: u64, rate: Option<u64>) -> Option<Duration> {
        let mut level = self.lock();
        let now = Instant::now();
        let Some(rate) = rate else {
            // What was owed is forgiven: it does not matter any more.
            *level = Level { bytes: 0.0, at: Some(now) };
            return None;
        };
        let rate = rate as f64;
        let full = rate * BURST.as_secs_f64();
        level.bytes = match level.at {
            Some(at) => (level.bytes + rate * (now - at).as_secs_f64()).min(full),
            None => full,
        };
        level.at = Some(now);
        if level.bytes > 0.0 {
            level.bytes -= bytes as f64;
            return None;
        }
        // A little more than nothing.
        Some(Duration::try_from_secs_f64((1.0 - level.bytes) / rate).unwrap_or(LOOK).max(Duration::from_millis(1)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Level> {
        self.level.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
