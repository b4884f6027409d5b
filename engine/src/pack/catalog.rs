//! The catalog in memory: compact, sorted, immutable. See [`super::stored`] for its stored form.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::object::{Hash, ObjectKind, ObjectRef};

/// Where a packed object lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The pack.
    pub pack: Hash,
    /// Where its sealed bytes begin.
    pub offset: u64,
    /// How many there are.
    pub length: u64,
}

/// What is in one pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackMembers {
    /// The pack.
    pub pack: Hash,
    /// Its members.
    pub members: Vec<Member>,
}

/// An object in a pack. Packs have no more than 4 GiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The object.
    pub object: ObjectRef,
    /// Where its sealed bytes begin.
    pub offset: u32,
    /// How many there are.
    pub length: u32,
}

/// An object of one of some packs. Ordered as they lie there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placed {
    /// The number of the pack among those.
    pub(crate) pack: u32,
    /// Where its sealed bytes begin.
    pub(crate) offset: u32,
    /// What it is.
    pub(crate) kind: ObjectKind,
    /// Its number in the catalog, among those of its kind.
    pub(crate) number: u32,
}

/// Where every packed object lies. 44 bytes an object: repositories have millions of them.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    packs: Vec<Hash>,
    entries: Entries,
    /// What is not named by a hash: the CLI packs `index/latest`.
    pointers: BTreeMap<String, Location>,
}

/// The entries of each kind of object, in the order of [`ObjectKind::ALL`]; in a [`Catalog`] sorted.
type Entries = [Vec<Entry>; ObjectKind::ALL.len()];

/// Ordered by object, and for one object by the age of its packs in this catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    hash: Hash,
    pack: u32,
    offset: u32,
    length: u32,
}

impl Catalog {
    /// Where an object lies.
    pub fn find(&self, object: &ObjectRef) -> Option<Location> {
        self.entry(object).map(|entry| self.location(entry))
    }

    /// This catalog with these pointers, and no others.
    pub(crate) fn with_pointers(self, pointers: BTreeMap<String, Location>) -> Self {
        Self { pointers, ..self }
    }

    /// Whether an object is in a pack.
    pub fn contains(&self, object: &ObjectRef) -> bool {
        self.entry(object).is_some()
    }

    /// Where an object lies, for reading in physical order: the number of its pack, and the offset.
    pub fn order(&self, object: &ObjectRef) -> Option<(u32, u32)> {
        self.entry(object).map(|entry| (entry.pack, entry.offset))
    }

    /// Where a pointer such as `index/latest` lies.
    pub fn pointer(&self, key: &str) -> Option<Location> {
        self.pointers.get(key).copied()
    }

    /// All pointers, sorted by key.
    pub(crate) fn pointers(&self) -> &BTreeMap<String, Location> {
        &self.pointers
    }

    /// All objects and where they lie, sorted by key.
    pub(crate) fn located(&self) -> impl Iterator<Item = (ObjectRef, Location)> + '_ {
        self.kinds().flat_map(move |(kind, entries)| {
            entries.iter().map(move |entry| (ObjectRef::new(kind, entry.hash), self.location(entry)))
        })
    }

    /// All objects of a kind, sorted.
    pub fn objects(&self, kind: ObjectKind) -> impl Iterator<Item = ObjectRef> + '_ {
        self.entries[kind as usize].iter().map(move |entry| ObjectRef::new(kind, entry.hash))
    }

    /// The number of an object among those of its kind: what [`Self::hash_at`] takes, of just this catalog.
    pub fn number(&self, object: &ObjectRef) -> Option<u32> {
        let at = self.entries[object.kind as usize].binary_search_by(|entry| entry.hash.cmp(&object.hash)).ok()?;
        u32::try_from(at).ok()
    }

    /// The hash of the object with a number.
    pub fn hash_at(&self, kind: ObjectKind, number: u32) -> Option<&Hash> {
        self.entries[kind as usize].get(number as usize).map(|entry| &entry.hash)
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: ObjectKind) -> usize {
        self.entries[kind as usize].len()
    }

    /// Where the object with a number lies.
    pub(crate) fn location_at(&self, kind: ObjectKind, number: u32) -> Option<Location> {
        self.entries[kind as usize].get(number as usize).map(|entry| self.location(entry))
    }

    /// [`Self::order`] of the object with a number.
    pub fn order_at(&self, kind: ObjectKind, number: u32) -> Option<(u32, u32)> {
        self.entries[kind as usize].get(number as usize).map(|entry| (entry.pack, entry.offset))
    }

    /// How many sealed bytes the object with a number has.
    pub fn length_at(&self, kind: ObjectKind, number: u32) -> Option<u64> {
        self.entries[kind as usize].get(number as usize).map(|entry| u64::from(entry.length))
    }

    /// Every pack that has an entry, or had one.
    pub fn packs(&self) -> &[Hash] {
        &self.packs
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.iter().map(Vec::len).sum::<usize>() + self.pointers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which objects this catalog says are in some packs, which are sorted; nothing of those of which it says nothing.
    pub fn members_of(&self, packs: &[Hash]) -> Vec<PackMembers> {
        let mut found: BTreeMap<Hash, Vec<Member>> = BTreeMap::new();
        for (kind, entries) in self.kinds() {
            for entry in entries {
                let pack = self.packs[entry.pack as usize];
                if packs.binary_search(&pack).is_ok() {
                    let object = ObjectRef::new(kind, entry.hash);
                    found.entry(pack).or_default().push(Member { object, offset: entry.offset, length: entry.length });
                }
            }
        }
        found.into_iter().map(|(pack, members)| PackMembers { pack, members }).collect()
    }

    /// This catalog with more entries. What it has already stays where it is.
    pub fn with(self, added: Vec<PackMembers>) -> Self {
        let mut builder = Builder::from(self);
        for (kind, entries) in ObjectKind::ALL.into_iter().zip(&mut builder.entries) {
            let members = added.iter().flat_map(|pack| &pack.members);
            entries.reserve_exact(members.filter(|member| member.object.kind == kind).count());
        }
        for PackMembers { pack, members } in added {
            for Member { object, offset, length } in members {
                builder.add(object, pack, offset, length);
            }
        }
        builder.build()
    }

    /// Whether this key, of an object or a pointer, has an entry.
    pub fn has_key(&self, key: &str) -> bool {
        self.pointers.contains_key(key) || key.parse().is_ok_and(|object| self.contains(&object))
    }

    /// This catalog without the entries of these keys, of objects or pointers. Meant for few.
    pub fn without(mut self, keys: &BTreeSet<String>) -> Self {
        self.pointers.retain(|key, _| !keys.contains(key));
        for object in keys.iter().filter_map(|key| key.parse::<ObjectRef>().ok()) {
            if let Some(at) = self.number(&object) {
                self.entries[object.kind as usize].remove(at as usize);
            }
        }
        self
    }

    /// This catalog without the entries of packs that `exists` denies, and how many those were.
    pub fn retain_packs(mut self, exists: impl Fn(&Hash) -> bool) -> (Self, usize) {
        let before = self.len();
        let keep: Vec<bool> = self.packs.iter().map(&exists).collect();
        self.entries.iter_mut().for_each(|entries| entries.retain(|entry| keep[entry.pack as usize]));
        self.pointers.retain(|_, location| exists(&location.pack));
        let dropped = before - self.len();
        (self, dropped)
    }

    /// The objects of some packs, which are sorted, in the order in which they lie in them: those that are `wanted`.
    pub(crate) fn placed_in(&self, packs: &[Hash], wanted: impl Fn(ObjectKind, u32) -> bool) -> Vec<Placed> {
        let rank = |pack: &Hash| packs.binary_search(pack).ok().and_then(|rank| u32::try_from(rank).ok());
        let ranks: Vec<Option<u32>> = self.packs.iter().map(rank).collect();
        let in_them = || {
            let numbered = self.kinds().flat_map(|(kind, entries)| (0..).zip(entries).map(move |entry| (kind, entry)));
            numbered.filter_map(|(kind, (number, entry))| {
                let pack = ranks[entry.pack as usize]?;
                wanted(kind, number).then_some(Placed { pack, offset: entry.offset, kind, number })
            })
        };
        let mut placed = Vec::with_capacity(in_them().count());
        placed.extend(in_them());
        placed.sort_unstable();
        placed
    }

    /// This catalog with only the objects that `keep` keeps by number; those that `moved` gives lie in new packs, one behind
    /// the other. Pointers into packs that `has_pack` denies go, and packs without an entry are forgotten.
    pub(crate) fn swept<'a>(
        mut self,
        keep: impl Fn(ObjectKind, u32) -> bool,
        moved: impl IntoIterator<Item = (Hash, &'a [Placed])>,
        has_pack: impl Fn(&Hash) -> bool,
    ) -> Self {
        for (new, placed) in moved {
            let pack = self.packs.len() as u32;
            self.packs.push(new);
            let mut offset = 0;
            for Placed { kind, number, .. } in placed {
                if let Some(entry) = self.entries[*kind as usize].get_mut(*number as usize) {
                    (entry.pack, entry.offset) = (pack, offset);
                    offset += entry.length;
                }
            }
        }
        let mut used = vec![false; self.packs.len()];
        for (kind, entries) in ObjectKind::ALL.into_iter().zip(&mut self.entries) {
            let mut numbers = 0..;
            entries.retain(|entry| {
                let keeps = numbers.next().is_some_and(|number| keep(kind, number));
                used[entry.pack as usize] |= keeps;
                keeps
            });
        }
        self.pointers.retain(|_, location| has_pack(&location.pack));
        let mut next = 0;
        let number = |used: &bool| {
            next += u32::from(*used);
            next.saturating_sub(1)
        };
        let numbers: Vec<u32> = used.iter().map(number).collect();
        let mut used = used.into_iter();
        self.packs.retain(|_| used.next().unwrap_or(false));
        self.entries.iter_mut().flatten().for_each(|entry| entry.pack = numbers[entry.pack as usize]);
        self
    }

    /// This catalog with some objects, by their numbers, in other places. The numbers stay what they are.
    pub(crate) fn relocated(mut self, places: &[(ObjectKind, u32, Location)]) -> Self {
        for (kind, number, Location { pack, offset, length }) in places {
            let pack_number = self.packs.iter().position(|known| known == pack).unwrap_or(self.packs.len());
            if pack_number == self.packs.len() {
                self.packs.push(*pack);
            }
            if let Some(entry) = self.entries[*kind as usize].get_mut(*number as usize) {
                // Catalogs have nothing beyond 4 GiB in a pack.
                (entry.pack, entry.offset, entry.length) = (pack_number as u32, *offset as u32, *length as u32);
            }
        }
        self
    }

    fn entry(&self, object: &ObjectRef) -> Option<&Entry> {
        self.entries[object.kind as usize].get(self.number(object)? as usize)
    }

    fn kinds(&self) -> impl Iterator<Item = (ObjectKind, &Vec<Entry>)> {
        ObjectKind::ALL.into_iter().zip(&self.entries)
    }

    fn location(&self, entry: &Entry) -> Location {
        Location {
            pack: self.packs[entry.pack as usize],
            offset: u64::from(entry.offset),
            length: u64::from(entry.length),
        }
    }
}

/// Collects entries in any order; of several for one object, that of the first pack wins.
#[derive(Default)]
pub(super) struct Builder {
    packs: Vec<Hash>,
    numbers: HashMap<Hash, u32>,
    entries: Entries,
    pointers: BTreeMap<String, Location>,
}

impl From<Catalog> for Builder {
    fn from(catalog: Catalog) -> Self {
        let Catalog { packs, entries, pointers } = catalog;
        let numbers = packs.iter().enumerate().map(|(number, pack)| (*pack, number as u32)).collect();
        Self { packs, numbers, entries, pointers }
    }
}

impl Builder {
    pub(super) fn add(&mut self, object: ObjectRef, pack: Hash, offset: u32, length: u32) {
        let next = self.packs.len() as u32;
        let number = *self.numbers.entry(pack).or_insert(next);
        if number == next {
            self.packs.push(pack);
        }
        self.entries[object.kind as usize].push(Entry { hash: object.hash, pack: number, offset, length });
    }

    pub(super) fn add_pointer(&mut self, key: &str, location: Location) {
        self.pointers.insert(key.to_owned(), location);
    }

    pub(super) fn build(mut self) -> Catalog {
        for entries in &mut self.entries {
            if !entries.is_sorted() {
                entries.sort_unstable();
            }
            entries.dedup_by(|later, first| later.hash == first.hash);
        }
        Catalog { packs: self.packs, entries: self.entries, pointers: self.pointers }
    }
}

#[cfg(test)]
pub(super) mod tests;
