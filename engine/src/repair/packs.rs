//! Looking into packs without footers where they have bytes that nothing is known of.

use std::collections::{BTreeMap, BTreeSet};

use super::carve::carve;
use super::places::{Members, Sources};
use crate::check::{CheckError, Examined, pack_key, problem_of};
use crate::object::{Content, Hash};
use crate::pack::{CATALOG_KEY, Location, Member};
use crate::repository::ReadError;

/// A list of chunks without a name: its pack, itself, where it begins and its length.
pub(super) type List = (Hash, Content, u32, u32);

/// What was found in packs themselves.
#[derive(Default)]
pub(super) struct Found {
    pub(super) members: Vec<(Hash, Member)>,
    pub(super) snapshots: Vec<(Hash, Member)>,
    pub(super) lists: Vec<List>,
    /// Packs of which nothing was known, and that were looked through to the end.
    pub(super) seen: BTreeSet<Hash>,
    /// The same, where some bytes are of nothing that can be told beside others that are.
    pub(super) torn: BTreeSet<Hash>,
    /// Packs that were not looked through to the end.
    pub(super) unclear: BTreeSet<Hash>,
    /// Whether what was not found is in no pack of which nothing was known.
    pub(super) is_sure: bool,
}

/// Looks for objects where packs without footers have bytes that nothing is known of: in all of them if something `is_hit`,
/// else in those of which nothing at all is known.
pub(super) fn carve_packs(
    examined: &Examined,
    sources: &Sources,
    is_hit: bool,
    members: &Members,
    pointers: &BTreeMap<String, Location>,
) -> Result<Found, CheckError> {
    /// Larger packs nobody writes.
    const LARGEST: u64 = 64 << 20;
    let (survey, repository) = (&examined.survey, examined.reader.repository());
    let is_unknown = |pack: &Hash| survey.unknown.binary_search(pack).is_ok();
    let too_large = survey.packs.iter().filter(|(pack, size)| *size > LARGEST && is_unknown(pack));
    let mut found = Found { unclear: too_large.map(|(pack, _)| *pack).collect(), ..Found::default() };
    let is_left = |pack: &Hash| sources.doomed.is_damaged(pack) && !members.contains_key(pack);
    found.is_sure = found.unclear.is_empty() && !survey.packs.iter().any(|(pack, _)| is_left(pack));
    let with_footer: BTreeSet<&Hash> = sources.footers.packs().iter().chain(&survey.with_footer).collect();
    let is_left_out = |pack: &Hash| {
        let is_listed = !members.contains_key(pack) && sources.doomed.has_pack(pack);
        is_listed && !sources.with_listed || !is_hit && !is_unknown(pack)
    };
    for &(pack, size) in survey.packs.iter().filter(|(_, size)| *size <= LARGEST) {
        if with_footer.contains(&pack) || is_left_out(&pack) {
            continue;
        }
        examined.stop.check()?;
        let known = members.get(&pack).map(Vec::as_slice).unwrap_or_default();
        let mut taken: Vec<(u64, u64)> = known
            .iter()
            .map(|member| (member.offset.into(), u64::from(member.offset) + u64::from(member.length)))
            .collect();
        let own = pointers.values().filter(|place| place.pack == pack);
        taken.extend(own.map(|place| (place.offset, place.offset + place.length)));
        let gaps = gaps(taken, size);
        if gaps.is_empty() {
            continue;
        }
        let bytes = match tokio::runtime::Handle::current().block_on(repository.store().get(&pack_key(&pack))) {
            Ok(bytes) => bytes,
            Err(error) => {
                problem_of(ReadError::Store(error))?;
                found.is_sure &= !is_unknown(&pack);
                found.unclear.insert(pack);
                continue;
            }
        };
        let (mut is_seen, mut unexplained) = (bytes.len() as u64 == size, 0);
        let (mut has_some, mut has_data) = (false, false);
        for (from, to) in gaps.into_iter().filter(|gap| gap.1 <= bytes.len() as u64) {
            let carved = carve(repository, &examined.stop, &bytes, (from as usize, to as usize))?;
            is_seen &= !carved.gave_up || is_explained(examined, sources, &pack, (from, to));
            unexplained += carved.unexplained;
            has_some |= !carved.members.is_empty() || !carved.lists.is_empty();
            has_data |= !carved.lists.is_empty();
            for member in carved.members {
                let is_data = member.object.kind.is_data();
                has_data |= is_data;
                let of_its_kind = if is_data { &mut found.members } else { &mut found.snapshots };
                of_its_kind.push((pack, member));
            }
            let lists = carved.lists.into_iter();
            found.lists.extend(lists.map(|(content, offset, length)| (pack, content, offset, length)));
        }
        if !is_seen {
            found.unclear.insert(pack);
        }
        if is_unknown(&pack) {
            // Where nothing is encrypted, anything passes for data.
            let tells_all = unexplained == 0 && (repository.marker().encrypted || !has_data);
            found.is_sure &= is_seen && tells_all;
            let is_torn = is_seen && unexplained > 0 && has_some;
            let of_its_kind = if is_torn { &mut found.torn } else { &mut found.seen };
            of_its_kind.extend(is_seen.then_some(pack));
        }
    }
    Ok(found)
}

/// Whether the catalog, if it holds, says what all these bytes of a pack are.
fn is_explained(examined: &Examined, sources: &Sources, pack: &Hash, (from, to): (u64, u64)) -> bool {
    if sources.is_catalog_bad || examined.findings.concerns(CATALOG_KEY) {
        return false;
    }
    let stored = &examined.survey.stored;
    let places = stored.located().map(|(_, place)| place).chain(stored.pointers().values().copied());
    let of_pack = places.filter(|place| place.pack == *pack).map(|place| (place.offset, place.offset + place.length));
    let clipped = of_pack.filter(|place| place.1 > from && place.0 < to).map(|place| (place.0, place.1.min(to)));
    gaps([(0, from)].into_iter().chain(clipped).collect(), to).is_empty()
}

/// What is not taken of so many bytes.
fn gaps(mut taken: Vec<(u64, u64)>, size: u64) -> Vec<(u64, u64)> {
    taken.sort_unstable();
    taken.push((size, size));
    let (mut at, mut gaps) = (0, Vec::new());
    for (from, to) in taken {
        if from > at {
            gaps.push((at, from));
        }
        at = at.max(to);
    }
    gaps
}
