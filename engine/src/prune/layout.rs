//! Where what is copied will lie: decided before anything is read, so that a dry run can tell its size to the byte.

use super::plan::Plan;
use super::survey::Survey;
use crate::object::ObjectKind;
use crate::pack::{PACK_TARGET, Placed};
use crate::reach::Reach;

/// The members of the new packs, in order: there may be millions, in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Layout {
    members: Vec<Placed>,
    /// Where the members of each pack end.
    ends: Vec<usize>,
}

impl Layout {
    /// What is needed of the packs that are rewritten, in the order in which it lies now: metadata apart from data, as a
    /// backup packs them, and contents apart from chunks, so that a later prune can delete the one before the other.
    /// Snapshots go elsewhere.
    pub(super) fn new(survey: &Survey, reach: &Reach, plan: &Plan) -> Self {
        let catalog = &survey.whole.catalog;
        let needed = |kind: ObjectKind, number| kind.is_data() && reach.needs_packed(kind, number);
        let length = |placed: &Placed| catalog.length_at(placed.kind, placed.number).unwrap_or(0);
        Self::arrange(catalog.placed_in(&plan.rewritten, needed), length)
    }

    fn arrange(mut members: Vec<Placed>, length: impl Fn(&Placed) -> u64) -> Self {
        members.sort_unstable_by_key(|placed| (Sort::of(placed), *placed));
        let (mut ends, mut at) = (Vec::new(), 0);
        for sort in members.chunk_by(|a, b| Sort::of(a) == Sort::of(b)) {
            let mut size = 0;
            for placed in sort {
                size += length(placed);
                at += 1;
                if size >= PACK_TARGET as u64 {
                    ends.push(at);
                    size = 0;
                }
            }
            if ends.last() != Some(&at) {
                ends.push(at);
            }
        }
        Self { members, ends }
    }

    /// How many packs there are.
    pub(super) fn count(&self) -> usize {
        self.ends.len()
    }

    /// The members of a pack.
    pub(super) fn pack(&self, at: usize) -> &[Placed] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.members[start..self.ends[at]]
    }

    /// Those of each.
    pub(super) fn packs(&self) -> impl Iterator<Item = &[Placed]> {
        (0..self.count()).map(|at| self.pack(at))
    }
}

/// What is not in one pack with another sort.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Chunks,
    Contents,
    Metadata,
}

impl Sort {
    fn of(placed: &Placed) -> Self {
        match placed.kind {
            ObjectKind::Chunk => Self::Chunks,
            ObjectKind::Content => Self::Contents,
            ObjectKind::Filemeta | ObjectKind::Node | ObjectKind::Snapshot => Self::Metadata,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn everything_is_copied_once_and_each_pack_is_full_but_the_last_of_its_sort(
            lengths in proptest::collection::vec((0usize..4, 1u64..5_000_000), 0..60),
        ) {
            let placed = |(number, (kind, _)): (u32, &(usize, u64))| Placed {
                pack: number / 7, offset: number, kind: ObjectKind::ALL[*kind], number,
            };
            let all: Vec<Placed> = (0..).zip(&lengths).map(placed).collect();
            let length = |placed: &Placed| lengths[placed.number as usize].1;
            let layout = Layout::arrange(all.clone(), length);
            let packs: Vec<&[Placed]> = layout.packs().collect();
            let mut copied: Vec<Placed> = packs.concat();
            copied.sort_unstable();
            proptest::prop_assert_eq!(copied, all);
            let small = packs.iter().filter(|pack| pack.iter().map(length).sum::<u64>() < PACK_TARGET as u64);
            proptest::prop_assert!(small.count() <= 3);
            let is_of_one_sort =
                |pack: &&[Placed]| pack.is_sorted() && pack.iter().all(|placed| Sort::of(placed) == Sort::of(&pack[0]));
            proptest::prop_assert!(packs.iter().all(is_of_one_sort));
        }
    }
}
