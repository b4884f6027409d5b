//! The list of what a prune is about to delete (`index/doomed`).
//!
//! A process may be stopped between its last look at its lock and a delete, and the delete arrives when another one has
//! backed up meanwhile. So a prune lists what it is about to delete before it does, and whoever writes neither believes
//! the footer of a pack that is listed, nor relies on an object by itself that is, nor writes it under its key again: it
//! stores it anew, in a pack, whose name no other pack ever had. Then such a delete removes what nobody needs.
//!
//! Who reads may use what is listed for as long as it is there. An entry too many costs room and nothing else, so a list
//! that cannot be read counts as one of everything.

use crate::crypto::Sealer;
use crate::object::{Hash, ObjectRef, json};
use crate::store::{ObjectStore, StoreError, Version};

/// The key of the list.
pub const DOOMED_KEY: &str = "index/doomed";

/// The most bytes that it may decode to.
const PLAIN_MAX: usize = 64 << 20;

/// What is about to be deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doomed {
    /// The packs, sorted.
    packs: Vec<Hash>,
    /// The objects that lie by themselves, sorted.
    objects: Vec<ObjectRef>,
    /// It cannot be read.
    everything: bool,
}

impl Doomed {
    /// A list of these packs and objects by themselves.
    pub fn new(mut packs: Vec<Hash>, mut objects: Vec<ObjectRef>) -> Self {
        packs.sort_unstable();
        packs.dedup();
        objects.sort_unstable();
        objects.dedup();
        Self { packs, objects, everything: false }
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

    /// The text of the list.
    pub fn encode(&self) -> Vec<u8> {
        let packs = self.packs.iter().map(|pack| format!("packs/{pack}"));
        json::encode(&packs.chain(self.objects.iter().map(ObjectRef::key)).collect::<Vec<_>>())
    }

    fn decode(text: &[u8]) -> Result<Self, String> {
        let keys: Vec<String> = json::decode(text).map_err(|problem| problem.to_string())?;
        let (mut packs, mut objects) = (Vec::new(), Vec::new());
        for key in keys {
            match key.strip_prefix("packs/") {
                Some(pack) => packs.push(pack.parse().map_err(|problem| format!("{problem}"))?),
                None => objects.push(key.parse().map_err(|problem| format!("{problem}"))?),
            }
        }
        Ok(Self::new(packs, objects))
    }

    /// Both lists in one.
    pub fn and(&self, other: &Self) -> Self {
        Self {
            everything: self.everything || other.everything,
            ..Self::new([&*self.packs, &other.packs].concat(), [&*self.objects, &other.objects].concat())
        }
    }

    /// Whether a pack is listed.
    pub fn has_pack(&self, pack: &Hash) -> bool {
        self.everything || self.packs.binary_search(pack).is_ok()
    }

    /// Whether an object that lies by itself is.
    pub fn has(&self, object: &ObjectRef) -> bool {
        self.everything || self.objects.binary_search(object).is_ok()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::object::ObjectKind;
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn what_was_listed_is_listed_and_what_cannot_be_read_lists_everything() {
        let (store, sealer) = (MemoryStore::default(), Sealer::new(None));
        let (pack, chunk) = (Hash::of(b"pack"), ObjectRef::new(ObjectKind::Chunk, Hash::of(b"chunk")));
        let (none, version) = Doomed::read(&store, &sealer).await.unwrap();
        assert!(version.is_none() && !none.has_pack(&pack) && !none.has(&chunk));
        let doomed = Doomed::new(vec![pack, pack], vec![chunk]);
        store.put(DOOMED_KEY, sealer.seal(&doomed.encode()).unwrap().into()).await.unwrap();
        let (read, version) = Doomed::read(&store, &sealer).await.unwrap();
        assert!(version.is_some() && read == doomed && read.has_pack(&pack) && read.has(&chunk));
        assert!(!read.has_pack(&Hash::of(b"")) && !read.has(&ObjectRef::new(ObjectKind::Content, chunk.hash)));
        assert_eq!(doomed.and(&Doomed::new(vec![Hash::of(b"")], Vec::new())).packs.len(), 2);
        for text in ["nonsense", "[\"packs/1\"]", "[\"index/latest\"]", "{}"] {
            store.put(DOOMED_KEY, text.as_bytes().to_vec().into()).await.unwrap();
            let (read, _) = Doomed::read(&store, &sealer).await.unwrap();
            assert!(read.has_pack(&pack) && read.has(&chunk), "{text}");
        }
    }
}
