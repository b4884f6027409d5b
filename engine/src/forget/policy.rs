//! Retention policies: which snapshots of a group stay. Pure.
//!
//! Each rule looks at the snapshots from the newest to the oldest. A rule by time divides them by hours, days, ISO weeks,
//! months or years of local time, keeps the newest of each, and ends after so many. A snapshot stays if any rule keeps it.
//!
//! A snapshot whose time cannot be read, or has not come yet, is kept and counted by no rule: a clock that was wrong once
//! must not push out what is right.

use std::collections::HashSet;

use chrono::{DateTime, Datelike, FixedOffset, Timelike, Utc};

use super::span::Span;
use super::zone::Zone;
use crate::object::SnapshotEntry;
use crate::repository::newer;

/// What to keep. Zero of something keeps nothing by it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// The newest ones.
    pub last: u32,
    /// The newest of each of so many hours that have any.
    pub hourly: u32,
    /// … days.
    pub daily: u32,
    /// … ISO weeks.
    pub weekly: u32,
    /// … months.
    pub monthly: u32,
    /// … years.
    pub yearly: u32,
    /// All from this long before the newest one on.
    pub within: Option<Span>,
    /// All that have any of these tags.
    pub tags: Vec<String>,
}

/// Why a snapshot stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// [`Policy::last`].
    Last,
    /// [`Policy::hourly`].
    Hourly,
    /// [`Policy::daily`].
    Daily,
    /// [`Policy::weekly`].
    Weekly,
    /// [`Policy::monthly`].
    Monthly,
    /// [`Policy::yearly`].
    Yearly,
    /// [`Policy::within`].
    Within,
    /// [`Policy::tags`].
    Tag,
    /// Its time has not come yet.
    Future,
    /// Its time cannot be read.
    NoTime,
    /// No rule keeps any snapshot of its group, and this is the newest.
    LastOfGroup,
    /// It was to go, and removing it failed.
    NotRemoved,
}

/// Why a snapshot goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// No rule of the policy keeps it.
    NoRule,
    /// Somebody named it.
    Named,
}

/// What becomes of a snapshot, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It stays, for one reason at least.
    Stays(Vec<Reason>),
    /// It goes.
    Goes(Cause),
}

/// What becomes of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The snapshot.
    pub snapshot: SnapshotEntry,
    /// What becomes of it.
    pub fate: Fate,
}

impl Reason {
    /// A word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Hourly => "hourly",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
            Self::Yearly => "yearly",
            Self::Within => "within",
            Self::Tag => "tag",
            Self::Future => "future",
            Self::NoTime => "undated",
            Self::LastOfGroup => "last-of-group",
            Self::NotRemoved => "not-removed",
        }
    }
}

impl Cause {
    /// A word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRule => "no-rule",
            Self::Named => "named",
        }
    }
}

impl Verdict {
    /// Whether it stays.
    pub const fn stays(&self) -> bool {
        matches!(self.fate, Fate::Stays(_))
    }

    /// Why it stays; nothing if it goes.
    pub fn reasons(&self) -> &[Reason] {
        match &self.fate {
            Fate::Stays(reasons) => reasons,
            Fate::Goes(_) => &[],
        }
    }
}

/// An hour, a day, a week, …: what tells it from others of its kind.
type Period = (i32, u32, u32, i32);

/// Why it keeps, how many periods, and in which one a moment is.
type Rule = (Reason, u32, fn(&DateTime<FixedOffset>) -> Period);

impl Policy {
    /// Whether it would keep nothing at all.
    pub fn is_empty(&self) -> bool {
        self.counts().iter().all(|(_, count, _)| *count == 0)
            && self.last == 0
            && self.within.is_none_or(|within| within.is_zero())
            && self.tags.is_empty()
    }

    /// What becomes of the snapshots of a group, newest first.
    pub fn judge(&self, mut snapshots: Vec<SnapshotEntry>, now: DateTime<Utc>, zone: &Zone) -> Vec<Verdict> {
        snapshots.sort_by(|a, b| newer(b, a));
        let moment = |snapshot: &SnapshotEntry| snapshot.created.moment().filter(|at| *at <= now);
        let newest = snapshots.iter().find_map(moment);
        let within = self.within.filter(|within| !within.is_zero());
        let since = within.zip(newest).map(|(within, newest)| zone.before(newest, within));
        let mut seen: [HashSet<Period>; 5] = Default::default();
        let mut last = self.last;
        let judged = snapshots.into_iter().map(|snapshot| {
            let mut reasons = Vec::new();
            match moment(&snapshot) {
                Some(at) => {
                    if last > 0 {
                        last -= 1;
                        reasons.push(Reason::Last);
                    }
                    let local = zone.local(at);
                    for ((reason, count, period), seen) in self.counts().into_iter().zip(&mut seen) {
                        if seen.len() < count as usize && seen.insert(period(&local)) {
                            reasons.push(reason);
                        }
                    }
                    if since.is_some_and(|since| since <= at) {
                        reasons.push(Reason::Within);
                    }
                }
                None if snapshot.created.moment().is_some() => reasons.push(Reason::Future),
                None => reasons.push(Reason::NoTime),
            }
            if self.tags.iter().any(|tag| snapshot.tags.contains(tag)) {
                reasons.push(Reason::Tag);
            }
            let fate = if reasons.is_empty() { Fate::Goes(Cause::NoRule) } else { Fate::Stays(reasons) };
            Verdict { snapshot, fate }
        });
        judged.collect()
    }

    /// The rules by time, and what they divide it into. The hour that comes twice when clocks are put back is two hours.
    fn counts(&self) -> [Rule; 5] {
        [
            (Reason::Hourly, self.hourly, |at| (at.year(), at.ordinal(), at.hour(), at.offset().local_minus_utc())),
            (Reason::Daily, self.daily, |at| (at.year(), at.ordinal(), 0, 0)),
            (Reason::Weekly, self.weekly, |at| (at.iso_week().year(), at.iso_week().week(), 0, 0)),
            (Reason::Monthly, self.monthly, |at| (at.year(), at.month(), 0, 0)),
            (Reason::Yearly, self.yearly, |at| (at.year(), 0, 0, 0)),
        ]
    }
}

#[cfg(test)]
mod tests;
