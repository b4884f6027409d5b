//! What goes into which pack, and when: a content never before the chunks that it names.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use super::sending::{Flight, Parcel, Sending};
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::{PackBuilder, PackMembers};

/// What a writer has taken on.
#[derive(Debug, Default)]
pub(super) struct Filling {
    /// Chunks and contents that this writer was given. Filemetas and nodes are unique within a backup.
    chunks: HashMap<Hash, Place>,
    contents: HashSet<Hash>,
    /// File data and metadata go into packs of their own, so that reading a tree does not read the files.
    data: PackBuilder,
    metadata: PackBuilder,
    /// The number that the pack of `data` will have.
    data_number: u32,
    /// The last of the chunks by themselves that contents in `data` name.
    after: Option<u32>,
    /// Contents whose chunks are not all where they may be.
    held: Vec<Held>,
    /// Which pack was being filled when these were looked at.
    looked_at: u32,
    /// How many numbers were given to parcels, but for the first pack.
    numbers: u32,
    /// The packs that were sent.
    pub(super) packs: Vec<PackMembers>,
}

/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// With somebody who is about to store it.
    Claimed,
    /// The repository has it.
    Before,
    /// In a parcel that is filled, on its way, or there.
    In(Parcel),
}

#[derive(Debug)]
struct Held {
    content: Sealed,
    /// By itself, or in a pack.
    is_alone: bool,
    /// Chunks that were not in the store at the last look.
    chunks: Vec<Hash>,
}

/// An object as it will be stored.
pub(super) type Sealed = (ObjectRef, Vec<u8>);

/// A pack that is to be sent.
#[derive(Debug)]
pub(super) struct Full {
    pub(super) builder: PackBuilder,
    /// It waits for chunks by themselves up to this one.
    pub(super) after: Option<u32>,
    pub(super) flight: Flight,
}

/// What may be sent now.
#[derive(Debug, Default)]
pub(super) struct Released {
    pub(super) packs: Vec<Full>,
    pub(super) alone: Vec<Sealed>,
}

impl Filling {
    /// Whether this writer has not been given an object yet that several files may share. Whoever learns this stores it.
    pub(super) fn claim(&mut self, object: &ObjectRef) -> bool {
        match object.kind {
            ObjectKind::Chunk => match self.chunks.entry(object.hash) {
                Entry::Vacant(entry) => *entry.insert(Place::Claimed) == Place::Claimed,
                Entry::Occupied(_) => false,
            },
            ObjectKind::Content => self.contents.insert(object.hash),
            ObjectKind::Filemeta | ObjectKind::Node | ObjectKind::Snapshot => true,
        }
    }

    /// The repository has an object.
    pub(super) fn is_there(&mut self, object: &ObjectRef) {
        self.puts(object, Place::Before);
    }

    fn puts(&mut self, object: &ObjectRef, place: Place) {
        if object.kind == ObjectKind::Chunk {
            self.chunks.insert(object.hash, place);
        }
    }

    /// An object that is sent by itself, at once.
    pub(super) fn alone(&mut self, object: &ObjectRef, sending: &Sending) -> Flight {
        let parcel = Parcel::Alone(self.number());
        self.puts(object, Place::In(parcel));
        sending.begin(parcel)
    }

    /// Adds an object to a pack, and gives that if it is full.
    pub(super) fn pack(&mut self, object: ObjectRef, sealed: &[u8], sending: &Sending) -> Option<Full> {
        if matches!(object.kind, ObjectKind::Chunk | ObjectKind::Content) {
            self.data.add(object, sealed);
            self.puts(&object, Place::In(Parcel::Pack(self.data_number)));
            return self.data.is_full().then(|| self.take_data(sending));
        }
        self.metadata.add(object, sealed);
        self.metadata.is_full().then(|| self.take_metadata(sending))
    }

    /// Takes on a content that names chunks which this writer was given, and finds what need not wait any more. Those held
    /// before that wait for a pack are looked at only once while one is filled: more often would be mostly in vain.
    pub(super) fn hold(
        &mut self,
        content: Sealed,
        is_alone: bool,
        chunks: &[ObjectRef],
        sending: &Sending,
    ) -> Released {
        let mut others = Vec::new();
        if std::mem::replace(&mut self.looked_at, self.data_number) == self.data_number {
            // One by itself is large. After the first look, it names few chunks that are not there.
            let is_alone = |held: &Held| held.is_alone;
            (self.held, others) = std::mem::take(&mut self.held).into_iter().partition(is_alone);
        }
        self.held.push(Held { content, is_alone, chunks: chunks.iter().map(|chunk| chunk.hash).collect() });
        let released = self.release(sending);
        self.held.extend(others);
        released
    }

    /// How many contents wait for their chunks.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Finds the contents that need not wait any more. Those of a pack go into it when each chunk is there, in the same pack,
    /// or on its way by itself: then the pack waits for it. Others follow when all are there.
    pub(super) fn release(&mut self, sending: &Sending) -> Released {
        let mut released = Released::default();
        for mut held in std::mem::take(&mut self.held) {
            held.chunks.retain(|chunk| !self.has_arrived(chunk, sending));
            if held.is_alone {
                held.chunks.shrink_to_fit();
                match held.chunks.is_empty() {
                    true => released.alone.push(held.content),
                    false => self.held.push(held),
                }
                continue;
            }
            match self.may_be_packed(&held.chunks) {
                Some(after) => {
                    self.after = self.after.max(after);
                    let (object, sealed) = held.content;
                    released.packs.extend(self.pack(object, &sealed, sending));
                }
                None => self.held.push(held),
            }
        }
        released
    }

    fn has_arrived(&self, chunk: &Hash, sending: &Sending) -> bool {
        match self.chunks.get(chunk) {
            Some(Place::Before) => true,
            Some(Place::In(parcel)) => *parcel != Parcel::Pack(self.data_number) && !sending.is_under_way(*parcel),
            Some(Place::Claimed) | None => false,
        }
    }

    /// Whether a content may go into the pack that is being filled, and which chunk by itself that has to wait for.
    fn may_be_packed(&self, chunks: &[Hash]) -> Option<Option<u32>> {
        chunks.iter().try_fold(None, |after, chunk| match self.chunks.get(chunk)? {
            Place::Before => Some(after),
            Place::In(Parcel::Alone(number)) => Some(after.max(Some(*number))),
            // Packs do not wait for packs: they would follow one another.
            Place::In(Parcel::Pack(number)) => (*number == self.data_number).then_some(after),
            Place::Claimed => None,
        })
    }

    /// The packs that are not full.
    pub(super) fn take_rest(&mut self, sending: &Sending) -> Vec<Full> {
        let data = (!self.data.is_empty()).then(|| self.take_data(sending));
        let metadata = (!self.metadata.is_empty()).then(|| self.take_metadata(sending));
        data.into_iter().chain(metadata).collect()
    }

    fn take_data(&mut self, sending: &Sending) -> Full {
        let flight = sending.begin(Parcel::Pack(self.data_number));
        self.data_number = self.number();
        Full { builder: std::mem::take(&mut self.data), after: self.after.take(), flight }
    }

    fn take_metadata(&mut self, sending: &Sending) -> Full {
        let flight = sending.begin(Parcel::Pack(self.number()));
        Full { builder: std::mem::take(&mut self.metadata), after: None, flight }
    }

    fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }
}
