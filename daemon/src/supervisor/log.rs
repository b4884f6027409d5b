//! The log of one job while it lives: what it says, for those who follow, and what of it is not stored yet.
//!
//! The one invariant: memory is bounded. Only the last [`LOG_LINES_KEPT`] lines are here; a follower that is slower than
//! that misses lines and goes on with those that are left.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloudstic_proto::v1;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::state::{LOG_LINES_KEPT, NewLines};

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// As planned.
    Info,
    /// Something is missing, damaged or uncertain.
    Warning,
    /// It failed.
    Error,
}

impl LogLevel {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// The lines of one job.
#[derive(Debug)]
pub struct JobLog {
    clock: Arc<dyn Clock>,
    lines: Mutex<Lines>,
    /// How many lines there ever were, and whether no more will come.
    mark: watch::Sender<(u64, bool)>,
}

#[derive(Default)]
struct Lines {
    kept: VecDeque<v1::LogLine>,
    /// The number of the first kept line.
    first: u64,
    /// Lines before this number are stored, or on their way.
    stored: u64,
}

impl Lines {
    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn from(&self, number: u64) -> NewLines {
        let first = number.max(self.first);
        NewLines { first, lines: self.kept.iter().skip((first - self.first) as usize).cloned().collect() }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lines {} to {}", self.first, self.end())
    }
}

impl JobLog {
    /// An empty log.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, lines: Mutex::default(), mark: watch::Sender::new((0, false)) }
    }

    /// Adds a line.
    pub fn add(&self, level: LogLevel, message: String) {
        let line = v1::LogLine { time: Some(self.clock.now().into()), level: level.as_str().into(), message };
        let mut lines = self.lines();
        lines.kept.push_back(line);
        if lines.kept.len() as u64 > LOG_LINES_KEPT {
            lines.kept.pop_front();
            lines.first += 1;
        }
        let end = lines.end();
        self.mark.send_if_modified(|mark| {
            mark.0 = end;
            true
        });
    }

    /// The lines that nobody has taken for storing yet.
    pub fn take_unstored(&self) -> NewLines {
        let mut lines = self.lines();
        let new = lines.from(lines.stored);
        lines.stored = lines.end();
        new
    }

    /// No more lines will come.
    pub fn close(&self) {
        self.mark.send_modify(|mark| mark.1 = true);
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a log from its beginning.
#[derive(Debug)]
pub struct LogFollower {
    log: Arc<JobLog>,
    mark: watch::Receiver<(u64, bool)>,
    next: u64,
}

impl LogFollower {
    /// Before the first line.
    pub fn new(log: Arc<JobLog>) -> Self {
        let mark = log.mark.subscribe();
        Self { log, mark, next: 0 }
    }

    /// What is there and was not given yet.
    pub fn ready(&mut self) -> Vec<v1::LogLine> {
        let new = self.log.lines().from(self.next);
        self.next = new.first + new.lines.len() as u64;
        new.lines
    }

    /// Waits for more lines; `None` once there will be none.
    pub async fn wait(&mut self) -> Option<Vec<v1::LogLine>> {
        let next = self.next;
        let mark = self.mark.wait_for(|(end, closed)| *end > next || *closed).await.map(|mark| *mark);
        let lines = self.ready();
        match mark {
            Ok((_, false)) => Some(lines),
            _ => Some(lines).filter(|lines| !lines.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock::SteppingClock;

    fn log() -> Arc<JobLog> {
        Arc::new(JobLog::new(Arc::new(SteppingClock::default())))
    }

    fn words(lines: &[v1::LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.message.as_str()).collect()
    }

    #[tokio::test]
    async fn a_follower_gets_every_line_and_then_the_end() {
        let log = log();
        log.add(LogLevel::Info, "one".into());
        let mut follower = LogFollower::new(log.clone());
        assert_eq!(words(&follower.ready()), ["one"]);
        log.add(LogLevel::Info, "two".into());
        assert_eq!(words(&follower.wait().await.unwrap()), ["two"]);
        log.add(LogLevel::Info, "three".into());
        log.close();
        assert_eq!(words(&follower.wait().await.unwrap()), ["three"]);
        assert_eq!(follower.wait().await, None);
    }

    #[test]
    fn a_flood_of_lines_stays_bounded_and_keeps_its_numbers() {
        let log = log();
        log.add(LogLevel::Info, "first".into());
        assert_eq!(log.take_unstored().first, 0);
        for number in 0..LOG_LINES_KEPT * 2 {
            log.add(LogLevel::Warning, number.to_string());
        }
        let new = log.take_unstored();
        assert_eq!(new.lines.len() as u64, LOG_LINES_KEPT);
        assert_eq!(new.first, LOG_LINES_KEPT + 1);
        assert_eq!(log.take_unstored().lines, []);
    }
}
