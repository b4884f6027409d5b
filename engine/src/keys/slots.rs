//! The key slots that there are, as they are stored.

use bytes::Bytes;
use futures::stream::TryStreamExt;

use crate::crypto::{MasterKey, SlotError, check_slot, open_slot};
use crate::object::{KeySlot, SlotType, json};
use crate::repository::{Credential, Repository, RepositoryError};
use crate::store::{ObjectStore, Version};

/// What the keys of slots begin with.
pub(super) const PREFIX: &str = "keys/";

/// The key slots of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotList {
    /// Whether the repository is encrypted; if not, it has no slots.
    pub encrypted: bool,
    /// All slots by name, damaged ones too.
    pub slots: Vec<SlotInfo>,
}

/// What can be told of a slot: nothing that helps to open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotInfo {
    /// Its name, `password-default`: its key without `keys/`.
    pub name: String,
    /// Its type; `None` if it cannot be read.
    pub slot_type: Option<SlotType>,
    /// Its label; empty if it cannot be read.
    pub label: String,
    /// For a password how it becomes a key: algorithm, passes, KiB of memory, lanes.
    pub kdf: Option<(String, u32, u32, u32)>,
    /// Why it opens nothing; `None` if it is sound as far as can be told without its credential.
    pub problem: Option<String>,
}

/// The key slots of an open repository.
pub async fn list(repository: &Repository) -> Result<SlotList, RepositoryError> {
    let encrypted = repository.marker().encrypted;
    let slots = if encrypted { Slots::read(&**repository.store()).await?.0 } else { Vec::new() };
    Ok(SlotList { encrypted, slots: slots.into_iter().map(SlotInfo::from).collect() })
}

/// All slots, sorted by name.
#[derive(Debug)]
pub(super) struct Slots(pub(super) Vec<StoredSlot>);

/// A slot as it is stored.
#[derive(Debug, Clone)]
pub(super) struct StoredSlot {
    pub(super) name: String,
    pub(super) bytes: Bytes,
    pub(super) version: Version,
    /// What it says, and what is wrong with that.
    pub(super) parsed: Option<KeySlot>,
    pub(super) problem: Option<String>,
}

impl Slots {
    pub(super) async fn read(store: &dyn ObjectStore) -> Result<Self, RepositoryError> {
        let mut keys: Vec<String> = store.list(PREFIX).map_ok(|stat| stat.key).try_collect().await?;
        keys.sort();
        let mut slots = Vec::new();
        for key in keys {
            let (bytes, version) = match store.get_versioned(&key).await {
                Ok(found) => found,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            slots.push(StoredSlot::new(&key, bytes, version));
        }
        Ok(Self(slots))
    }

    pub(super) fn find(&self, name: &str) -> Option<&StoredSlot> {
        self.0.iter().find(|slot| slot.name == name)
    }

    /// Those that are sound, of all types.
    pub(super) fn sound(&self) -> Vec<&StoredSlot> {
        self.0.iter().filter(|slot| slot.problem.is_none()).collect()
    }

    /// The same without the one of this name.
    pub(super) fn sound_but(&self, name: &str) -> Vec<&StoredSlot> {
        self.sound().into_iter().filter(|slot| slot.name != name).collect()
    }

    /// Their names, for messages.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|slot| slot.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }
}

/// The first slot that one of the credentials opens, and what is in it. Some 150 ms of CPU for each password that is
/// tried. A credential that is malformed must not keep the others from opening.
pub(super) fn open<'a>(
    slots: &[&'a StoredSlot],
    credentials: &[Credential],
) -> Result<Option<(&'a StoredSlot, MasterKey)>, SlotError> {
    let mut failure = None;
    for credential in credentials {
        for &stored in slots {
            let Some(slot) = &stored.parsed else { continue };
            match open_slot(slot, credential) {
                Ok(Some(master)) => return Ok(Some((stored, master))),
                Ok(None) => {}
                Err(error) => failure = Some(error),
            }
        }
    }
    failure.map_or(Ok(None), Err)
}

impl StoredSlot {
    fn new(key: &str, bytes: Bytes, version: Version) -> Self {
        let name = key.strip_prefix(PREFIX).unwrap_or(key).to_owned();
        let (parsed, problem) = match json::decode::<KeySlot>(&bytes) {
            Ok(slot) => {
                let misplaced = (slot.key() != key).then(|| format!("it says that it is {}", slot.key()));
                let problem = misplaced.or_else(|| check_slot(&slot).err().map(|error| error.to_string()));
                (Some(slot), problem)
            }
            Err(cause) => (None, Some(format!("it is no key slot that this program knows: {cause}"))),
        };
        Self { name, bytes, version, parsed, problem }
    }

    pub(super) fn is(&self, slot_type: SlotType) -> bool {
        self.parsed.as_ref().is_some_and(|slot| slot.slot_type == slot_type)
    }

    pub(super) fn key(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

impl From<StoredSlot> for SlotInfo {
    fn from(StoredSlot { name, parsed, problem, .. }: StoredSlot) -> Self {
        let slot_type = parsed.as_ref().map(|slot| slot.slot_type);
        let (label, kdf) = parsed.map_or_else(Default::default, |slot| (slot.label, slot.kdf_params));
        let kdf = kdf.map(|kdf| (kdf.algorithm, kdf.time, kdf.memory, kdf.threads));
        Self { name, slot_type, label, kdf, problem }
    }
}
