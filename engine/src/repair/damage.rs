//! What is damaged, and where: packs, and objects by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::footers::Footers;
use super::look::{Look, PackState, State, needing};
use super::{RepairError, blocking};
use crate::check::{
    CheckError, Examined, LostContents, Problem, Trees, lost_contents, pack_key, problem_of, prove_content,
};
use crate::lock::LeaseWatch;
use crate::object::{Content, Hash, ObjectKind, ObjectRef};
use crate::pack::{Catalog, Location, PackMembers};
use crate::repository::{ReadError, Repository};
use crate::store::{StoreError, StoreResult, unless_retained};

/// What is damaged.
pub(super) struct Damage {
    /// Packs that there are, and whose bytes are not what they were, or cannot be read; sorted.
    pub(super) packs: Vec<Hash>,
    /// Objects that lie by themselves.
    pub(super) plain: Vec<ObjectRef>,
    /// The contents that are lost, also by their chunks.
    pub(super) contents: LostContents,
    /// Everything that cannot be read.
    bad: BTreeSet<ObjectRef>,
    /// Snapshots of it that may be good. The catalog goes on naming them, for what nobody names does not come back; and no
    /// backup takes a snapshot for present.
    unread_snapshots: BTreeSet<ObjectRef>,
    /// Whether there are packs that cannot be read, in which anything may lie that is nowhere else.
    pub(super) is_blind: bool,
}

impl Damage {
    /// Finds it, and proves what is needed of damaged packs. Blocking.
    ///
    /// # Errors
    /// Also if something is good now that was not a moment ago.
    pub(super) fn find(examined: &mut Examined, footers: &Footers) -> Result<Self, RepairError> {
        let suspects = packs_to_prove(examined, footers);
        prove_contents(examined, &suspects)?;
        prove_chunks(examined, &suspects)?;
        let contents = lost_contents(examined.trees_of(), &examined.findings)?;
        // What makes no sense has the bytes that were written: its snapshots are damaged, and it is not.
        let malformed = examined.findings.malformed();
        let unreadable = examined.findings.bad.iter().filter(|(_, fault)| !malformed.contains(fault));
        let mut bad: BTreeSet<ObjectRef> = unreadable.map(|(object, _)| *object).collect();
        // A content whose chunk is lost is no good either: a backup that found it would not store the chunk again.
        bad.extend(contents.keys().map(|number| examined.contents.numbers.object(*number)));
        let (packs, is_blind) = damaged_packs(examined, footers, suspects, &bad)?;
        let is_blind = is_blind || footers.is_blind;
        let states = Look::new(examined, is_blind).states(&bad)?;
        if let Some((object, _)) = states.iter().find(|(_, state)| **state == State::Good) {
            return Err(RepairError::Unsteady(object.key()));
        }
        let is_unread =
            |(object, state): &(&ObjectRef, &State)| object.kind == ObjectKind::Snapshot && **state == State::Unknown;
        let unread_snapshots = states.iter().filter(is_unread).map(|(object, _)| *object).collect();
        let plain = bad.iter().filter(|object| object.kind.is_data() && examined.survey.plain_size(object).is_some());
        Ok(Self { packs, plain: plain.copied().collect(), contents, bad, unread_snapshots, is_blind })
    }

    /// How many packs and objects it is.
    pub(super) fn count(&self) -> u64 {
        (self.packs.len() + self.plain.len()) as u64
    }

    /// The catalog without what is lost.
    pub(super) fn catalog_without_bad(&self, examined: &Examined) -> Catalog {
        let catalog = &examined.survey.catalog;
        let bad = &self.bad - &self.unread_snapshots;
        if !bad.iter().any(|object| catalog.contains(object)) {
            return (**catalog).clone();
        }
        let mut members = all_members(catalog);
        for pack in &mut members {
            pack.members.retain(|member| !bad.contains(&member.object));
        }
        Catalog::default().with(members).with_pointers(catalog.pointers().clone())
    }

    /// Whether a catalog says anything else than the stored one.
    pub(super) fn differs_from_stored(&self, examined: &Examined, catalog: &Catalog) -> bool {
        !catalog.located().eq(examined.survey.stored.located())
            || catalog.pointers() != examined.survey.stored.pointers()
    }

    /// What is bad of what lies in a pack, and where.
    pub(super) fn bad_in(&self, examined: &Examined, pack: &Hash) -> Vec<(ObjectRef, Location)> {
        let place = |object: &ObjectRef| Some((*object, examined.survey.catalog.find(object)?));
        self.bad.iter().filter_map(place).filter(|(_, place)| place.pack == *pack).collect()
    }

    /// The snapshots among `wanted` that certainly need what is lost: nothing that they need may be good. Blocking.
    pub(super) fn certain(
        &self,
        examined: &Examined,
        wanted: &BTreeSet<ObjectRef>,
    ) -> Result<BTreeSet<ObjectRef>, RepairError> {
        // Those that are only remembered count as read everywhere else.
        let remembered = wanted & &examined.remembered;
        let states = Look::new(examined, self.is_blind).states(&(&self.bad | &remembered))?;
        let doubtful = states.into_iter().filter(|(_, state)| *state != State::Lost).map(|(object, _)| object);
        let kept = needing(examined, doubtful, wanted)?;
        Ok(wanted - &kept)
    }

    /// Removes what is still found to be damaged: packs that have the very bytes of which everything good was copied (the
    /// hashes of these are `judged`), and objects by themselves. Gives how many those were, and adds to `retained` what the
    /// store says of those that stay.
    pub(super) async fn remove(
        self: &Arc<Self>,
        repository: &Repository,
        examined: &Arc<Examined>,
        judged: BTreeMap<Hash, Hash>,
        retained: &mut Vec<StoreError>,
        lease: &LeaseWatch,
    ) -> Result<u64, RepairError> {
        let mut removed = 0;
        let mut note = |deleted: StoreResult<()>| {
            match unless_retained(deleted)? {
                Some(error) => retained.push(error),
                None => removed += 1,
            }
            Ok::<_, RepairError>(())
        };
        for (pack, hash) in judged {
            let examined = Arc::clone(examined);
            let now = blocking(move || Ok(Look::new(&examined, false).pack(&pack)?)).await?;
            if now == PackState::Is(hash) {
                lease.confirm().await?;
                note(repository.store().delete(&pack_key(&pack)).await)?;
            }
        }
        for object in &self.plain {
            let (examined, object, is_blind) = (Arc::clone(examined), *object, self.is_blind);
            let now = blocking(move || Ok(Look::new(&examined, is_blind).state(&object)?)).await?;
            if now == State::Lost {
                lease.confirm().await?;
                note(repository.store().delete(&object.key()).await)?;
            }
        }
        Ok(removed)
    }
}

/// Every pack and what the catalog says is in it.
pub(super) fn all_members(catalog: &Catalog) -> Vec<PackMembers> {
    let mut packs: Vec<PackMembers> =
        catalog.packs().iter().map(|pack| PackMembers { pack: *pack, members: Vec::new() }).collect();
    for (object, place) in catalog.located() {
        if let Some((number, _)) = catalog.order(&object) {
            let (offset, length) = (place.offset as u32, place.length as u32);
            packs[number as usize].members.push(crate::pack::Member { object, offset, length });
        }
    }
    packs
}

/// Packs that a fault names, and those in which something bad lies or should lie; sorted.
fn packs_to_prove(examined: &Examined, footers: &Footers) -> Vec<Hash> {
    let (survey, findings) = (&examined.survey, &examined.findings);
    let named = findings.objects().filter_map(|object| object.strip_prefix("packs/")?.parse::<Hash>().ok());
    let mut packs: BTreeSet<Hash> = named.collect();
    let misplaced = examined.reader.own_detours();
    let misplaced = misplaced.iter().filter_map(|detour| detour.path.parse::<ObjectRef>().ok());
    let malformed = findings.malformed();
    let bad = findings.bad.iter().filter(|(_, fault)| !malformed.contains(fault)).map(|(object, _)| *object);
    for object in bad.chain(misplaced) {
        let catalogs = [&*survey.catalog, &*survey.stored, &footers.catalog];
        packs.extend(catalogs.into_iter().filter_map(|catalog| catalog.find(&object)).map(|place| place.pack));
    }
    packs.into_iter().filter(|pack| survey.pack_size(pack).is_some()).collect()
}

/// Packs whose bytes are not what they were, or cannot be read, and those in which something bad lies or is said to lie by
/// their footers: whoever believes these would take it for present. Also gives whether there are some that cannot be read.
fn damaged_packs(
    examined: &Examined,
    footers: &Footers,
    suspects: Vec<Hash>,
    bad: &BTreeSet<ObjectRef>,
) -> Result<(Vec<Hash>, bool), RepairError> {
    let places = bad.iter().flat_map(|object| {
        // A list of lost chunks is itself as it was, and only a footer brings it back.
        let by_catalog = examined.findings.bad.contains_key(object).then(|| examined.survey.catalog.find(object));
        [by_catalog.flatten(), footers.catalog.find(object)]
    });
    let mut packs: BTreeSet<Hash> = places.flatten().map(|place| place.pack).collect();
    packs.retain(|pack| examined.survey.pack_size(pack).is_some());
    let (look, mut is_blind) = (Look::new(examined, false), false);
    for pack in suspects {
        let state = look.pack(&pack)?;
        is_blind |= state == PackState::Unknown;
        if state != PackState::Is(pack) {
            packs.insert(pack);
        }
    }
    Ok((packs.into_iter().collect(), is_blind))
}

/// Proves the contents in damaged packs by their data.
fn prove_contents(examined: &mut Examined, packs: &[Hash]) -> Result<(), CheckError> {
    let catalog = &examined.survey.catalog;
    let Trees { reader, contents, .. } = examined.trees_of();
    let needed = contents.needed().map(|number| (contents.numbers.object(number), contents.size(number)));
    let in_damaged: Vec<(ObjectRef, Option<u64>)> = needed
        .filter(|(content, _)| !examined.findings.bad.contains_key(content))
        .filter(|(content, _)| catalog.find(content).is_some_and(|place| packs.binary_search(&place.pack).is_ok()))
        .collect();
    let mut lost = Vec::new();
    examined.stop.each(
        &in_damaged,
        8,
        |(content, size)| {
            let proven = reader.read(content).and_then(|plain| prove_content(reader, content, &plain));
            match proven {
                Ok(bytes) if Some(bytes) == *size => Ok(None),
                Ok(_) => Ok(Some((*content, Problem::Damaged("its data are not as long as its file".to_owned())))),
                Err(ReadError::Damaged { object, problem }) => Ok(Some((object, Problem::Damaged(problem)))),
                Err(ReadError::Missing(object)) => Ok(Some((object, Problem::Missing))),
                Err(why) => Ok(Some((*content, problem_of(why)?))),
            }
        },
        |_, found| lost.extend(found),
    )?;
    for (object, problem) in lost {
        examined.findings.lose(&examined.survey, object, problem);
    }
    Ok(())
}

/// Proves the chunks in damaged packs, and all of lost contents: a check is content with the first lost one of each.
fn prove_chunks(examined: &mut Examined, packs: &[Hash]) -> Result<(), CheckError> {
    let contents = &examined.contents;
    let needed = contents.needed_chunks.iter().map(|number| contents.chunks.object(number));
    let is_in = |chunk: &ObjectRef| {
        examined.survey.catalog.find(chunk).is_some_and(|place| packs.binary_search(&place.pack).is_ok())
    };
    let mut doubted: BTreeSet<ObjectRef> = needed.filter(is_in).collect();
    for number in lost_contents(examined.trees_of(), &examined.findings)?.into_keys() {
        examined.stop.check()?;
        let list = examined.reader.read_json::<Content>(&contents.numbers.object(number));
        doubted.extend(list.map(|list| list.chunks).unwrap_or_default());
    }
    doubted.retain(|chunk| chunk.kind == ObjectKind::Chunk && !examined.findings.bad.contains_key(chunk));
    let doubted: Vec<ObjectRef> = doubted.into_iter().collect();
    let mut lost = Vec::new();
    examined.stop.each(
        &doubted,
        8,
        |chunk| examined.reader.read(chunk).map_or_else(|why| Ok(Some(problem_of(why)?)), |_| Ok(None)),
        |chunk, problem| lost.extend(problem.map(|problem| (*chunk, problem))),
    )?;
    for (chunk, problem) in lost {
        examined.findings.lose(&examined.survey, chunk, problem);
    }
    Ok(())
}
