//! Where each object really lies: the catalog made anew, from the old one where it holds, the footers, and what can be
//! told from the packs themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::carve::carve;
use crate::check::{CheckError, Examined, pack_key, problem_of};
use crate::object::{Content, Hash, Hasher, ObjectKind, ObjectRef, json};
use crate::pack::{CATALOG_KEY, Catalog, Location, Member, PackMembers};
use crate::repository::{LATEST_KEY, ReadError};

/// A catalog that holds.
pub(super) struct Places {
    pub(super) catalog: Arc<Catalog>,
    /// Objects that the old one did not have there.
    pub(super) recovered: u64,
    /// Entries of the old one that it does not have any more.
    pub(super) dropped: u64,
}

/// Finds the place of each object. `footers` is what the footers of all packs say. Blocking.
pub(super) fn find_places(examined: &Examined, footers: &Catalog) -> Result<Places, CheckError> {
    let survey = &examined.survey;
    let doubted = doubted(examined);
    let mut members = Members::new();
    let mut add = |object: ObjectRef, place: &Location| {
        // Catalogs have nothing beyond 4 GiB in a pack.
        let (offset, length) = (place.offset as u32, place.length as u32);
        members.entry(place.pack).or_default().push(Member { object, offset, length });
    };
    let mut missing: BTreeSet<ObjectRef> = examined.findings.bad.keys().copied().collect();
    for (object, place) in survey.catalog.located() {
        let is_inside = survey.pack_size(&place.pack).is_some_and(|size| place.offset + place.length <= size);
        if !doubted.contains(&object) {
            if is_inside {
                add(object, &place);
            }
            continue;
        }
        let places = [Some(place), footers.find(&object)].into_iter().flatten();
        let mut right = None;
        for place in places {
            if right.is_none() && is_at(examined, &object, &place)? {
                right = Some(place);
            }
        }
        match right {
            Some(place) => {
                missing.remove(&object);
                add(object, &place);
            }
            None => _ = missing.insert(object),
        }
    }
    let known = |catalog: &Catalog, object: &ObjectRef| catalog.contains(object);
    for (object, place) in footers.located() {
        if !known(&survey.catalog, &object) && (!doubted.contains(&object) || is_at(examined, &object, &place)?) {
            add(object, &place);
        }
    }
    let pointers = survey.catalog.pointers().iter().filter(|(key, place)| {
        *key == LATEST_KEY && survey.pack_size(&place.pack).is_some_and(|size| place.offset + place.length <= size)
    });
    let pointers: BTreeMap<String, Location> = pointers.map(|(key, place)| (key.clone(), *place)).collect();
    if !missing.is_empty() || survey.is_catalog_lost || examined.findings.concerns(CATALOG_KEY) {
        let lists = carve_packs(examined, &mut members, &pointers)?;
        name_lists(examined, &mut members, lists)?;
    }
    let catalog = Catalog::default().with(listed(members)).with_pointers(pointers);
    let differs = |(object, place): &(ObjectRef, Location)| catalog.find(object) != Some(*place);
    let dropped = survey.stored.located().filter(differs).count() as u64;
    let is_new = |(object, place): &(ObjectRef, Location)| survey.stored.find(object) != Some(*place);
    let recovered = catalog.located().filter(is_new).count() as u64;
    Ok(Places { catalog: Arc::new(catalog), recovered, dropped })
}

/// Objects whose places have to be proven: those that are bad there, and all in packs without footers if the catalog itself
/// was hit.
fn doubted(examined: &Examined) -> BTreeSet<ObjectRef> {
    let (survey, findings) = (&examined.survey, &examined.findings);
    let mut doubted: BTreeSet<ObjectRef> = findings.bad.keys().copied().collect();
    doubted.extend(&findings.misplaced);
    doubted.extend(examined.reader.own_detours().iter().filter_map(|detour| detour.path.parse::<ObjectRef>().ok()));
    if findings.concerns(CATALOG_KEY) {
        let is_footerless = |place: &Location| survey.with_footer.binary_search(&place.pack).is_err();
        let packed = survey.catalog.located().filter(|(_, place)| is_footerless(place));
        doubted.extend(packed.map(|(object, _)| object));
    }
    doubted
}

/// Whether an object lies at a place.
fn is_at(examined: &Examined, object: &ObjectRef, place: &Location) -> Result<bool, CheckError> {
    examined.stop.check()?;
    let is_inside = examined.survey.pack_size(&place.pack).is_some_and(|size| place.offset + place.length <= size);
    if !is_inside {
        return Ok(false);
    }
    let repository = examined.reader.repository();
    let range = place.offset..place.offset + place.length;
    let key = pack_key(&place.pack);
    let opened = match tokio::runtime::Handle::current().block_on(repository.store().get_range(&key, range)) {
        Ok(sealed) => repository.prove(object, &sealed),
        Err(error) => Err(ReadError::Store(error)),
    };
    let plain = match opened {
        Ok(plain) => plain,
        Err(why) => {
            problem_of(why)?;
            return Ok(false);
        }
    };
    if object.kind != ObjectKind::Content {
        return Ok(true);
    }
    let Ok(content) = json::decode::<Content>(&plain) else { return Ok(false) };
    if !content.chunks.is_empty() {
        // What names it is the hash of all of its chunks: that is proven when they have their places.
        return Ok(true);
    }
    let hash = content.inline_data().map(|data| Hash::of(&data));
    Ok(hash.is_ok_and(|hash| hash == object.hash || repository.content_ref(&hash) == *object))
}

/// Looks for objects where packs without footers have bytes that nothing is known of.
fn carve_packs(
    examined: &Examined,
    members: &mut Members,
    pointers: &BTreeMap<String, Location>,
) -> Result<Vec<List>, CheckError> {
    /// Larger packs nobody writes.
    const LARGEST: u64 = 64 << 20;
    let (survey, mut lists) = (&examined.survey, Vec::new());
    for &(pack, size) in survey.packs.iter().filter(|(_, size)| *size <= LARGEST) {
        if survey.with_footer.binary_search(&pack).is_ok() {
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
        let store = examined.reader.repository().store();
        let bytes = match tokio::runtime::Handle::current().block_on(store.get(&pack_key(&pack))) {
            Ok(bytes) => bytes,
            Err(error) => {
                problem_of(ReadError::Store(error))?;
                continue;
            }
        };
        for (from, to) in gaps.into_iter().filter(|gap| gap.1 <= bytes.len() as u64) {
            let carved = carve(examined.reader.repository(), &bytes, from as usize, to as usize);
            if !carved.members.is_empty() {
                members.entry(pack).or_default().extend(carved.members);
            }
            lists.extend(carved.lists.into_iter().map(|(content, offset, length)| (pack, content, offset, length)));
        }
    }
    Ok(lists)
}

/// Names lists of chunks by the hash of all of these.
fn name_lists(examined: &Examined, members: &mut Members, lists: Vec<List>) -> Result<(), CheckError> {
    if lists.is_empty() {
        return Ok(());
    }
    let repository = examined.reader.repository();
    let reader = repository.known_reader(Arc::new(Catalog::default().with(listed(members.clone()))));
    for (pack, content, offset, length) in lists {
        examined.stop.check()?;
        let mut hasher = Hasher::new();
        let read = content.chunks.iter().try_for_each(|chunk| reader.read(chunk).map(|bytes| hasher.update(&bytes)));
        match read {
            Ok(()) => {
                let object = repository.content_ref(&hasher.finish());
                members.entry(pack).or_default().push(Member { object, offset, length });
            }
            Err(why) => _ = problem_of(why)?,
        }
    }
    Ok(())
}

/// What is in each pack.
type Members = BTreeMap<Hash, Vec<Member>>;

/// A list of chunks without a name: its pack, itself, where it begins and its length.
type List = (Hash, Content, u32, u32);

fn listed(members: Members) -> Vec<PackMembers> {
    members.into_iter().map(|(pack, members)| PackMembers { pack, members }).collect()
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
