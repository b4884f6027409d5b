//! Numbers of new snapshots. The one with the highest number is `latest` (format, section 8), to every program; of several
//! with the same number, to this one the newest.

use crate::object::{SnapshotEntry, Timestamp};

/// Which number a new snapshot gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Numbering {
    /// The highest so far and one: it is what was backed up last.
    #[default]
    Next,
    /// The same, unless there are newer snapshots: then one that is not above theirs, so that it does not become `latest`.
    /// Where none is left between its neighbours, it shares that of the older one.
    ByTime,
}

impl Numbering {
    /// The number of a snapshot of that time among those that there are.
    pub(super) fn number(self, created: &Timestamp, known: &[SnapshotEntry]) -> u64 {
        let is_newer = |entry: &&SnapshotEntry| self == Self::ByTime && entry.created.moment() > created.moment();
        let (newer, others): (Vec<_>, Vec<_>) = known.iter().partition(is_newer);
        let highest = |entries: &[&SnapshotEntry]| entries.iter().map(|entry| entry.seq).max();
        let below = highest(&others).unwrap_or(0);
        match highest(&newer) {
            Some(above) if below + 1 < above => below + 1,
            Some(above) => below.clamp(1, above.max(1)),
            None => below + 1,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use proptest::prelude::*;

    use super::*;
    use crate::object::{Hash, ObjectKind, ObjectRef, SourceInfo};
    use crate::repository::newer;

    fn add(known: &mut Vec<SnapshotEntry>, numbering: Numbering, day: i64) -> u64 {
        let created = Timestamp::seconds(DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(day));
        let seq = numbering.number(&created, known);
        known.push(SnapshotEntry {
            reference: ObjectRef::new(ObjectKind::Snapshot, Hash::of(&[known.len() as u8])),
            seq,
            created,
            root: None,
            source: SourceInfo::default(),
            tags: Vec::new(),
            change_token: String::new(),
            exclude_hash: String::new(),
        });
        seq
    }

    #[test]
    fn a_late_one_has_a_number_of_its_own_where_there_is_room() {
        let mut known = Vec::new();
        assert_eq!([1, 5].map(|day| add(&mut known, Numbering::Next, day)), [1, 2]);
        known[1].seq = 9;
        assert_eq!([3, 2, 6, 0].map(|day| add(&mut known, Numbering::ByTime, day)), [2, 2, 10, 1]);
        assert_eq!(add(&mut known, Numbering::Next, 0), 11);
    }

    proptest! {
        #[test]
        fn in_whatever_order_they_come_the_newest_is_the_latest(days in proptest::collection::vec(0i64..20, 1..30)) {
            let mut known = Vec::new();
            for day in days {
                prop_assert!(add(&mut known, Numbering::ByTime, day) > 0);
                let latest = known.iter().max_by(|a, b| a.seq.cmp(&b.seq).then(newer(a, b))).unwrap();
                let newest = known.iter().max_by(|a, b| newer(a, b)).unwrap();
                prop_assert_eq!(&latest.created, &newest.created);
            }
        }
    }
}
