//! One more look at what is damaged, right before anything is given up or deleted for it.
//!
//! Only bytes that were read, and are not what they should be, show that something is lost; so does a store that says it has
//! no such object. A disk or a network that fails shows nothing: what may be good stays, and so does who needs it. What is
//! good all of a sudden shows that the storage cannot be trusted.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::RepairError;
use crate::check::{CheckError, Examined, Findings, loss, lost_contents, pack_key, problem_of, prove_content};
use crate::object::{Content, FileMeta, Hash, Hasher, Node, ObjectKind, ObjectRef, Snapshot, json};
use crate::pack::Location;
use crate::repository::{ObjectReader, ReadError, Repository};
use crate::store::{StoreError, StoreErrorKind};

/// What an object shows to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It is what it should be.
    Good,
    /// It is nowhere, or not what it should be.
    Lost,
    /// It cannot be read, for a reason that says nothing of its bytes.
    Unknown,
}

/// What a pack shows to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PackState {
    /// It has these bytes.
    Is(Hash),
    /// It cannot be read, for a reason that says nothing of its bytes.
    Unknown,
}

/// A look at objects where they were last seen.
pub(super) struct Look<'a> {
    examined: &'a Examined,
    /// Whether a pack cannot be read in which anything may lie that is nowhere else.
    is_blind: bool,
    reader: ObjectReader,
    runtime: Handle,
}

impl<'a> Look<'a> {
    /// To be made on a thread of the runtime.
    pub(super) fn new(examined: &'a Examined, is_blind: bool) -> Self {
        let repository = examined.reader.repository();
        // One that has read nothing yet.
        let reader = repository.known_reader(examined.survey.catalog.clone());
        Self { examined, is_blind, reader, runtime: Handle::current() }
    }

    /// How all of these are now. Blocking.
    pub(super) fn states(&self, objects: &BTreeSet<ObjectRef>) -> Result<BTreeMap<ObjectRef, State>, CheckError> {
        let objects: Vec<ObjectRef> = objects.iter().copied().collect();
        let mut states = BTreeMap::new();
        let take = |object: &ObjectRef, state| _ = states.insert(*object, state);
        self.examined.stop.each(&objects, 8, |object| self.state(object), take)?;
        Ok(states)
    }

    /// How an object is now. Blocking.
    pub(super) fn state(&self, object: &ObjectRef) -> Result<State, CheckError> {
        let plain = match self.read(object)? {
            Ok(plain) => plain,
            Err(state) => return Ok(state),
        };
        let makes_sense = match object.kind {
            ObjectKind::Content => return self.content(object, &plain),
            ObjectKind::Chunk => true,
            ObjectKind::Filemeta => json::decode::<FileMeta>(&plain).is_ok(),
            ObjectKind::Node => json::decode::<Node>(&plain).is_ok(),
            ObjectKind::Snapshot => json::decode::<Snapshot>(&plain).is_ok(),
        };
        Ok(if makes_sense { State::Good } else { State::Lost })
    }

    /// How a content with this text is: good if its file can be put together. Blocking.
    pub(super) fn content(&self, object: &ObjectRef, plain: &[u8]) -> Result<State, CheckError> {
        let Ok(list) = json::decode::<Content>(plain) else { return Ok(State::Lost) };
        let mut worst = State::Good;
        for chunk in list.chunks.iter().filter(|chunk| self.examined.findings.bad.contains_key(chunk)) {
            match self.read(chunk)? {
                Err(State::Lost) => return Ok(State::Lost),
                Err(_) => worst = State::Unknown,
                Ok(_) => {}
            }
        }
        if worst == State::Unknown {
            return Ok(worst);
        }
        let contents = &self.examined.contents;
        let size = contents.numbers.find(&object.hash).and_then(|number| contents.size(number));
        match prove_content(&self.reader, object, plain) {
            Ok(bytes) if size.is_none_or(|size| size == bytes) => Ok(State::Good),
            Ok(_) => Ok(State::Lost),
            Err(ReadError::Damaged { object: part, .. } | ReadError::Missing(part)) if part != *object => {
                // An error of the system counts as damage there, and not here.
                Ok(self.read(&part)?.map_or_else(|state| state, |_| State::Unknown))
            }
            Err(why) => problem_of(why).map(|_| State::Lost).map_err(CheckError::from),
        }
    }

    /// The plain bytes of an object, from where a catalog says or by itself; or how it is.
    fn read(&self, object: &ObjectRef) -> Result<Result<Bytes, State>, CheckError> {
        let repository = self.examined.reader.repository();
        let survey = &self.examined.survey;
        let mut places = vec![survey.catalog.find(object), survey.stored.find(object)];
        places.retain(Option::is_some);
        places.dedup();
        places.push(None);
        let (mut is_somewhere, mut is_unknown) = (false, false);
        for place in places {
            match self.runtime.block_on(fetch(repository, object, place)) {
                Ok(sealed) => match repository.prove(object, &sealed) {
                    Ok(plain) => return Ok(Ok(plain)),
                    Err(_) => is_somewhere = true,
                },
                Err(error) => match tells_of_bytes(error)? {
                    Some(is_there) => is_somewhere |= is_there,
                    None => is_unknown = true,
                },
            }
        }
        let is_unknown = is_unknown || !is_somewhere && self.is_blind;
        Ok(Err(if is_unknown { State::Unknown } else { State::Lost }))
    }

    /// The bytes of a pack that there is. Blocking.
    pub(super) fn pack(&self, pack: &Hash) -> Result<PackState, CheckError> {
        /// Bytes that are read at once.
        const PIECE: u64 = 8 << 20;
        let store = self.examined.reader.repository().store();
        let size = self.examined.survey.pack_size(pack).unwrap_or_default();
        let (key, mut hasher) = (pack_key(pack), Hasher::new());
        for from in (0..size).step_by(PIECE as usize) {
            self.examined.stop.check()?;
            match self.runtime.block_on(store.get_range(&key, from..size.min(from + PIECE))) {
                Ok(bytes) => hasher.update(&bytes),
                Err(error) => {
                    tells_of_bytes(error)?;
                    return Ok(PackState::Unknown);
                }
            }
        }
        Ok(PackState::Is(hasher.finish()))
    }
}

/// The sealed bytes at a place in a pack, or of the object by itself.
async fn fetch(repository: &Repository, object: &ObjectRef, place: Option<Location>) -> Result<Bytes, StoreError> {
    match place {
        Some(Location { pack, offset, length }) => {
            repository.store().get_range(&pack_key(&pack), offset..offset + length).await
        }
        None => repository.store().get(&object.key()).await,
    }
}

/// Whether a failed read says that something else is there (`true`), or nothing at all; `None` if it says nothing of the
/// bytes. The error itself, if it says something of the store.
fn tells_of_bytes(error: StoreError) -> Result<Option<bool>, CheckError> {
    let kind = error.kind;
    problem_of(ReadError::Store(error))?;
    Ok(match kind {
        StoreErrorKind::NotFound => Some(false),
        StoreErrorKind::Corrupt => Some(true),
        _ => None,
    })
}

/// The snapshots among `wanted` that need any of these objects. Blocking.
pub(super) fn needing(
    examined: &Examined,
    objects: impl Iterator<Item = ObjectRef>,
    wanted: &BTreeSet<ObjectRef>,
) -> Result<BTreeSet<ObjectRef>, RepairError> {
    let doubts = Findings::of(objects);
    let trees = examined.trees_of();
    let contents = lost_contents(trees, &doubts)?;
    let needs = |snapshot: &&ObjectRef| {
        let root = examined.snapshots.get(snapshot).and_then(|snapshot| snapshot.root);
        let needs_some = |root| !loss(trees, root, &doubts, &contents).is_empty();
        doubts.bad.contains_key(snapshot) || root.is_some_and(needs_some)
    };
    Ok(wanted.iter().filter(needs).copied().collect())
}
