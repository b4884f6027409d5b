//! Which object is meant.

use std::fmt;
use std::str::FromStr;

use crate::object::{Hash, ObjectRef};
use crate::pack::{CATALOG_KEY, DOOMED_KEY};

/// An object of a repository: `snapshot/…` (also abbreviated, or `latest`), `node/…`, `filemeta/…`, `content/…`,
/// `chunk/…`, `packs/…`, `index/latest`, `index/snapshots`, `index/packs`, `index/doomed`, a lock, `keys/…` or
/// `config`. Nothing else that lies in the store can be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// An object that is named by a hash.
    Object(ObjectRef),
    /// A snapshot by a name that has to be looked up.
    Snapshot(String),
    /// A pack.
    Pack(Hash),
    /// `index/latest`, `index/snapshots` or `index/doomed`.
    Index(&'static str),
    /// `index/packs`.
    Catalog,
    /// A lock.
    Lock(String),
    /// A key slot.
    Slot(String),
    /// `config`.
    Marker,
}

/// A key that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no key of an object: give snapshot/, node/, filemeta/, content/, chunk/ or packs/ and a hash, \
     index/latest, index/snapshots, index/packs, index/doomed, keys/ and the name of a slot, or config"
)]
pub struct KeyError(pub String);

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let wrong = || KeyError(text.to_owned());
        if let Ok(object) = text.parse() {
            return Ok(Self::Object(object));
        }
        match text {
            "config" => return Ok(Self::Marker),
            "latest" => return Ok(Self::Snapshot(text.to_owned())),
            "index/latest" => return Ok(Self::Index("index/latest")),
            "index/snapshots" => return Ok(Self::Index("index/snapshots")),
            "index/lock.exclusive" => return Ok(Self::Lock(text.to_owned())),
            _ if text == DOOMED_KEY => return Ok(Self::Index(DOOMED_KEY)),
            _ if text == CATALOG_KEY => return Ok(Self::Catalog),
            _ => {}
        }
        let (kind, name) = text.rsplit_once('/').ok_or_else(wrong)?;
        let is_name = !name.is_empty() && name != "." && name != ".." && !name.contains('\0');
        match kind {
            "snapshot" if is_name => Ok(Self::Snapshot(name.to_owned())),
            "packs" => Ok(Self::Pack(name.parse().map_err(|_| wrong())?)),
            "keys" if is_name => Ok(Self::Slot(text.to_owned())),
            "index/lock.shared" if is_name => Ok(Self::Lock(text.to_owned())),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(object) => object.fmt(f),
            Self::Snapshot(name) => write!(f, "snapshot/{name}"),
            Self::Pack(hash) => write!(f, "packs/{hash}"),
            Self::Index(key) => f.write_str(key),
            Self::Catalog => f.write_str(CATALOG_KEY),
            Self::Lock(key) | Self::Slot(key) => f.write_str(key),
            Self::Marker => f.write_str("config"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_named_keeps_its_name() {
        let hash = Hash::of(b"x");
        let known = ["chunk", "content", "filemeta", "node", "snapshot", "packs"].map(|kind| format!("{kind}/{hash}"));
        let indexes = ["index/latest", "index/snapshots", "index/packs", "index/doomed"];
        let more = ["index/lock.exclusive", "config", "snapshot/ab12"];
        let slots = ["keys/password-default", "index/lock.shared/2026-01-01T00:00:00.5Z"];
        for key in known.iter().map(String::as_str).chain(indexes).chain(more).chain(slots) {
            assert_eq!(key.parse::<Key>().unwrap().to_string(), key);
        }
    }

    #[test]
    fn nothing_else_in_the_store_or_beside_it_can() {
        for key in [
            "",
            "/",
            "config/",
            "keys/",
            "keys/..",
            "keys/../config",
            "../x",
            "/etc/passwd",
            "index/other",
            "node/abc",
            "packs/..",
            "keys/a/b",
            "snapshot/",
        ] {
            assert_eq!(key.parse::<Key>(), Err(KeyError(key.to_owned())), "{key}");
        }
    }
}
