//! Where what is copied will lie: decided before anything is read, so that a dry run can tell its size to the byte.

use super::plan::Plan;
use super::survey::Survey;
use crate::object::ObjectKind;
use crate::pack::{PACK_TARGET, Placed};
use crate::reach::Reach;

/// The members of the new packs, in order.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) packs: Vec<Vec<Placed>>,
}

impl Layout {
    /// What is needed of the packs that are rewritten, in the order in which it lies now: metadata apart from data, as a
    /// backup packs them, and contents apart from chunks, so that a later prune can delete the one before the other.
    /// Snapshots go elsewhere.
    pub(super) fn new(survey: &Survey, reach: &Reach, plan: &Plan) -> Self {
        let catalog = &survey.whole.catalog;
        let placed = catalog.placed_in(&plan.rewritten);
        let needed = placed.into_iter().filter(|placed| reach.needs_packed(placed.kind, placed.number));
        let length = |placed: &Placed| catalog.length_at(placed.kind, placed.number).unwrap_or(0);
        Self::arrange(needed.filter(|placed| placed.kind.is_data()), length)
    }

    fn arrange(needed: impl Iterator<Item = Placed>, length: impl Fn(&Placed) -> u64) -> Self {
        let mut packs = Vec::new();
        let [mut chunks, mut contents, mut metadata] = [(Vec::new(), 0), (Vec::new(), 0), (Vec::new(), 0)];
        for placed in needed {
            let (open, size) = match placed.kind {
                ObjectKind::Chunk => &mut chunks,
                ObjectKind::Content => &mut contents,
                ObjectKind::Filemeta | ObjectKind::Node | ObjectKind::Snapshot => &mut metadata,
            };
            *size += length(&placed);
            open.push(placed);
            if *size >= PACK_TARGET as u64 {
                packs.push(std::mem::take(open));
                *size = 0;
            }
        }
        packs.extend([chunks.0, contents.0, metadata.0].into_iter().filter(|open| !open.is_empty()));
        packs.iter_mut().for_each(Vec::shrink_to_fit);
        Self { packs }
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
            let Layout { packs } = Layout::arrange(all.iter().copied(), length);
            let mut copied: Vec<Placed> = packs.iter().flatten().copied().collect();
            copied.sort_unstable();
            proptest::prop_assert_eq!(copied, all);
            let small = packs.iter().filter(|pack| pack.iter().map(length).sum::<u64>() < PACK_TARGET as u64);
            proptest::prop_assert!(small.count() <= 3);
            let sort = |placed: &Placed| match placed.kind {
                ObjectKind::Node => ObjectKind::Filemeta,
                kind => kind,
            };
            let is_of_one_sort =
                |pack: &Vec<Placed>| pack.is_sorted() && pack.iter().all(|placed| sort(placed) == sort(&pack[0]));
            proptest::prop_assert!(packs.iter().all(is_of_one_sort));
        }
    }
}
