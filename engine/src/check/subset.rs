//! Which part of the data a check reads.
//!
//! Every pack, and every content that is read by itself, has a place on a ring of 2^64: the first bytes of its name. A part
//! is an arc of the ring. So the parts of `n/m` share nothing and leave nothing out, and who goes on where the last check
//! ended has read everything after one round, however much came and went meanwhile. A part of so many bytes ends before
//! the first one that would be more than that, but has one at least.

use std::fmt;
use std::str::FromStr;

use crate::object::Hash;

/// How much of the data to read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ReadData {
    /// None of it.
    No,
    /// All of it.
    All,
    /// A part.
    Part {
        /// How large.
        subset: Subset,
        /// Where a part that is not given by number begins: where the last one ended.
        from: u64,
    },
}

/// The size of a part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Subset {
    /// Part `number` (from 1) of so many equal ones: always the same.
    Numbered {
        /// Its number.
        number: u32,
        /// How many there are.
        of: u32,
    },
    /// So many hundredths of the data: the next ones.
    Percent(f64),
    /// The next ones, until no more would fit into so many bytes. One is read at least, however large it is.
    Bytes(u64),
}

/// What was read of the data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DataRead {
    /// Files' contents that were proven; each counts once.
    pub contents: u64,
    /// Bytes of files that were proven.
    pub bytes: u64,
    /// Packs that were held against their names.
    pub packs: u64,
    /// Bytes that were read from the store for it, about.
    pub stored_bytes: u64,
    /// Whether this was all of the data.
    pub complete: bool,
    /// Where the next part begins, after one that was not given by number.
    pub next: Option<u64>,
}

/// A text that is no subset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no part of the data: give `n/m` (part n of m), a percentage such as `10%`, or a size such as `1G`")]
pub struct ParseSubsetError(String);

impl FromStr for Subset {
    type Err = ParseSubsetError;

    /// ```
    /// use cloudstic_engine::check::Subset;
    /// assert_eq!("2/5".parse(), Ok(Subset::Numbered { number: 2, of: 5 }));
    /// assert_eq!("2.5%".parse(), Ok(Subset::Percent(2.5)));
    /// assert_eq!("1G".parse(), Ok(Subset::Bytes(1 << 30)));
    /// assert!(["0/5", "6/5", "0%", "101%", "G", "0", "-1M", "nan%"].iter().all(|text| text.parse::<Subset>().is_err()));
    /// ```
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let subset = if let Some((number, of)) = text.split_once('/') {
            let parsed = number.parse().ok().zip(of.parse().ok());
            parsed
                .filter(|&(number, of): &(u32, u32)| (1..=of).contains(&number))
                .map(|(number, of)| Self::Numbered { number, of })
        } else if let Some(percent) = text.strip_suffix('%') {
            percent.parse().ok().filter(|percent| *percent > 0.0 && *percent <= 100.0).map(Self::Percent)
        } else {
            parse_size(text).filter(|bytes| *bytes > 0).map(Self::Bytes)
        };
        subset.ok_or_else(|| ParseSubsetError(text.to_owned()))
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        "T" | "TiB" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

impl fmt::Display for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbered { number, of } => write!(f, "{number}/{of}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) => write!(f, "{bytes}B"),
        }
    }
}

/// An arc of the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arc {
    from: u64,
    /// At most [`WHOLE`].
    length: u128,
}

/// The length of the ring.
const WHOLE: u128 = 1 << 64;

impl Arc {
    /// The part that is to be read; `None` for none. `costs` are the names of all that could be, and how many bytes are
    /// read for each.
    pub(super) fn new(read: ReadData, costs: impl Iterator<Item = (Hash, u64)>) -> Option<Self> {
        match read {
            ReadData::No => None,
            ReadData::All => Some(Self { from: 0, length: WHOLE }),
            ReadData::Part { subset: Subset::Numbered { number, of }, .. } => {
                let start = |number: u32| WHOLE * u128::from(number) / u128::from(of.max(1));
                let from = start(number.saturating_sub(1));
                Some(Self { from: from as u64, length: start(number) - from })
            }
            ReadData::Part { subset: Subset::Percent(percent), from } => {
                let part = (percent / 100.0).clamp(0.0, 1.0);
                Some(Self { from, length: ((WHOLE as f64 * part) as u128).clamp(1, WHOLE) })
            }
            ReadData::Part { subset: Subset::Bytes(bytes), from } => {
                let mut ahead: Vec<(u64, u64)> =
                    costs.map(|(name, cost)| (place(&name).wrapping_sub(from), cost)).collect();
                ahead.sort_unstable();
                let mut sum = 0_u64;
                let beyond = ahead.iter().enumerate().find(|(number, (_, cost))| {
                    sum = sum.saturating_add(*cost);
                    *number > 0 && sum > bytes
                });
                let length = beyond.map_or(WHOLE, |(_, (distance, _))| u128::from(*distance));
                Some(Self { from, length })
            }
        }
    }

    pub(super) fn contains(&self, name: &Hash) -> bool {
        u128::from(place(name).wrapping_sub(self.from)) < self.length
    }

    pub(super) fn is_whole(&self) -> bool {
        self.length == WHOLE
    }

    /// Where the next one begins.
    pub(super) fn end(&self) -> u64 {
        self.from.wrapping_add(self.length as u64)
    }
}

/// Where on the ring something of that name is.
fn place(name: &Hash) -> u64 {
    name.as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::iter::empty;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_of_so_many_bytes_are_no_larger_and_leave_nothing_out(
            costs in proptest::collection::vec(1_u64..100, 1..40), bytes in 1_u64..300, start in any::<u64>(),
        ) {
            let units: Vec<_> = costs.iter().enumerate().map(|(n, cost)| (Hash::of(&[n as u8]), *cost)).collect();
            let (mut from, mut read, mut left) = (start, Vec::new(), units.len());
            while left > 0 {
                let part = ReadData::Part { subset: Subset::Bytes(bytes), from };
                let arc = Arc::new(part, units.iter().copied()).unwrap();
                let within: Vec<_> = units.iter().filter(|(name, _)| arc.contains(name)).collect();
                let size: u64 = within.iter().map(|(_, cost)| cost).sum();
                prop_assert!(within.len() == 1 || size <= bytes, "{size} of {bytes}");
                prop_assert!(!within.is_empty());
                left = left.saturating_sub(within.len());
                read.extend(within.into_iter().map(|(name, _)| *name));
                from = arc.end();
            }
            read.sort_unstable();
            read.dedup();
            prop_assert_eq!(read.len(), units.len());
        }

        #[test]
        fn the_parts_share_nothing_and_leave_nothing_out(of in 1_u32..50, seed in any::<u64>()) {
            let name = Hash::of(&seed.to_le_bytes());
            let part = |number| ReadData::Part { subset: Subset::Numbered { number, of }, from: 0 };
            let arcs = (1..=of).map(|number| Arc::new(part(number), empty()).unwrap());
            prop_assert_eq!(arcs.filter(|arc| arc.contains(&name)).count(), 1);
        }

        #[test]
        fn who_goes_on_where_the_last_one_ended_reads_everything_in_one_round(
            percents in proptest::collection::vec(1.0_f64..60.0, 1..20), start in any::<u64>(), seed in any::<u64>(),
        ) {
            let name = Hash::of(&seed.to_le_bytes());
            let (mut from, mut read, mut round) = (start, 0, 0.0);
            for percent in percents.iter().cycle() {
                let left = 100.0 - round;
                let subset = Subset::Percent(percent.min(left));
                let arc = Arc::new(ReadData::Part { subset, from }, empty()).unwrap();
                read += u32::from(arc.contains(&name));
                from = arc.end();
                round += percent;
                if round >= 100.0 {
                    break;
                }
            }
            // The parts are cut with the precision of a float: one name in 2^50 may be hit by that.
            prop_assert_eq!(read, 1);
        }
    }
}
