//! What no writer relies on (`index/doomed`): what a prune is about to delete, what a repair has found damaged, and what
//! has lost its last name on purpose.
//!
//! A process may be stopped between its last look at its lock and a delete, and the delete arrives when another one has
//! backed up meanwhile. So a prune lists what it is about to delete before it does, and whoever writes neither believes
//! the footer of a pack that is listed, nor relies on an object by itself that is, nor writes it under its key again: it
//! stores it anew, in a pack, whose name no other pack ever had. Then such a delete removes what nobody needs. For what is
//! damaged the same keeps a backup from taking it for present.
//!
//! A pack without a footer is known to the catalog alone, and a program that writes that blindly makes others forget it.
//! So a pack of which nothing is known may hold a lost snapshot, and stays until a repair has looked into it; unless it is
//! listed as needless: by a prune that has found it so, by whoever took its last name from it, or by that repair. Snapshots
//! that were removed from the catalog on purpose are listed with their packs as long as these are there, for in there a
//! repair would find them again.
//!
//! Who reads may use what is listed for as long as it is there. An entry leaves when what it names is gone. A list that
//! cannot be read counts as one of everything for those who write, and of nothing for those who delete.

use serde::{Deserialize, Serialize};

use crate::crypto::{OpenError, Sealer};
use crate::object::{Hash, ObjectKind, ObjectRef, json};
use crate::store::{ObjectStore, StoreError, Version};

/// The key of the list.
pub const DOOMED_KEY: &str = "index/doomed";

/// The most bytes that it may decode to: some three million entries.
const PLAIN_MAX: usize = 256 << 20;

/// What no writer relies on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doomed {
    /// Packs that are damaged, sorted.
    damaged: Vec<Hash>,
    /// Packs in which nothing is that anybody could want back, sorted.
    needless: Vec<Hash>,
    /// Objects that lie by themselves, sorted.
    objects: Vec<ObjectRef>,
    /// Removed snapshots and the packs that they still lie in, sorted.
    forgotten: Vec<(ObjectRef, Hash)>,
    /// It cannot be read.
    everything: bool,
}

/// Its stored form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    damaged: Vec<String>,
    needless: Vec<String>,
    objects: Vec<ObjectRef>,
    forgotten: Vec<(ObjectRef, String)>,
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort_unstable();
    all.dedup();
    all
}

impl Doomed {
    /// A list of damaged packs, and of objects by themselves that are damaged.
    pub fn damaged(packs: Vec<Hash>, objects: Vec<ObjectRef>) -> Self {
        Self { damaged: sorted(packs), objects: sorted(objects), ..Self::default() }
    }

    /// A list of packs, and of objects by themselves, that nobody needs.
    pub fn needless(packs: Vec<Hash>, objects: Vec<ObjectRef>) -> Self {
        Self { needless: sorted(packs), objects: sorted(objects), ..Self::default() }
    }

    /// This list with removed snapshots, each with the pack that it lies in.
    pub fn with_forgotten(self, forgotten: Vec<(ObjectRef, Hash)>) -> Self {
        Self { forgotten: sorted(forgotten), ..self }
    }

    /// What is listed in a store now, and the version of the list if there is one.
    pub async fn read(store: &dyn ObjectStore, sealer: &Sealer) -> Result<(Self, Option<Version>), StoreError> {
        let (sealed, version) = match store.get_versioned(DOOMED_KEY).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok((Self::default(), None)),
            Err(error) => return Err(error),
        };
        let sealer = sealer.clone();
        let decoded = tokio::task::spawn_blocking(move || {
            let plain = sealer.open(&sealed, PLAIN_MAX).map_err(|problem| problem.to_string())?;
            Self::decode(&plain)
        });
        let doomed = decoded.await.map_err(|cause| cause.to_string()).and_then(|decoded| decoded);
        let doomed = doomed.unwrap_or_else(|problem| {
            tracing::warn!(
                problem,
                "{DOOMED_KEY} is damaged: what it may name is stored anew; the next prune replaces it"
            );
            Self { everything: true, ..Self::default() }
        });
        Ok((doomed, Some(version)))
    }

    /// The list as it is stored.
    ///
    /// # Errors
    /// If nobody could read it, for it would be too long.
    pub fn seal(&self, sealer: &Sealer) -> Result<Vec<u8>, OpenError> {
        let text = self.encode();
        if text.len() > PLAIN_MAX {
            return Err(OpenError::System(format!(
                "{DOOMED_KEY} would have {} bytes, more than can be read",
                text.len()
            )));
        }
        sealer.seal(&text)
    }

    /// The text of the list.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let keys = |packs: &[Hash]| packs.iter().map(pack_key).collect();
        json::encode(&Stored {
            damaged: keys(&self.damaged),
            needless: keys(&self.needless),
            objects: self.objects.clone(),
            forgotten: self.forgotten.iter().map(|(snapshot, pack)| (*snapshot, pack_key(pack))).collect(),
        })
    }

    fn decode(text: &[u8]) -> Result<Self, String> {
        let stored: Stored = json::decode(text).map_err(|problem| problem.to_string())?;
        let packs = |keys: Vec<String>| keys.iter().map(|key| pack(key)).collect::<Result<Vec<Hash>, String>>();
        let forgotten: Result<Vec<_>, String> =
            stored.forgotten.iter().map(|(snapshot, key)| Ok((*snapshot, pack(key)?))).collect();
        if forgotten.iter().flatten().any(|(snapshot, _)| snapshot.kind != ObjectKind::Snapshot) {
            return Err("something else is in the place of a snapshot".to_owned());
        }
        Ok(Self {
            damaged: sorted(packs(stored.damaged)?),
            ..Self::needless(packs(stored.needless)?, stored.objects).with_forgotten(forgotten?)
        })
    }

    /// Both lists in one.
    pub fn and(&self, other: &Self) -> Self {
        Self {
            damaged: sorted([&*self.damaged, &other.damaged].concat()),
            needless: sorted([&*self.needless, &other.needless].concat()),
            objects: sorted([&*self.objects, &other.objects].concat()),
            forgotten: sorted([&*self.forgotten, &other.forgotten].concat()),
            everything: self.everything || other.everything,
        }
    }

    /// What of it can be read, and is still to be listed. `is_needless` is asked of packs that there are.
    pub(crate) fn retained(
        &self,
        has_pack: impl Fn(&Hash) -> bool,
        is_needless: impl Fn(&Hash) -> bool,
        has_object: impl Fn(&ObjectRef) -> bool,
        is_forgotten: impl Fn(&ObjectRef, &Hash) -> bool,
    ) -> Self {
        let mut list = Self { everything: false, ..self.clone() };
        list.damaged.retain(&has_pack);
        list.needless.retain(|pack| has_pack(pack) && is_needless(pack));
        list.objects.retain(has_object);
        list.forgotten.retain(|(snapshot, pack)| is_forgotten(snapshot, pack));
        list
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it cannot be read.
    pub fn is_unreadable(&self) -> bool {
        self.everything
    }

    /// Whether a pack is listed, for whatever reason.
    pub fn has_pack(&self, pack: &Hash) -> bool {
        self.everything || self.is_needless(pack) || self.is_damaged(pack)
    }

    /// Whether it is sure that nobody could want anything back that is in a pack.
    pub fn is_needless(&self, pack: &Hash) -> bool {
        self.needless.binary_search(pack).is_ok()
    }

    /// Whether a pack is listed only because it is damaged.
    pub fn is_damaged(&self, pack: &Hash) -> bool {
        !self.is_needless(pack) && self.damaged.binary_search(pack).is_ok()
    }

    /// Whether a snapshot was removed that still lies in a pack.
    pub fn is_forgotten(&self, snapshot: &ObjectRef) -> bool {
        let at = self.forgotten.partition_point(|(listed, _)| listed < snapshot);
        self.forgotten.get(at).is_some_and(|(listed, _)| listed == snapshot)
    }

    /// Whether an object that lies by itself is listed.
    pub fn has(&self, object: &ObjectRef) -> bool {
        self.everything || self.objects.binary_search(object).is_ok()
    }
}

fn pack_key(pack: &Hash) -> String {
    format!("packs/{pack}")
}

fn pack(key: &str) -> Result<Hash, String> {
    let name = key.strip_prefix("packs/").ok_or_else(|| "something else is in the place of a pack".to_owned())?;
    name.parse().map_err(|problem| format!("{problem}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn what_was_listed_is_listed_and_what_cannot_be_read_lists_everything() {
        let (store, sealer) = (MemoryStore::default(), Sealer::new(None));
        let [pack, damaged, other] = ["pack", "damaged", ""].map(|name| Hash::of(name.as_bytes()));
        let [chunk, snapshot] = [ObjectKind::Chunk, ObjectKind::Snapshot].map(|kind| ObjectRef::new(kind, other));
        let (none, version) = Doomed::read(&store, &sealer).await.unwrap();
        assert!(version.is_none() && !none.has_pack(&pack) && !none.has(&chunk) && none.is_empty());
        let doomed = Doomed::needless(vec![pack, pack], vec![chunk]).with_forgotten(vec![(snapshot, pack)]);
        let doomed = doomed.and(&Doomed::damaged(vec![damaged, pack], Vec::new()));
        store.put(DOOMED_KEY, doomed.seal(&sealer).unwrap().into()).await.unwrap();
        let (read, version) = Doomed::read(&store, &sealer).await.unwrap();
        assert!(version.is_some() && read == doomed && read.has_pack(&pack) && read.has(&chunk));
        assert!(read.is_needless(&pack) && !read.is_damaged(&pack) && read.has_pack(&damaged));
        assert!(read.is_damaged(&damaged) && !read.is_needless(&damaged) && read.is_forgotten(&snapshot));
        assert!(!read.has_pack(&other) && !read.has(&ObjectRef::new(ObjectKind::Content, chunk.hash)));
        for text in ["nonsense", "[\"packs/1\"]", "[\"index/latest\"]", "{}"] {
            store.put(DOOMED_KEY, text.as_bytes().to_vec().into()).await.unwrap();
            let (read, _) = Doomed::read(&store, &sealer).await.unwrap();
            assert!(read.has_pack(&pack) && read.has(&chunk) && read.is_unreadable(), "{text}");
            // That is no leave to delete anything.
            assert!(!read.is_needless(&pack) && !read.is_damaged(&pack) && !read.is_forgotten(&snapshot), "{text}");
        }
    }

    #[test]
    fn only_what_is_gone_leaves_the_list() {
        let [here, gone] = ["here", "gone"].map(|name| Hash::of(name.as_bytes()));
        let objects = [here, gone].map(|hash| ObjectRef::new(ObjectKind::Chunk, hash));
        let list =
            Doomed::needless(vec![here, gone], objects.to_vec()).and(&Doomed::damaged(vec![here, gone], Vec::new()));
        let is_here = |pack: &Hash| *pack == here;
        let left = list.retained(is_here, |_| true, |object| object.hash == here, |_, _| true);
        assert_eq!(left, Doomed::needless(vec![here], vec![objects[0]]).and(&Doomed::damaged(vec![here], Vec::new())));
        assert!(list.retained(is_here, |_| false, |_| false, |_, _| false).is_damaged(&here));
    }
}
