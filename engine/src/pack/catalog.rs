//! The catalog in memory: compact, sorted, immutable; and its JSON form (format, section 10).

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::Write;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::object::{Hash, ObjectKind, ObjectRef, json};

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

/// An object and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedObject {
    /// The object.
    pub object: ObjectRef,
    /// Where it lies.
    pub location: Location,
}

/// A catalog that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the pack catalog is damaged: {0}")]
pub struct CatalogError(String);

/// Where every packed object lies.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    packs: Vec<Hash>,
    /// Sorted by object.
    entries: Vec<Entry>,
    /// What is not named by a hash: the CLI packs `index/latest`.
    pointers: BTreeMap<String, Location>,
}

/// 48 bytes: repositories have millions of these.
#[derive(Debug, Clone, Copy)]
struct Entry {
    object: ObjectRef,
    pack: u32,
    offset: u32,
    length: u32,
}

impl Catalog {
    /// Reads the stored form.
    pub fn parse(bytes: &[u8]) -> Result<Self, CatalogError> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let mut builder = Builder::default();
        deserializer.deserialize_map(&mut builder).map_err(|cause| CatalogError(cause.to_string()))?;
        deserializer.end().map_err(|cause| CatalogError(cause.to_string()))?;
        Ok(builder.build())
    }

    /// The stored form: canonical JSON, sorted by key.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(200 * (self.entries.len() + self.pointers.len()) + 2);
        out.push(b'{');
        let mut pointers = self.pointers.iter().peekable();
        for entry in &self.entries {
            let (object, location) = (entry.object, self.location(entry));
            while let Some((key, pointer)) = pointers.next_if(|(key, _)| key.as_str() < object.kind.as_str()) {
                write_entry(&mut out, key, pointer);
            }
            write_entry(&mut out, &object, &location);
        }
        for (key, pointer) in pointers {
            write_entry(&mut out, key, pointer);
        }
        out.push(b'}');
        out
    }

    /// Where an object lies.
    pub fn find(&self, object: &ObjectRef) -> Option<Location> {
        self.entry(object).map(|entry| self.location(entry))
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

    /// All objects of a kind, sorted.
    pub fn objects(&self, kind: ObjectKind) -> impl Iterator<Item = ObjectRef> + '_ {
        let start = self.entries.partition_point(|entry| entry.object.kind < kind);
        self.entries[start..].iter().map(|entry| entry.object).take_while(move |object| object.kind == kind)
    }

    /// Every pack that has an entry, or had one.
    pub fn packs(&self) -> &[Hash] {
        &self.packs
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len() + self.pointers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// This catalog with more entries. What it has already stays where it is.
    pub fn with(&self, added: &[PackedObject]) -> Self {
        let mut builder = Builder::from(self);
        for packed in added {
            builder.add(packed.object, &packed.location);
        }
        builder.build()
    }

    /// This catalog without an entry for a pointer.
    pub fn without_pointer(&self, key: &str) -> Self {
        let mut catalog = self.clone();
        catalog.pointers.remove(key);
        catalog
    }

    /// This catalog without the entries of packs that `exists` denies, and how many those were.
    pub fn retain_packs(&self, exists: impl Fn(&Hash) -> bool) -> (Self, usize) {
        let keep: Vec<bool> = self.packs.iter().map(exists).collect();
        let mut catalog = self.clone();
        catalog.entries.retain(|entry| keep[entry.pack as usize]);
        let kept: Vec<&Hash> = self.packs.iter().zip(&keep).filter_map(|(pack, keep)| keep.then_some(pack)).collect();
        catalog.pointers.retain(|_, location| kept.contains(&&location.pack));
        let dropped = self.len() - catalog.len();
        (catalog, dropped)
    }

    fn entry(&self, object: &ObjectRef) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.object.cmp(object)).ok()?;
        self.entries.get(at)
    }

    fn location(&self, entry: &Entry) -> Location {
        Location {
            pack: self.packs[entry.pack as usize],
            offset: u64::from(entry.offset),
            length: u64::from(entry.length),
        }
    }
}

fn write_entry(out: &mut Vec<u8>, key: &dyn fmt::Display, location: &Location) {
    if out.len() > 1 {
        out.push(b',');
    }
    let Location { pack, offset, length } = location;
    // Keys are object names or, for pointers, what a catalog had: neither needs an escape but by canonical JSON.
    json::encode_into(out, &key.to_string());
    out.extend_from_slice(b":{\"p\":\"packs/");
    out.extend_from_slice(&pack.to_hex());
    // Writing to a Vec cannot fail.
    let _ = write!(out, "\",\"o\":{offset},\"l\":{length}}}");
}

/// Collects entries in any order; the first of an object wins.
#[derive(Default)]
struct Builder {
    packs: Vec<Hash>,
    numbers: HashMap<Hash, u32>,
    entries: Vec<Entry>,
    pointers: BTreeMap<String, Location>,
    unsorted: bool,
}

impl Builder {
    fn from(catalog: &Catalog) -> Self {
        let numbers = catalog.packs.iter().enumerate().map(|(number, pack)| (*pack, number as u32)).collect();
        let Catalog { packs, entries, pointers } = catalog.clone();
        Self { packs, numbers, entries, pointers, unsorted: false }
    }

    /// Whether the location is one that this program can read; others are as good as none.
    fn add(&mut self, object: ObjectRef, location: &Location) -> bool {
        let (Ok(offset), Ok(length)) = (u32::try_from(location.offset), u32::try_from(location.length)) else {
            return false;
        };
        let next = self.packs.len() as u32;
        let pack = *self.numbers.entry(location.pack).or_insert(next);
        if pack == next {
            self.packs.push(location.pack);
        }
        self.unsorted |= self.entries.last().is_some_and(|last| last.object >= object);
        self.entries.push(Entry { object, pack, offset, length });
        true
    }

    fn build(mut self) -> Catalog {
        if self.unsorted {
            // Stable, so that the first entry of an object stays the first.
            self.entries.sort_by_key(|entry| entry.object);
            self.entries.dedup_by(|later, first| later.object == first.object);
        }
        Catalog { packs: self.packs, entries: self.entries, pointers: self.pointers }
    }
}

#[derive(Serialize, Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    p: Cow<'a, str>,
    o: u64,
    l: u64,
}

impl<'de> Visitor<'de> for &mut Builder {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of objects to their places")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error;

        #[derive(Deserialize)]
        struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

        while let Some((Key(key), place)) = map.next_entry::<Key<'de>, Place<'de>>()? {
            let pack = place.p.strip_prefix("packs/").and_then(|name| name.parse().ok());
            let pack = pack.ok_or_else(|| A::Error::custom(format!("{:?} is not a pack", place.p)))?;
            let location = Location { pack, offset: place.o, length: place.l };
            match key.parse() {
                Ok(object) if self.add(object, &location) => {}
                Ok(object) => return Err(A::Error::custom(format!("{object} lies beyond 4 GiB in its pack"))),
                Err(_) => {
                    self.pointers.insert(key.into_owned(), location);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn packed(name: &str, kind: ObjectKind, offset: u64) -> PackedObject {
        let location = Location { pack: Hash::of(b"pack"), offset, length: 5 };
        PackedObject { object: ObjectRef::new(kind, Hash::of(name.as_bytes())), location }
    }

    #[test]
    fn the_catalog_of_the_cli_is_written_again_byte_for_byte() {
        for name in ["plain", "gzfiles", "encrypted"] {
            let path = format!("{}/../tests/fixtures/golden/{name}/repo/index/packs", env!("CARGO_MANIFEST_DIR"));
            let bytes = std::fs::read(path).unwrap();
            let catalog = Catalog::parse(&bytes).unwrap();
            assert_eq!(String::from_utf8(catalog.encode()).unwrap(), String::from_utf8(bytes).unwrap());
            assert!(catalog.pointer("index/latest").is_some());
        }
    }

    #[test]
    fn an_object_stays_where_it_was_first() {
        let first = packed("a", ObjectKind::Chunk, 0);
        let catalog = Catalog::default().with(&[packed("b", ObjectKind::Node, 9), first]);
        let catalog = catalog.with(&[packed("a", ObjectKind::Chunk, 77), packed("c", ObjectKind::Chunk, 1)]);
        assert_eq!((catalog.len(), catalog.find(&first.object)), (3, Some(first.location)));
        let again = Catalog::parse(&catalog.encode()).unwrap();
        assert_eq!(again.find(&first.object), Some(first.location));
        assert_eq!(again.objects(ObjectKind::Chunk).count(), 2);
    }

    #[test]
    fn entries_of_lost_packs_can_be_dropped() {
        let catalog = Catalog::default().with(&[packed("a", ObjectKind::Chunk, 0), packed("b", ObjectKind::Node, 9)]);
        assert_eq!(catalog.retain_packs(|_| true).1, 0);
        let (empty, dropped) = catalog.retain_packs(|_| false);
        assert_eq!((empty.len(), dropped), (0, 2));
    }

    #[test]
    fn a_cut_catalog_is_an_error_and_no_empty_one() {
        let bytes = Catalog::default().with(&[packed("a", ObjectKind::Chunk, 0)]).encode();
        for length in 0..bytes.len() {
            assert!(Catalog::parse(&bytes[..length]).is_err(), "{length}");
        }
        assert!(Catalog::parse(b"{\"chunk/x\":{\"p\":\"elsewhere\",\"o\":0,\"l\":1}}").is_err());
    }
}
