//! Local time: what day, week and hour it was where somebody looks at a clock.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Days, FixedOffset, Local, Months, Offset, TimeDelta, TimeZone, Utc};

use super::span::Span;

/// A time zone: how far its clocks are ahead of UTC at any moment.
#[derive(Clone)]
pub struct Zone(Arc<dyn Fn(DateTime<Utc>) -> FixedOffset + Send + Sync>);

impl Zone {
    /// The one of this host.
    pub fn system() -> Self {
        Self::new(|at| Local.offset_from_utc_datetime(&at.naive_utc()).fix())
    }

    /// One by its rule.
    pub fn new(offset: impl Fn(DateTime<Utc>) -> FixedOffset + Send + Sync + 'static) -> Self {
        Self(Arc::new(offset))
    }

    /// What the clocks say at a moment.
    pub fn local(&self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
        at.with_timezone(&(self.0)(at))
    }

    /// The moment that lies `span` before another one: years, months and days by the calendar, to the same time of day,
    /// or in a shorter month to its last day; then hours as they pass. Where clocks were changed just then, the earlier
    /// of two moments. The beginning of time, if it is further back than that.
    pub(super) fn before(&self, at: DateTime<Utc>, span: Span) -> DateTime<Utc> {
        let local = self.local(at).naive_local();
        let wanted = local
            .checked_sub_months(Months::new(span.months))
            .and_then(|date| date.checked_sub_days(Days::new(span.days.into())));
        // What is left to the beginning of time must do for offsets.
        let earliest = DateTime::<Utc>::MIN_UTC.naive_utc() + TimeDelta::days(3);
        let Some(wanted) = wanted.filter(|wanted| *wanted > earliest) else { return DateTime::<Utc>::MIN_UTC };
        // With the offsets of before and after a change of the clocks; mostly they are the same.
        let about = wanted.and_utc();
        let moments = [-1, 1].map(|days| (wanted - (self.0)(about + TimeDelta::days(days))).and_utc());
        let is_real = |moment: &&DateTime<Utc>| self.local(**moment).naive_local() == wanted;
        let day = moments.iter().filter(is_real).min().or(moments.iter().min()).copied().unwrap_or(about);
        day.checked_sub_signed(TimeDelta::hours(span.hours.into())).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Zone")
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use chrono::{Datelike, NaiveDate, Weekday};

    use super::*;

    /// Central Europe: an hour ahead of UTC, two from the last Sunday of March, 1 o'clock UTC, to that of October.
    pub(in crate::forget) fn berlin() -> Zone {
        Zone::new(|at| {
            let change = |month| {
                let end = NaiveDate::from_ymd_opt(at.year(), month, 31).unwrap();
                let back = (end.weekday().num_days_from_sunday() - Weekday::Sun.num_days_from_sunday()).into();
                (end - Days::new(back)).and_hms_opt(1, 0, 0).unwrap().and_utc()
            };
            let is_summer = change(3) <= at && at < change(10);
            FixedOffset::east_opt(if is_summer { 7200 } else { 3600 }).unwrap()
        })
    }

    #[test]
    fn spans_go_back_by_the_calendar_and_hours_as_they_pass() {
        let table = [
            // The night has 25 hours; 24 hours are 24 hours.
            ("2020-10-25T12:00:00Z", "1d", "2020-10-24T11:00:00Z"),
            ("2020-10-25T12:00:00Z", "24h", "2020-10-24T12:00:00Z"),
            ("2020-10-25T12:00:00Z", "1d3h", "2020-10-24T08:00:00Z"),
            // It has 23.
            ("2020-03-29T12:00:00Z", "1d", "2020-03-28T13:00:00Z"),
            // Half past two does not exist on 29 March, and comes twice on 25 October: the earlier one.
            ("2020-03-30T00:30:00Z", "1d", "2020-03-29T00:30:00Z"),
            ("2020-10-26T01:30:00Z", "1d", "2020-10-25T00:30:00Z"),
            // There is no 31 February.
            ("2020-03-31T12:00:00Z", "1m", "2020-02-29T13:00:00Z"),
            ("2021-03-31T12:00:00Z", "1m", "2021-02-28T13:00:00Z"),
            ("2020-02-29T12:00:00Z", "1y", "2019-02-28T12:00:00Z"),
            ("2020-07-01T12:00:00Z", "1y2m3d4h", "2019-04-28T08:00:00Z"),
        ];
        for (from, span, to) in table {
            let before = berlin().before(from.parse().unwrap(), span.parse().unwrap());
            assert_eq!(before, to.parse::<DateTime<Utc>>().unwrap(), "{span} before {from}");
        }
        for long in ["4294967295d", "400000y", "4294967295h", "262900y"] {
            let before = berlin().before("2020-01-01T00:00:00Z".parse().unwrap(), long.parse().unwrap());
            assert!(before.year() < -100_000, "{before}");
        }
    }
}
