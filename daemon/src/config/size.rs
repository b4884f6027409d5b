//! Sizes as people write them: `500 MB`, `1 GiB`, `4096`.

use std::str::FromStr;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a size: write bytes as \"4096\", or \"500 MB\" (thousands), or \"1 GiB\" (powers of 1,024)")]
pub struct BadSize;

const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

impl FromStr for Size {
    type Err = BadSize;

    fn from_str(text: &str) -> Result<Self, BadSize> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim().to_ascii_lowercase();
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(BadSize)?;
        let number: u64 = number.parse().map_err(|_| BadSize)?;
        number.checked_mul(*factor).map(Self).ok_or(BadSize)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn units_of_a_thousand_and_of_1024_are_told_apart() {
        let sizes = [("0", 0), ("4096", 4096), ("1 GiB", 1 << 30), ("500MB", 500_000_000), ("2 kib", 2048)];
        for (text, bytes) in sizes {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_and_not_read_as_another() {
        for text in ["", "GiB", "1.5 GiB", "-1", "1 G", "1 GiB x", "99999999999 TiB"] {
            assert_eq!(text.parse::<Size>(), Err(BadSize), "{text}");
        }
    }
}
