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
    /// To half of its length.
    Truncate,
    /// A bit, at so many eighths of its length.
    Flip(usize),
    Swap,
}

const HARMS: [Harm; 5] = [Harm::Delete, Harm::Truncate, Harm::Flip(0), Harm::Flip(4), Harm::Flip(7)];

/// Every kind of object and of damage.
pub(crate) fn cells(known: &Known) -> Vec<Cell> {
    let mut cells = Vec::new();
    let mut add = |mut keys: Vec<String>| {
        keys.truncate(2);
        let Some(key) = keys.first() else { return };
        let other = keys.get(1).cloned();
        cells.extend(HARMS.map(|harm| Cell { key: key.clone(), other: None, harm }));
        cells.extend(other.is_some().then(|| Cell { key: key.clone(), other: other.clone(), harm: Harm::Swap }));
    };
    for kind in ObjectKind::ALL {
        for packed in [true, false] {
            add(known.some(kind, packed));
        }
    }
    for prefix in ["packs/", "keys/"] {
        add(known.objects.keys().filter(|key| key.starts_with(prefix)).cloned().collect());
    }
    for key in ["index/packs", "index/snapshots", "index/latest", "config"] {
        add([key].into_iter().filter(|key| known.objects.contains_key(*key)).map(str::to_owned).collect());
    }
    // What a snapshot begins with.
    let roots = known.some(ObjectKind::Node, true).into_iter().chain(known.some(ObjectKind::Node, false));
    let size = |node: &String| known.needing(node).values().map(std::collections::BTreeSet::len).max();
    add(roots.max_by_key(size).into_iter().collect());
    cells
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

    /// What is hit of a pack whose bit is flipped, the object there if any, or whose end is cut off, all that reach beyond the
    /// cut; `None` where everything in it is.
    pub(crate) fn members(&self, known: &Known) -> Option<Vec<String>> {
        let size = known.objects.get(&self.key).filter(|_| self.key.starts_with("packs/"))?.len();
        let is_hit = |from: usize, length: usize| match self.harm {
            Harm::Flip(eighths) => (from..from + length).contains(&(size * eighths / 8)),
            Harm::Truncate => from + length > size / 2,
            Harm::Delete | Harm::Swap => true,
        };
        let is_partial = matches!(self.harm, Harm::Flip(_) | Harm::Truncate);
        let members = known.places.iter().filter(|(_, place)| place.0 == self.key && is_hit(place.1, place.2));
        is_partial.then(|| members.map(|(key, _)| key.clone()).collect())
    }

    fn apply_plain(&self, objects: &mut Objects) {
        let bytes = objects[&self.key].clone();
        match (self.harm, &self.other) {
            (Harm::Delete, _) => drop(objects.remove(&self.key)),
            (Harm::Truncate, _) => drop(objects.insert(self.key.clone(), bytes.slice(..bytes.len() / 2))),
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
            (Harm::Truncate, _) => catalog[&self.key]["l"] = json!(length / 2),
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
