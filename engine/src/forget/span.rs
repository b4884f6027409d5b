//! Spans of the calendar: `2y5m7d3h`.

use std::fmt;
use std::str::FromStr;

/// Years, months, days and hours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    /// Months; a year has twelve.
    pub months: u32,
    /// Days.
    pub days: u32,
    /// Hours.
    pub hours: u32,
}

/// A text that is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no span of time: write it like 1y6m, 30d or 2y5m7d3h (years, months, days, hours; each once)")]
pub struct ParseSpanError(String);

impl Span {
    /// Whether it is no time at all.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl FromStr for Span {
    type Err = ParseSpanError;

    /// ```
    /// use cloudstic_engine::forget::Span;
    /// assert_eq!("2y5m7d3h".parse(), Ok(Span { months: 29, days: 7, hours: 3 }));
    /// for wrong in ["", "5", "d", "1w", "1d2d", "-1d", "1d ", "99999999999d"] {
    ///     assert!(wrong.parse::<Span>().is_err(), "{wrong:?}");
    /// }
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseSpanError> {
        let wrong = || ParseSpanError(text.to_owned());
        let mut parts = [None; 4];
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, unit) = rest.split_at(digits);
            let part = unit.bytes().next().and_then(|unit| b"ymdh".iter().position(|known| *known == unit));
            let part = &mut parts[part.ok_or_else(wrong)?];
            if part.replace(number.parse::<u32>().map_err(|_| wrong())?).is_some() {
                return Err(wrong());
            }
            rest = &unit[1..];
        }
        if parts == [None; 4] {
            return Err(wrong());
        }
        let [years, months, days, hours] = parts.map(Option::unwrap_or_default);
        let months = years.checked_mul(12).and_then(|of_years| of_years.checked_add(months)).ok_or_else(wrong)?;
        Ok(Self { months, days, hours })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [(self.months / 12, 'y'), (self.months % 12, 'm'), (self.days, 'd'), (self.hours, 'h')];
        parts.into_iter().filter(|(number, _)| *number > 0).try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}
