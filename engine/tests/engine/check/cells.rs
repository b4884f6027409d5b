//! What is done to which object.

use bytes::Bytes;
use cloudstic_engine::object::ObjectKind;
use serde_json::{Value, json};

use super::known::Known;
use crate::memory::Objects;

/// One damage.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    /// What is hit: the key of a file, or of an object in a pack.
    pub(crate) key: String,
    /// Another one, with which it changes places.
    pub(crate) other: Option<String>,
    pub(crate) harm: Harm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    Delete,
    /// To so many eighths of its length.
    Truncate(usize),
    /// A bit, at so many eighths of its length.
    Flip(usize),
    Swap,
}

const HARMS: [Harm; 5] = [Harm::Delete, Harm::Truncate(4), Harm::Flip(0), Harm::Flip(4), Harm::Flip(7)];

/// What is done to more than one of a kind.
const FEWER: [Harm; 2] = [Harm::Delete, Harm::Flip(4)];

/// So many of a kind are hit.
const OF_A_KIND: usize = 3;

/// A repository of so many bytes takes long to read.
const LARGE: usize = 8 << 20;

/// Every kind of object and of damage; and all packs, with members of every kind in them.
pub(crate) fn cells(known: &Known) -> Vec<Cell> {
    let (mut cells, is_of_cli) = (Vec::new(), !known.name.starts_with("own"));
    // What takes long to read, or to look for objects in, is not hit as often.
    let is_large = known.objects.values().map(Bytes::len).sum::<usize>() > LARGE;
    let harms = match (is_of_cli, is_large) {
        (_, true) => FEWER.to_vec(),
        (true, false) => vec![Harm::Delete, Harm::Truncate(4), Harm::Flip(4)],
        (false, false) => HARMS.to_vec(),
    };
    let mut add = |mut keys: Vec<String>| {
        // Small ones of the CLI: a damaged large one is long looked for in its pack.
        if is_of_cli {
            keys.sort_by_key(|key| known.places.get(key).map(|place| place.2));
        }
        keys.truncate(if is_of_cli { 2 } else { OF_A_KIND });
        let Some(first) = keys.first() else { return };
        cells.extend(harms.iter().map(|harm| Cell { key: first.clone(), other: None, harm: *harm }));
        let more = keys.iter().skip(if is_large { 2 } else { 1 });
        cells.extend(more.flat_map(|key| FEWER.map(|harm| Cell { key: key.clone(), other: None, harm })));
        cells.extend(keys.get(1).map(|other| swap(first, other)));
    };
    for kind in ObjectKind::ALL {
        for packed in [true, false] {
            add(known.some(kind, packed));
        }
    }
    add(known.objects.keys().filter(|key| key.starts_with("keys/")).cloned().collect());
    for key in ["index/packs", "index/snapshots", "index/latest", "config"] {
        add([key].into_iter().filter(|key| known.objects.contains_key(*key)).map(str::to_owned).collect());
    }
    // What a snapshot begins with.
    let roots = known.some(ObjectKind::Node, true).into_iter().chain(known.some(ObjectKind::Node, false));
    let size = |node: &String| known.needing(node).values().map(std::collections::BTreeSet::len).max();
    add(roots.max_by_key(size).into_iter().collect());
    cells.extend(cells_of_packs(known, is_of_cli));
    cells
}

fn cells_of_packs(known: &Known, is_of_cli: bool) -> Vec<Cell> {
    let mut packs: Vec<&String> = known.objects.keys().filter(|key| key.starts_with("packs/")).collect();
    let mut harms = HARMS.to_vec();
    harms.extend([1, 7].map(Harm::Truncate));
    if is_of_cli {
        harms = vec![Harm::Truncate(4), Harm::Flip(4)];
        packs.sort_by_key(|key| known.objects[*key].len());
    }
    let each = packs.iter().flat_map(|pack| {
        let cell = |harm: &Harm| Cell { key: (*pack).clone(), other: None, harm: *harm };
        harms.iter().map(cell).collect::<Vec<_>>()
    });
    let pairs = packs.iter().enumerate().flat_map(|(at, first)| packs[at + 1..].iter().map(|other| swap(first, other)));
    each.chain(pairs.take(if is_of_cli { 1 } else { usize::MAX })).collect()
}

fn swap(key: &str, other: &str) -> Cell {
    Cell { key: key.to_owned(), other: Some(other.to_owned()), harm: Harm::Swap }
}

impl Cell {
    /// The objects as they are then.
    pub(crate) fn apply(&self, known: &Known) -> Objects {
        let mut objects = known.objects.clone();
        match known.places.get(&self.key) {
            Some((pack, from, length)) => self.apply_packed(&mut objects, known, (pack, *from, *length)),
            None => self.apply_plain(&mut objects),
        }
        objects
    }

    /// What is done to what.
    pub(crate) fn name(&self) -> String {
        let Self { key, other, harm } = self;
        other.as_ref().map_or_else(|| format!("{harm:?} of {key}"), |other| format!("{harm:?} of {key} and {other}"))
    }

    /// The objects that are hit, also those in packs.
    pub(crate) fn hits(&self, known: &Known) -> Vec<String> {
        let keys = || [Some(&self.key), self.other.as_ref()].into_iter().flatten();
        let members = || known.places.iter().filter(|(_, place)| keys().any(|key| place.0 == *key)).map(|(key, _)| key);
        self.members(known).unwrap_or_else(|| keys().chain(members()).cloned().collect())
    }

    /// What is hit of a pack whose bit is flipped, the object there if any, or whose end is cut off, all that reach beyond the
    /// cut; `None` where everything in it is.
    pub(crate) fn members(&self, known: &Known) -> Option<Vec<String>> {
        let size = known.objects.get(&self.key).filter(|_| self.key.starts_with("packs/"))?.len();
        let is_hit = |from: usize, length: usize| match self.harm {
            Harm::Flip(eighths) => (from..from + length).contains(&(size * eighths / 8)),
            Harm::Truncate(eighths) => from + length > size * eighths / 8,
            Harm::Delete | Harm::Swap => true,
        };
        let is_partial = matches!(self.harm, Harm::Flip(_) | Harm::Truncate(_));
        let members = known.places.iter().filter(|(_, place)| place.0 == self.key && is_hit(place.1, place.2));
        is_partial.then(|| members.map(|(key, _)| key.clone()).collect())
    }

    fn apply_plain(&self, objects: &mut Objects) {
        let bytes = objects[&self.key].clone();
        match (self.harm, &self.other) {
            (Harm::Delete, _) => drop(objects.remove(&self.key)),
            (Harm::Truncate(eighths), _) => {
                objects.insert(self.key.clone(), bytes.slice(..bytes.len() * eighths / 8));
            }
            (Harm::Flip(eighths), _) => drop(objects.insert(self.key.clone(), flip(&bytes, bytes.len() * eighths / 8))),
            (Harm::Swap, Some(other)) => {
                let second = objects[other].clone();
                objects.insert(other.clone(), bytes);
                objects.insert(self.key.clone(), second);
            }
            (Harm::Swap, None) => unreachable!(),
        }
    }

    /// What is deleted from, cut or moved in a pack is so in the catalog; what is flipped, in the pack.
    fn apply_packed(&self, objects: &mut Objects, known: &Known, (pack, from, length): (&str, usize, usize)) {
        let mut catalog: Value = serde_json::from_slice(&objects["index/packs"]).unwrap();
        match (self.harm, &self.other) {
            (Harm::Flip(eighths), _) => {
                let flipped = flip(&objects[pack], from + length * eighths / 8);
                objects.insert(pack.to_owned(), flipped);
                return;
            }
            (Harm::Delete, _) => drop(catalog.as_object_mut().unwrap().remove(&self.key)),
            (Harm::Truncate(eighths), _) => catalog[&self.key]["l"] = json!(length * eighths / 8),
            (Harm::Swap, Some(other)) => {
                let place = |key: &str| {
                    let (pack, from, length) = &known.places[key];
                    json!({"p": pack, "o": from, "l": length})
                };
                catalog[&self.key] = place(other);
                catalog[other] = place(&self.key);
            }
            (Harm::Swap, None) => unreachable!(),
        }
        // In the order of fields that the format has.
        let text: Vec<String> = catalog
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, place)| format!("\"{key}\":{{\"p\":{},\"o\":{},\"l\":{}}}", place["p"], place["o"], place["l"]))
            .collect();
        objects.insert("index/packs".to_owned(), format!("{{{}}}", text.join(",")).into());
    }
}

fn flip(bytes: &Bytes, at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 0x10;
    bytes.into()
}
