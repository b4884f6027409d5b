//! Where each object really lies: the catalog made anew, from the old one where it holds, the footers, and what can be
//! told from the packs themselves.
//!
//! Not everything that is found comes back. What a pack has that is listed as doomed may be damaged, or gone at any moment,
//! and what is named passes for good: such packs are looked into only if something is missing without them, and then each
//! object is proven. A snapshot without a name was lost, or removed on purpose; see [`comes_back`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::packs::{List, carve_packs};
use crate::check::{CheckError, Examined, Problem, pack_key, problem_of};
use crate::object::{Content, Hash, Hasher, ObjectKind, ObjectRef, Snapshot, json};
use crate::pack::{CATALOG_KEY, Catalog, Doomed, Location, Member, PackMembers};
use crate::repository::{LATEST_KEY, ReadError};
use crate::store::StoreErrorKind;

/// A catalog that holds.
pub(super) struct Places {
    pub(super) catalog: Arc<Catalog>,
    /// Objects that the old one did not have there.
    pub(super) recovered: u64,
    /// Entries of the old one that it does not have any more.
    pub(super) dropped: u64,
    /// Packs of which nothing was known, and in which nothing is that anybody could want back.
    pub(super) needless: Vec<Hash>,
    /// Packs of which some is unknown that was not looked through to the end: anything may be in there.
    pub(super) unclear: BTreeSet<Hash>,
    /// Packs of which nothing is known still, because some of their bytes are of nothing that can be told.
    pub(super) torn: BTreeSet<Hash>,
    /// Objects that the catalog says to be where they may be, for that cannot be read.
    pub(super) unread: BTreeSet<ObjectRef>,
}

/// What says where objects are, beside the old catalog.
pub(super) struct Sources {
    /// What footers say: of packs that are not listed as doomed, or of all.
    pub(super) footers: Arc<Catalog>,
    /// What is listed.
    pub(super) doomed: Doomed,
    /// Whether packs are looked into that are listed.
    pub(super) with_listed: bool,
    /// Whether the old catalog is lost or wrong.
    pub(super) is_catalog_bad: bool,
}

/// Finds the place of each object. Blocking.
pub(super) fn find_places(examined: &Examined, sources: &Sources) -> Result<Places, CheckError> {
    let Sources { footers, doomed, .. } = sources;
    let survey = &examined.survey;
    let doubted = doubted(examined);
    let mut members = Members::new();
    let mut add = |object: ObjectRef, place: &Location| {
        // Catalogs have nothing beyond 4 GiB in a pack.
        let (offset, length) = (place.offset as u32, place.length as u32);
        members.entry(place.pack).or_default().push(Member { object, offset, length });
    };
    let mut missing: BTreeSet<ObjectRef> = examined.findings.bad.keys().copied().collect();
    let mut unread = BTreeSet::new();
    for (object, place) in survey.catalog.located() {
        let is_inside = survey.pack_size(&place.pack).is_some_and(|size| place.offset + place.length <= size);
        if !doubted.contains(&object) {
            if is_inside {
                add(object, &place);
            }
            continue;
        }
        let places = [Some(place), footers.find(&object)].into_iter().flatten();
        let (mut right, mut unknown) = (None, None);
        for place in places {
            match is_at(examined, &object, &place)? {
                Some(true) => {
                    right = Some(place);
                    break;
                }
                Some(false) => {}
                None => unknown = unknown.or(Some(place)),
            }
        }
        if right.is_some() {
            missing.remove(&object);
        } else {
            missing.insert(object);
        }
        if right.is_none() && unknown.is_some() {
            unread.insert(object);
        }
        if let Some(place) = right.or(unknown) {
            add(object, &place);
        }
    }
    let mut unclear = BTreeSet::new();
    for (object, place) in footers.located().filter(|(object, _)| !survey.catalog.contains(object)) {
        let is_doubted = doubted.contains(&object) || doomed.has_pack(&place.pack);
        match if is_doubted { is_at(examined, &object, &place)? } else { Some(true) } {
            Some(true) => add(object, &place),
            Some(false) => {}
            // What has a name passes for good.
            None => _ = unclear.insert(place.pack),
        }
    }
    let pointers = survey.catalog.pointers().iter().filter(|(key, place)| {
        *key == LATEST_KEY && survey.pack_size(&place.pack).is_some_and(|size| place.offset + place.length <= size)
    });
    let pointers: BTreeMap<String, Location> = pointers.map(|(key, place)| (key.clone(), *place)).collect();
    let is_hit = !missing.is_empty() || sources.is_catalog_bad || examined.findings.concerns(CATALOG_KEY);
    let (mut seen, mut torn) = (BTreeSet::new(), BTreeSet::new());
    if is_hit || !survey.unknown.is_empty() {
        let found = carve_packs(examined, sources, is_hit, &members, &pointers)?;
        (seen, torn) = (found.seen, found.torn);
        unclear.extend(found.unclear);
        let placed = Catalog::default().with(listed(members.clone()));
        let nameless = survey.unknown.iter().copied().filter(|pack| !members.contains_key(pack));
        let nameless: BTreeSet<Hash> = nameless.collect();
        for (pack, member) in found.members.into_iter().filter(|(_, member)| !placed.contains(&member.object)) {
            members.entry(pack).or_default().push(member);
        }
        name_lists(examined, &mut members, found.lists, &mut unclear)?;
        let mut is_wanted = is_hit;
        let named = Arc::new(Catalog::default().with(listed(members.clone())));
        for (pack, member) in found.snapshots {
            let is_new = !placed.contains(&member.object);
            if is_new && comes_back(examined, sources, &named, (pack, member), found.is_sure)? {
                members.entry(pack).or_default().push(member);
                is_wanted = true;
            }
        }
        if !is_wanted {
            // What has a name and is not needed goes with the next prune.
            members.retain(|pack, _| !nameless.contains(pack));
        }
    }
    let catalog = Catalog::default().with(listed(members)).with_pointers(pointers);
    let mut named: BTreeSet<Hash> = catalog.packs().iter().copied().collect();
    named.extend(catalog.pointers().values().map(|place| place.pack));
    torn.retain(|pack| !named.contains(pack));
    // While one is not clear, another one may have what a snapshot in there needs.
    let is_clear = torn.is_empty() && survey.unknown.iter().all(|pack| !unclear.contains(pack));
    let needless = seen.into_iter().filter(|pack| is_clear && !named.contains(pack)).collect();
    let differs = |(object, place): &(ObjectRef, Location)| catalog.find(object) != Some(*place);
    let dropped = survey.stored.located().filter(differs).count() as u64;
    let is_new = |(object, place): &(ObjectRef, Location)| survey.stored.find(object) != Some(*place);
    let recovered = catalog.located().filter(is_new).count() as u64;
    Ok(Places { catalog: Arc::new(catalog), recovered, dropped, needless, unclear, torn, unread })
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

/// Whether an object lies at a place; `None` if that cannot be read, for a reason that says nothing of the bytes.
fn is_at(examined: &Examined, object: &ObjectRef, place: &Location) -> Result<Option<bool>, CheckError> {
    examined.stop.check()?;
    let is_inside = examined.survey.pack_size(&place.pack).is_some_and(|size| place.offset + place.length <= size);
    if !is_inside {
        return Ok(Some(false));
    }
    let repository = examined.reader.repository();
    let range = place.offset..place.offset + place.length;
    let key = pack_key(&place.pack);
    let sealed = match tokio::runtime::Handle::current().block_on(repository.store().get_range(&key, range)) {
        Ok(sealed) => sealed,
        Err(error) => {
            let says_nothing = error.kind == StoreErrorKind::Other;
            problem_of(ReadError::Store(error))?;
            return Ok((!says_nothing).then_some(false));
        }
    };
    let Ok(plain) = repository.prove(object, &sealed) else { return Ok(Some(false)) };
    if object.kind != ObjectKind::Content {
        return Ok(Some(true));
    }
    let Ok(content) = json::decode::<Content>(&plain) else { return Ok(Some(false)) };
    if !content.chunks.is_empty() {
        // What names it is the hash of all of its chunks: that is proven when they have their places.
        return Ok(Some(true));
    }
    let hash = content.inline_data().map(|data| Hash::of(&data));
    Ok(Some(hash.is_ok_and(|hash| hash == object.hash || repository.content_ref(&hash) == *object)))
}

/// Whether a snapshot that has no name in the catalog, and was found in a pack, was lost and not removed. A program that
/// overwrites the catalog loses the names of whole packs. So where the catalog is sound, one was lost if an index still
/// names it; or if nothing else is known of its pack either, and its root is there, or may be where nobody could look. What
/// else it lacks is told then, and it is repaired like others. Whoever removed one on purpose has swept its root, or has
/// listed it.
fn comes_back(
    examined: &Examined,
    sources: &Sources,
    named: &Arc<Catalog>,
    (pack, member): (Hash, Member),
    is_sure: bool,
) -> Result<bool, CheckError> {
    let (survey, snapshot) = (&examined.survey, member.object);
    let is_bad = examined.findings.bad.contains_key(&snapshot);
    if sources.doomed.is_forgotten(&snapshot) || sources.doomed.is_needless(&pack) {
        return Ok(false);
    }
    if sources.is_catalog_bad || is_bad {
        return Ok(true);
    }
    let is_lost = survey.unknown.binary_search(&pack).is_ok() && survey.plain_size(&snapshot).is_none();
    Ok(is_lost && (!is_sure || has_root(examined, named, (pack, member))?))
}

/// Whether the root of a snapshot is there, damaged or not, where the catalog says.
fn has_root(examined: &Examined, named: &Arc<Catalog>, (pack, member): (Hash, Member)) -> Result<bool, CheckError> {
    examined.stop.check()?;
    let repository = examined.reader.repository();
    let range = member.offset.into()..u64::from(member.offset) + u64::from(member.length);
    let stored = tokio::runtime::Handle::current().block_on(repository.store().get_range(&pack_key(&pack), range));
    let plain = stored.map_err(ReadError::Store).and_then(|sealed| repository.prove(&member.object, &sealed));
    let snapshot = match plain {
        Ok(plain) => json::decode::<Snapshot>(&plain),
        Err(why) => {
            // A moment ago it could be read.
            problem_of(why)?;
            return Ok(true);
        }
    };
    let Some(root) = snapshot.ok().and_then(|snapshot| snapshot.root) else { return Ok(true) };
    match repository.known_reader(Arc::clone(named)).read(&root) {
        Ok(_) => Ok(true),
        Err(why) => Ok(problem_of(why)? != Problem::Missing),
    }
}

/// Names lists of chunks by the hash of all of these. Where the chunks may be good, and cannot be read, the list's pack is
/// not clear either.
fn name_lists(
    examined: &Examined,
    members: &mut Members,
    lists: Vec<List>,
    unclear: &mut BTreeSet<Hash>,
) -> Result<(), CheckError> {
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
            Err(why) => {
                let says_nothing = matches!(&why, ReadError::Store(error) if error.kind == StoreErrorKind::Other);
                problem_of(why)?;
                if says_nothing || !unclear.is_empty() {
                    unclear.insert(pack);
                }
            }
        }
    }
    Ok(())
}

/// What is in each pack.
pub(super) type Members = BTreeMap<Hash, Vec<Member>>;

fn listed(members: Members) -> Vec<PackMembers> {
    members.into_iter().map(|(pack, members)| PackMembers { pack, members }).collect()
}
