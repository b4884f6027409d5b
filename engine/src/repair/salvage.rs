//! Copies what is good out of damaged packs: everything, needed or not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;

use super::damage::{Damage, all_members};
use super::look::{Look, State};
use super::{RepairError, blocking};
use crate::check::{Examined, pack_key};
use crate::lock::LeaseWatch;
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::{Catalog, FinishedPack, Member, PackBuilder, PackMembers};
use crate::repository::{Repository, RepositoryError};
use crate::store::{StoreError, StoreErrorKind};

/// What was copied.
pub(super) struct Salvaged {
    /// Where everything is now.
    pub(super) catalog: Catalog,
    /// How many objects were copied.
    pub(super) objects: u64,
    /// The packs in which nothing is left to copy, and the hashes of the bytes that show it.
    pub(super) judged: BTreeMap<Hash, Hash>,
}

/// New packs, of file data and of metadata.
#[derive(Default)]
struct Packs {
    data: PackBuilder,
    metadata: PackBuilder,
    done: Vec<PackMembers>,
}

/// Copies everything good out of damaged packs; `catalog` has nothing bad any more. Snapshots, which the CLI packs, become
/// objects by themselves. A pack that cannot be read stays as it is, and so does one of the `unclear` ones, in which more may
/// be good than is known.
///
/// # Errors
/// Also if something is good, or is not, that was the other way a moment ago.
pub(super) async fn salvage(
    repository: &Arc<Repository>,
    examined: &Arc<Examined>,
    (damage, unclear): (&Arc<Damage>, &BTreeSet<Hash>),
    catalog: &Catalog,
    lease: &LeaseWatch,
) -> Result<Salvaged, RepairError> {
    let (damaged, mut kept): (Vec<PackMembers>, Vec<PackMembers>) =
        all_members(catalog).into_iter().partition(|pack| damage.packs.binary_search(&pack.pack).is_ok());
    let mut named: HashMap<Hash, PackMembers> = damaged.into_iter().map(|pack| (pack.pack, pack)).collect();
    let (mut packs, mut objects, mut judged) = (Packs::default(), 0, BTreeMap::new());
    for pack in &damage.packs {
        let members = named.remove(pack).unwrap_or_else(|| PackMembers { pack: *pack, members: Vec::new() });
        if unclear.contains(pack) {
            kept.push(members);
            continue;
        }
        let work = (Arc::clone(examined), Arc::clone(damage), members.clone());
        let Some((hash, good)) = blocking(move || look_through(&work.0, &work.1, work.2)).await? else {
            kept.push(members);
            continue;
        };
        judged.insert(*pack, hash);
        for (object, sealed) in good {
            objects += 1;
            if object.kind.is_data() {
                packs.add(object, &sealed, repository, lease).await?;
            } else {
                lease.confirm().await?;
                repository.store().put(&object.key(), sealed).await?;
            }
        }
    }
    kept.extend(packs.finish(repository, lease).await?);
    let mut pointers = catalog.pointers().clone();
    pointers.retain(|_, place| !judged.contains_key(&place.pack));
    Ok(Salvaged { catalog: Catalog::default().with(kept).with_pointers(pointers), objects, judged })
}

/// The hash of a pack, and what is good of it in the order in which it lies.
type LookedThrough = (Hash, Vec<(ObjectRef, Bytes)>);

/// Looks what of a pack is good; `None` if not all of it can be read. Blocking.
fn look_through(
    examined: &Examined,
    damage: &Damage,
    PackMembers { pack, mut members }: PackMembers,
) -> Result<Option<LookedThrough>, RepairError> {
    /// Larger packs nobody writes.
    const LARGEST: u64 = 64 << 20;
    examined.stop.check()?;
    if examined.survey.pack_size(&pack).is_some_and(|size| size > LARGEST) {
        return Ok(None);
    }
    let (key, runtime) = (pack_key(&pack), Handle::current());
    let store = examined.reader.repository().store();
    let Some(whole) = unless_unreadable(runtime.block_on(store.get(&key)))? else { return Ok(None) };
    let (hash, bad) = (Hash::of(&whole), damage.bad_in(examined, &pack));
    let proof = Proof { examined, look: Look::new(examined, damage.is_blind) };
    let at = |offset: u64, length: u64| offset as usize..(offset + length) as usize;
    for (object, place) in bad {
        let Some(sealed) = whole.get(at(place.offset, place.length)) else { continue };
        match proof.state(&object, sealed)? {
            State::Good => return Err(RepairError::Unsteady(object.key())),
            // A list of chunks of which some cannot be read.
            State::Unknown => return Ok(None),
            State::Lost => {}
        }
    }
    members.sort_unstable_by_key(|member| member.offset);
    let mut good = Vec::with_capacity(members.len());
    for Member { object, offset, length } in members {
        let range = at(offset.into(), length.into());
        if range.end <= whole.len() && proof.is_good(&object, &whole[range.clone()])? {
            good.push((object, whole.slice(range)));
            continue;
        }
        // What is not needed has not been looked at before.
        let range = u64::from(offset)..u64::from(offset) + u64::from(length);
        let Some(again) = unless_unreadable(runtime.block_on(store.get_range(&key, range)))? else { return Ok(None) };
        if proof.is_good(&object, &again)? {
            good.push((object, again));
        } else if is_needed(examined, &object) {
            return Err(RepairError::Unsteady(object.key()));
        }
    }
    Ok(Some((hash, good)))
}

/// `None` for an error that concerns just this pack and says nothing of its bytes.
fn unless_unreadable(read: Result<Bytes, StoreError>) -> Result<Option<Bytes>, StoreError> {
    match read {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind, StoreErrorKind::Corrupt | StoreErrorKind::Other) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Proves what is to be copied.
struct Proof<'a> {
    examined: &'a Examined,
    look: Look<'a>,
}

impl Proof<'_> {
    /// How an object is that has these bytes.
    fn state(&self, object: &ObjectRef, sealed: &[u8]) -> Result<State, RepairError> {
        let Ok(plain) = self.examined.reader.repository().prove(object, sealed) else { return Ok(State::Lost) };
        Ok(if object.kind == ObjectKind::Content { self.look.content(object, &plain)? } else { State::Good })
    }

    /// Whether these are the bytes of an object that is not known to be bad. What opens with the key has the bytes that were
    /// written, and whether they are those of a content, which is not named by them, was proven if it is needed.
    fn is_good(&self, object: &ObjectRef, sealed: &[u8]) -> Result<bool, RepairError> {
        let repository = self.examined.reader.repository();
        if repository.marker().encrypted && is_needed(self.examined, object) {
            return Ok(repository.prove(object, sealed).is_ok());
        }
        Ok(self.state(object, sealed)? != State::Lost)
    }
}

/// Whether a snapshot needs an object, and it was read.
fn is_needed(examined: &Examined, object: &ObjectRef) -> bool {
    let (entries, contents) = (&examined.entries, &examined.contents);
    let hash = &object.hash;
    match object.kind {
        ObjectKind::Snapshot => true,
        ObjectKind::Node => examined.graph.nodes.find(hash).is_some_and(|node| examined.graph.is_read(node)),
        ObjectKind::Filemeta => entries.numbers.find(hash).is_some_and(|number| entries.facts(number).is_read()),
        ObjectKind::Content => contents.numbers.find(hash).is_some_and(|number| contents.size(number).is_some()),
        ObjectKind::Chunk => contents.chunks.find(hash).is_some_and(|number| contents.needed_chunks.contains(number)),
    }
}

impl Packs {
    async fn add(
        &mut self,
        object: ObjectRef,
        sealed: &[u8],
        repository: &Arc<Repository>,
        lease: &LeaseWatch,
    ) -> Result<(), RepairError> {
        let builder = match object.kind {
            ObjectKind::Chunk | ObjectKind::Content => &mut self.data,
            ObjectKind::Filemeta | ObjectKind::Node | ObjectKind::Snapshot => &mut self.metadata,
        };
        builder.add(object, sealed);
        if builder.is_full() {
            let full = std::mem::take(builder);
            self.done.push(put(full, repository, lease).await?);
        }
        Ok(())
    }

    async fn finish(self, repository: &Arc<Repository>, lease: &LeaseWatch) -> Result<Vec<PackMembers>, RepairError> {
        let mut done = self.done;
        for builder in [self.data, self.metadata] {
            if !builder.is_empty() {
                done.push(put(builder, repository, lease).await?);
            }
        }
        Ok(done)
    }
}

async fn put(
    builder: PackBuilder,
    repository: &Arc<Repository>,
    lease: &LeaseWatch,
) -> Result<PackMembers, RepairError> {
    let sealer = repository.sealer().clone();
    let finishing = tokio::task::spawn_blocking(move || builder.finish(&sealer));
    let finished = finishing.await.map_err(RepositoryError::from)?.map_err(RepositoryError::from)?;
    let FinishedPack { bytes, members } = finished;
    lease.confirm().await?;
    repository.store().put(&pack_key(&members.pack), bytes).await?;
    Ok(members)
}
