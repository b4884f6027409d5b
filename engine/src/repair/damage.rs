//! What is damaged, and where: packs, and objects by themselves.

use std::collections::BTreeSet;

use crate::check::{
    CheckError, Examined, LostContents, Problem, Trees, lost_contents, pack_key, problem_of, prove_content,
};
use crate::lock::LeaseWatch;
use crate::object::{Hash, ObjectRef};
use crate::pack::{Catalog, PackMembers};
use crate::repository::{ReadError, Repository, RepositoryError};

use super::RepairError;

/// What is damaged.
pub(super) struct Damage {
    /// Packs that there are, and whose bytes are not what they were; sorted.
    pub(super) packs: Vec<Hash>,
    /// Objects that lie by themselves.
    pub(super) plain: Vec<ObjectRef>,
    /// The contents that are lost, also by their chunks.
    pub(super) contents: LostContents,
    /// Everything that is lost.
    bad: BTreeSet<ObjectRef>,
}

impl Damage {
    /// Finds it, and proves the contents in damaged packs. Blocking.
    pub(super) fn find(examined: &mut Examined) -> Result<Self, RepairError> {
        let packs = damaged_packs(examined);
        prove_contents(examined, &packs)?;
        let contents = lost_contents(examined.trees_of(), &examined.findings)?;
        let mut bad: BTreeSet<ObjectRef> = examined.findings.bad.keys().copied().collect();
        // A content whose chunk is lost is no good either: a backup that found it would not store the chunk again.
        bad.extend(contents.keys().map(|number| examined.contents.numbers.object(*number)));
        let plain = bad.iter().filter(|object| object.kind.is_data() && examined.survey.plain_size(object).is_some());
        Ok(Self { packs, plain: plain.copied().collect(), contents, bad })
    }

    /// How many packs and objects it is.
    pub(super) fn count(&self) -> u64 {
        (self.packs.len() + self.plain.len()) as u64
    }

    /// The catalog without what is lost.
    pub(super) fn catalog_without_bad(&self, examined: &Examined) -> Catalog {
        let catalog = &examined.survey.catalog;
        let bad = &self.bad;
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

    /// Removes it.
    pub(super) async fn remove(&self, repository: &Repository, lease: &LeaseWatch) -> Result<u64, RepositoryError> {
        let keys = self.packs.iter().map(pack_key).chain(self.plain.iter().map(ObjectRef::key));
        let mut removed = 0;
        for key in keys {
            lease.confirm().await?;
            repository.store().delete(&key).await?;
            removed += 1;
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

/// Packs that a fault names, and those that a damaged object lies in.
fn damaged_packs(examined: &Examined) -> Vec<Hash> {
    let (survey, findings) = (&examined.survey, &examined.findings);
    let exists = |pack: &Hash| survey.pack_size(pack).is_some();
    let named = findings.objects().filter_map(|object| object.strip_prefix("packs/")?.parse::<Hash>().ok());
    let mut packs: BTreeSet<Hash> = named.filter(exists).collect();
    let misplaced = examined.reader.own_detours();
    let misplaced = misplaced.iter().filter_map(|detour| detour.path.parse::<ObjectRef>().ok());
    for object in findings.bad.keys().copied().chain(misplaced) {
        let is_malformed = findings.bad.get(&object).and_then(|fault| findings.faults.get(*fault as usize));
        if is_malformed.is_some_and(|fault| matches!(fault.problem, Problem::Malformed(_))) {
            // Its bytes are just those that were written.
            continue;
        }
        packs.extend(survey.catalog.find(&object).map(|place| place.pack).filter(exists));
    }
    packs.into_iter().collect()
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
