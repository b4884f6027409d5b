//! What may go wrong with a file of a repository, and what of it a restore cannot tell.

use bytes::Bytes;

use super::sound::Sound;
use crate::memory::Objects;

/// One thing that went wrong with a file of a repository.
#[derive(Debug, Clone)]
pub(super) struct Damage {
    pub(super) key: String,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Flip { at: usize, mask: u8 },
    Truncate { length: usize },
    Delete,
}

impl Damage {
    pub(super) fn at(&self) -> Option<usize> {
        match self.kind {
            Kind::Flip { at, .. } => Some(at),
            Kind::Truncate { .. } | Kind::Delete => None,
        }
    }

    /// The first byte that is not what it was.
    pub(super) fn first(&self) -> usize {
        match self.kind {
            Kind::Flip { at, .. } => at,
            Kind::Truncate { length } => length,
            Kind::Delete => 0,
        }
    }

    pub(super) fn apply(&self, objects: &Objects) -> Objects {
        let mut objects = objects.clone();
        match self.kind {
            Kind::Delete => drop(objects.remove(&self.key)),
            Kind::Truncate { length } => {
                objects.entry(self.key.clone()).and_modify(|bytes| bytes.truncate(length));
            }
            Kind::Flip { at, mask } => {
                let mut bytes = objects[&self.key].to_vec();
                bytes[at] ^= mask;
                objects.insert(self.key.clone(), Bytes::from(bytes));
            }
        }
        objects
    }
}

/// Every byte of a small file, every third of a larger one, and some of a large one.
pub(super) fn flips(objects: &Objects) -> Vec<Damage> {
    let mut damages = Vec::new();
    for (key, bytes) in objects {
        let step = match bytes.len() {
            0..2_000 => 1,
            2_000..100_000 => 3,
            _ => 9_973,
        };
        for at in (0..bytes.len()).step_by(step) {
            // One bit or all of them: each is a likely fault, and each finds what the other does not.
            let mask = if at % 2 == 0 { 0x01 << (at / 2 % 8) } else { 0xff };
            damages.push(Damage { key: key.clone(), kind: Kind::Flip { at, mask } });
        }
    }
    damages
}

pub(super) fn losses(objects: &Objects) -> Vec<Damage> {
    let mut damages = Vec::new();
    for (key, bytes) in objects {
        let lengths = [0, 1, bytes.len() / 2, bytes.len() - 1];
        let kinds = lengths.map(|length| Kind::Truncate { length }).into_iter().chain([Kind::Delete]);
        damages.extend(kinds.map(|kind| Damage { key: key.clone(), kind }));
    }
    damages
}

/// Why the error of a restore cannot name what was hit.
pub(super) fn cannot_be_named(sound: &Sound, damage: &Damage) -> Option<&'static str> {
    let is_gone = matches!(damage.kind, Kind::Delete);
    match damage.key.as_str() {
        "config" if is_gone => Some("without a marker there is no repository"),
        "config" if within(sound, damage, "\"version\":", ",") => {
            Some("another version is another format; the error says so")
        }
        "keys/platform-default" if is_gone => Some("a slot that is gone cannot be told from one that never was"),
        "keys/platform-default" if within(sound, damage, "\"wrapped_key\":\"", "\"") => {
            Some("a damaged slot cannot be told from a wrong credential; the error says both")
        }
        _ => None,
    }
}

/// Why a restore of the latest snapshot says nothing of some damage: it does not look there, or nothing is lost.
pub(super) fn need_not_be_told(sound: &Sound, damage: &Damage) -> Option<&'static str> {
    const OTHER: &str = "only the older snapshot needs it";
    let is_gone = matches!(damage.kind, Kind::Delete);
    match damage.key.as_str() {
        "config" if within(sound, damage, "\"created\":\"", "\"") => Some("when a repository was made is for people"),
        "keys/recovery-default" => Some("another slot has opened"),
        "keys/platform-default" if within(sound, damage, "\"label\":\"", "\"") => {
            Some("the label of a slot is for people")
        }
        key if key.starts_with("index/") && is_gone => {
            Some("it can be made from the rest, and there are repositories without it")
        }
        "index/packs" => {
            let mut others = sound.members.keys().filter(|object| !sound.needed.contains(*object));
            others.find(|object| sound.entry(object).contains(&damage.at().unwrap_or(usize::MAX))).map(|_| OTHER)
        }
        key if key.starts_with("snapshot/") && key != sound.latest => Some("another snapshot is asked for"),
        key => {
            if key.starts_with("packs/") && sound.is_behind_all(damage) {
                return Some("a pack of which a restore needs no more than two objects is not read whole");
            }
            let (object, range) = sound.hit(damage)?;
            if !object.starts_with("index/") && !sound.needed.contains(&object) {
                return Some(OTHER);
            }
            let open = |objects: &Objects| sound.sealer.open(&objects[key][range.clone()], 1 << 20).ok();
            let is_same = open(&damage.apply(&sound.objects)) == open(&sound.objects);
            is_same.then_some("a compressed frame has bits without a meaning")
        }
    }
}

/// Whether the damage is in what follows `start` in its file, up to the next `end`.
fn within(sound: &Sound, damage: &Damage, start: &str, end: &str) -> bool {
    let text = String::from_utf8_lossy(&sound.objects[&damage.key]);
    let (Some(at), Some(found)) = (damage.at(), text.find(start)) else { return false };
    let from = found + start.len();
    (from..from + text[from..].find(end).unwrap()).contains(&at)
}
