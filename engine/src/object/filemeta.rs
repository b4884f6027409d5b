//! The metadata of one file or folder (format, sections 6 and 11.3).

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::reference::{ObjectKind, ObjectRef};

/// One file's or folder's metadata. Its name is the SHA-256 of its canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// 0 for local and SFTP sources, 1 for cloud sources.
    pub version: u32,
    /// What names the entry in its source; for local and SFTP sources the path.
    #[serde(rename = "fileId")]
    pub file_id: String,
    /// Its name; see [`FileMeta::name_bytes`] for what it is called on disk.
    pub name: String,
    /// File or folder; what is neither is a `file` with [`Posix::kind`].
    #[serde(rename = "type")]
    pub entry_type: EntryType,
    /// The fileIds (old writers: filemeta references) of its parents; `None` at the top of a local or SFTP source.
    pub parents: Option<Vec<String>>,
    /// Only read: new writers leave it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The hex SHA-256 of a file's bytes, `""` if none.
    pub content_hash: String,
    /// The name of the content object, `""` if none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub content_ref: String,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970, negative before; the nanoseconds are in [`Posix::mtime_nsec`].
    pub mtime: i64,
    /// The owner in a cloud source.
    pub owner: String,
    /// What the base fields cannot say.
    #[serde(default, skip_serializing_if = "Extra::is_empty", deserialize_with = "null_as_default")]
    pub extra: Extra,
    /// `st_mode & 0o7777`; 0 is left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mode: u32,
    /// The owner's number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// The group's number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
    /// Birth time in whole seconds, 0 if the source has none.
    #[serde(default, skip_serializing_if = "is_zero_i64")]
    pub btime: i64,
    /// Inode flags (FS_IOC_GETFLAGS).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flags: u32,
    /// Extended attributes: name to base64 of the value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub xattrs: BTreeMap<String, String>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryType {
    /// A regular file, or with [`Posix::kind`] something else that is not a folder.
    File,
    /// A folder.
    Folder,
}

impl FileMeta {
    /// The POSIX extras, if any.
    pub fn posix(&self) -> Option<&Posix> {
        self.extra.posix.as_deref()
    }

    /// What it is besides an ordinary file or folder.
    pub fn kind(&self) -> Option<Kind> {
        self.posix().and_then(|posix| posix.kind)
    }

    /// The name as the file system has it; an error if the stored bytes are not base64.
    pub fn name_bytes(&self) -> Result<Cow<'_, [u8]>, base64::DecodeError> {
        match self.posix().and_then(|posix| posix.name_b64.as_ref()) {
            Some(encoded) => Ok(BASE64_STANDARD.decode(encoded)?.into()),
            None => Ok(self.name.as_bytes().into()),
        }
    }

    /// The first parent as stored, `None` at the top.
    pub fn parent(&self) -> Option<&str> {
        self.parents.as_deref()?.first().map(String::as_str).filter(|parent| !parent.is_empty())
    }

    /// The content object of an ordinary file; `None` for folders and special files, or if the names are no hashes.
    pub fn content(&self) -> Option<ObjectRef> {
        let name = if self.content_ref.is_empty() { &self.content_hash } else { &self.content_ref };
        name.parse::<Hash>().ok().map(|hash| ObjectRef::new(ObjectKind::Content, hash))
    }

    /// Nanoseconds of the modification time.
    pub fn mtime_nsec(&self) -> u32 {
        self.posix().map_or(0, |posix| posix.mtime_nsec)
    }
}

/// The `extra` map: the POSIX extras of this project, and whatever other writers put beside them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extra {
    /// The POSIX extras, only where they are needed.
    pub posix: Option<Box<Posix>>,
    /// Everything else.
    pub other: BTreeMap<String, serde_json::Value>,
}

impl Extra {
    /// Keeps `posix` if it says anything.
    pub fn from_posix(posix: Posix) -> Self {
        let posix = (posix != Posix::default()).then(|| Box::new(posix));
        Self { posix, other: BTreeMap::new() }
    }

    fn is_empty(&self) -> bool {
        self.posix.is_none() && self.other.is_empty()
    }
}

const POSIX: &str = "posix";

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.other.iter().filter(|(key, _)| key.as_str() < POSIX) {
            map.serialize_entry(key, value)?;
        }
        if let Some(posix) = &self.posix {
            map.serialize_entry(POSIX, posix)?;
        }
        for (key, value) in self.other.iter().filter(|(key, _)| key.as_str() > POSIX) {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ExtraVisitor;
        impl<'de> Visitor<'de> for ExtraVisitor {
            type Value = Extra;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Extra, A::Error> {
                let mut extra = Extra::default();
                while let Some(key) = map.next_key::<String>()? {
                    if key == POSIX {
                        extra.posix = Some(map.next_value()?);
                    } else {
                        extra.other.insert(key, map.next_value()?);
                    }
                }
                Ok(extra)
            }
        }
        deserializer.deserialize_map(ExtraVisitor)
    }
}

/// What a Linux tree has and the base fields cannot say (format, section 11.3). Fields are in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posix {
    /// The fileId of the first name of this file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardlink: Option<String>,
    /// What it is, if neither ordinary file nor folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// Nanoseconds of the modification time, 1 to 999,999,999.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub mtime_nsec: u32,
    /// The bytes of a name that is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_b64: Option<String>,
    /// The major number of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rdev_major: Option<u32>,
    /// The minor number of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rdev_minor: Option<u32>,
    /// Fewer blocks are allocated than the size needs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub sparse: bool,
    /// Where a symlink points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The same where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_b64: Option<String>,
}

impl Posix {
    /// The target of a symlink as bytes; `None` if there is none or it is not base64.
    pub fn target_bytes(&self) -> Option<Vec<u8>> {
        match (&self.target, &self.target_b64) {
            (_, Some(encoded)) => BASE64_STANDARD.decode(encoded).ok(),
            (Some(target), None) => Some(target.clone().into_bytes()),
            (None, None) => None,
        }
    }
}

/// What is neither an ordinary file nor a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    Char,
    /// A block device.
    Block,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_zero_i64(n: &i64) -> bool {
    *n == 0
}

fn is_false(b: &bool) -> bool {
    !*b
}

fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
