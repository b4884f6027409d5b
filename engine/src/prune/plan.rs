//! What to do with each pack.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use super::PruneError;
use super::copies::Numbered;
use super::survey::Survey;
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::{Catalog, Location, footer_size};
use crate::reach::{NeededInPacks, Reach};
use crate::repository::Repository;
use crate::store::StoreError;

/// What the caller sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) max_waste_percent: u8,
    pub(super) max_repack_bytes: Option<u64>,
}

/// Packs that are to be rewritten whatever their waste.
type Forced = BTreeSet<Hash>;

/// A pack and what of it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) pack: Hash,
    pub(super) size: u64,
    /// How many members are needed.
    pub(super) needed: u64,
    /// Their bytes.
    pub(super) needed_bytes: u64,
    /// Bytes of the footer, 0 if there is none or it was not looked at.
    pub(super) footer: u64,
    /// Whether it stays as it is, whatever is needed of it.
    pub(super) is_kept: bool,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Packs of which nothing is needed, sorted.
    pub(super) dead: Vec<Hash>,
    /// Packs that are rewritten, sorted.
    pub(super) rewritten: Vec<Hash>,
    /// The snapshots in packs that are rewritten, by number in the catalog, with their bytes.
    pub(super) unpacked: Vec<(u32, u64)>,
    /// Whether `index/latest` is in such a pack.
    pub(super) unpacks_latest: bool,
    /// Bytes of the packs that stay that are not those of a needed object; without those of packs that are kept whole.
    pub(super) unused_bytes: u64,
}

impl Plan {
    /// Whether a pack is deleted, for whatever reason.
    pub(super) fn removes(&self, pack: &Hash) -> bool {
        self.dead.binary_search(pack).is_ok() || self.rewritten.binary_search(pack).is_ok()
    }

    /// What is in rewritten packs that does not go into packs again.
    fn find_unpacked(&mut self, catalog: &Catalog) {
        let is_rewritten = |location: &Location| self.rewritten.binary_search(&location.pack).is_ok();
        let numbers = 0..catalog.count(ObjectKind::Snapshot) as u32;
        let located = numbers.filter_map(|number| Some((number, catalog.location_at(ObjectKind::Snapshot, number)?)));
        self.unpacked = located
            .filter(|(_, location)| is_rewritten(location))
            .map(|(number, location)| (number, location.length))
            .collect();
        self.unpacks_latest = catalog.pointers().values().any(is_rewritten);
    }
}

impl Facts {
    /// Bytes of members that nobody needs. A rewrite would not make the footer smaller.
    fn waste(&self) -> u64 {
        self.size.saturating_sub(self.needed_bytes + self.footer)
    }

    fn is_wasteful(&self, limits: Limits) -> bool {
        let members = self.size.saturating_sub(self.footer);
        self.needed > 0 && self.waste() * 100 > members * u64::from(limits.max_waste_percent)
    }
}

/// Decides.
pub(super) fn plan(packs: &[Facts], limits: Limits, forced: &Forced) -> Plan {
    let mut plan = Plan::default();
    let goes = |facts: &&Facts| {
        !facts.is_kept && (facts.is_wasteful(limits) || (facts.needed > 0 && forced.contains(&facts.pack)))
    };
    let mut wasteful: Vec<&Facts> = packs.iter().filter(goes).collect();
    // By waste for each byte that must be copied for it: the products compare the quotients.
    wasteful.sort_by(|a, b| {
        let [ab, ba] = [(a, b), (b, a)].map(|(x, y)| u128::from(x.waste()) * u128::from(y.needed_bytes));
        ba.cmp(&ab).then(a.pack.cmp(&b.pack))
    });
    let mut room = limits.max_repack_bytes.unwrap_or(u64::MAX);
    for facts in wasteful {
        if facts.needed_bytes <= room {
            room -= facts.needed_bytes;
            plan.rewritten.push(facts.pack);
        }
    }
    plan.rewritten.sort_unstable();
    for facts in packs {
        if facts.needed == 0 {
            plan.dead.extend((!facts.is_kept).then_some(facts.pack));
        } else if plan.rewritten.binary_search(&facts.pack).is_err() {
            plan.unused_bytes += facts.size.saturating_sub(facts.needed_bytes);
        }
    }
    plan.dead.sort_unstable();
    plan
}

/// Looks at all packs, and decides.
///
/// A content that nobody needs, in a pack that stays, must not lose its chunks: whoever finds it would take it for whole.
/// So its pack is rewritten, too; and where there is no room for that, the content and its chunks stay.
pub(super) async fn make(
    repository: &Arc<Repository>,
    survey: &Survey,
    reach: Reach,
    limits: Limits,
    cancel: &CancellationToken,
) -> Result<(Plan, Reach), PruneError> {
    let (mut reach, mut forced) = (reach, Forced::new());
    loop {
        let mut packs = facts(survey, &reach);
        measure_footers(repository, &mut packs, limits).await?;
        let mut decided = plan(&packs, limits, &forced);
        let held;
        (reach, held) = holding(repository, &decided, reach, cancel).await?;
        forced.extend(held.iter().map(|(_, pack)| *pack));
        if !held.is_empty() {
            decided = plan(&packs, limits, &forced);
        }
        let stays = |pack: &Hash| !decided.removes(pack);
        let kept: Vec<ObjectRef> = held.iter().filter(|(_, pack)| stays(pack)).map(|(content, _)| *content).collect();
        if kept.is_empty() {
            decided.find_unpacked(&survey.whole.catalog);
            return Ok((decided, reach));
        }
        // What they keep may be all that a pack has, so everything is looked at once more.
        let reader = repository.known_reader(Arc::clone(&survey.whole.catalog));
        let keeping = tokio::task::spawn_blocking(move || {
            reach.keep(&reader, &kept);
            reach
        });
        reach = keeping.await?;
    }
}

/// The contents that hold chunks that are going, in packs that stay, and those packs.
async fn holding(
    repository: &Arc<Repository>,
    plan: &Plan,
    reach: Reach,
    cancel: &CancellationToken,
) -> Result<(Reach, Vec<(ObjectRef, Hash)>), PruneError> {
    let reader = repository.known_reader(Arc::clone(reach.catalog()));
    let (dead, rewritten, cancel) = (plan.dead.clone(), plan.rewritten.clone(), cancel.clone());
    let looking = tokio::task::spawn_blocking(move || {
        let stays = |pack: &Hash| dead.binary_search(pack).is_err() && rewritten.binary_search(pack).is_err();
        let held = reach.holding(&reader, stays, &cancel)?;
        let with_pack = |content: ObjectRef| Some((content, reach.catalog().find(&content)?.pack));
        let held = held.into_iter().filter_map(with_pack).collect();
        Ok((reach, held))
    });
    looking.await?
}

/// With its footer counted as waste, a pack has more of it than without: so only those that look wasteful are asked.
async fn measure_footers(repository: &Repository, packs: &mut [Facts], limits: Limits) -> Result<(), PruneError> {
    let store = &**repository.store();
    let unsure = packs.iter_mut().filter(|facts| facts.is_wasteful(limits));
    let looking = stream::iter(unsure).map(Ok::<_, StoreError>).try_for_each_concurrent(
        store.capabilities().concurrency,
        |facts| async move {
            facts.footer = footer_size(store, &facts.pack, facts.size).await?;
            // Where needed members lie in it, it is none.
            if facts.footer > facts.size.saturating_sub(facts.needed_bytes) {
                facts.footer = 0;
            }
            Ok(())
        },
    );
    Ok(looking.await?)
}

/// What is needed of each pack.
fn facts(survey: &Survey, reach: &Reach) -> Vec<Facts> {
    let is_kept = |pack: &Hash| survey.kept.binary_search(pack).is_ok() || survey.held.contains(pack);
    let new = |(pack, size): &(Hash, u64)| Facts {
        pack: *pack,
        size: *size,
        needed: 0,
        needed_bytes: 0,
        footer: 0,
        is_kept: is_kept(pack),
    };
    let mut packs: Vec<Facts> = survey.packs.iter().map(new).collect();
    let catalog = &survey.whole.catalog;
    let mut need = |pack: &Hash, length: u64| {
        if let Ok(at) = packs.binary_search_by(|facts| facts.pack.cmp(pack)) {
            packs[at].needed += 1;
            packs[at].needed_bytes += length;
        }
    };
    for kind in ObjectKind::ALL {
        let needed = (0..catalog.count(kind) as u32).filter(|number| reach.needs_packed(kind, *number));
        for location in needed.filter_map(|number| catalog.location_at(kind, number)) {
            need(&location.pack, location.length);
        }
    }
    catalog.pointers().values().for_each(|location| need(&location.pack, location.length));
    packs
}

/// What the new catalog names: what is needed, and the contents that stay in their packs, so that the next prune knows of
/// them. Not `unnamed` ones, which lie better elsewhere.
pub(super) fn naming(
    survey: &Survey,
    needed: NeededInPacks,
    plan: &Plan,
    unnamed: &BTreeSet<Numbered>,
) -> NeededInPacks {
    let (catalog, kind) = (&survey.whole.catalog, ObjectKind::Content);
    for number in 0..catalog.count(kind) as u32 {
        let stays = catalog.location_at(kind, number).is_some_and(|location| !plan.removes(&location.pack));
        if stays && !unnamed.contains(&(kind, number)) {
            needed.insert(kind, number);
        }
    }
    needed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(name: u8, size: u64, needed_bytes: u64, footer: u64) -> Facts {
        let pack = Hash::from_bytes([name; 32]);
        Facts { pack, size, needed: needed_bytes.min(3), needed_bytes, footer, is_kept: false }
    }

    const LIMITS: Limits = Limits { max_waste_percent: 30, max_repack_bytes: None };

    fn names(packs: &[Hash]) -> Vec<u8> {
        packs.iter().map(|pack| pack.as_bytes()[0]).collect()
    }

    #[test]
    fn thirty_percent_is_not_yet_too_much_and_a_footer_is_no_waste() {
        let packs = [
            facts(1, 100, 70, 0),
            facts(2, 100, 69, 0),
            facts(3, 200, 70, 100),
            facts(4, 200, 69, 100),
            facts(5, 100, 0, 0),
            facts(6, 100, 0, 20),
            Facts { is_kept: true, ..facts(7, 100, 0, 0) },
        ];
        let plan = plan(&packs, LIMITS, &Forced::new());
        assert_eq!((names(&plan.dead), names(&plan.rewritten)), (vec![5, 6], vec![2, 4]));
        assert_eq!(plan.unused_bytes, 30 + 130);
    }

    #[test]
    fn what_wastes_most_is_rewritten_first_as_far_as_there_is_room() {
        let packs = [facts(1, 100, 60, 0), facts(2, 100, 10, 0), facts(3, 100, 30, 0), facts(4, 100, 20, 0)];
        for (room, expected) in [(9, vec![]), (10, vec![2]), (29, vec![2]), (30, vec![2, 4]), (60, vec![2, 3, 4])] {
            let limits = Limits { max_repack_bytes: Some(room), ..LIMITS };
            assert_eq!(names(&plan(&packs, limits, &Forced::new()).rewritten), expected, "{room}");
        }
    }

    proptest! {
        #[test]
        fn every_pack_has_one_fate_and_no_needed_byte_is_deleted(
            sizes in prop::collection::vec((1u64..1000, 0u64..1000, 0u64..100), 0..40),
            max_waste_percent in 0u8..=100,
            room in prop::option::of(0u64..5000),
        ) {
            let packs: Vec<Facts> = (0u8..)
                .zip(sizes)
                .map(|(name, (size, needed, footer))| facts(name, size + needed + footer, needed, footer))
                .collect();
            let limits = Limits { max_waste_percent, max_repack_bytes: room };
            let forced: Forced = packs.iter().step_by(3).map(|facts| facts.pack).collect();
            let plan = plan(&packs, limits, &forced);
            let rewritten = |facts: &&Facts| plan.rewritten.contains(&facts.pack);
            prop_assert!(packs.iter().all(|facts| (facts.needed == 0) == plan.dead.contains(&facts.pack)));
            let has_cause = |facts: &Facts| facts.needed > 0 && (facts.waste() > 0 || forced.contains(&facts.pack));
            prop_assert!(packs.iter().filter(rewritten).all(has_cause));
            let copied: u64 = packs.iter().filter(rewritten).map(|facts| facts.needed_bytes).sum();
            prop_assert!(room.is_none_or(|room| copied <= room));
            if room.is_none() {
                let stays = |facts: &&Facts| !plan.removes(&facts.pack);
                let may_stay = |facts: &Facts| !facts.is_wasteful(limits) && !forced.contains(&facts.pack);
                prop_assert!(packs.iter().filter(stays).all(may_stay));
            }
        }
    }
}
