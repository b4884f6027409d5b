//! The plain JSON objects of the base store: `config` and `keys/*` (format, section 3).

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The repository marker, `config`. A repository without it is not initialised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryMarker {
    /// The version of the format: 1.
    pub version: u32,
    /// When the repository was made.
    pub created: Timestamp,
    /// Whether objects are encrypted.
    pub encrypted: bool,
    /// How files are cut; absent means the CLI's boundaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunker: Option<ChunkerKind>,
}

/// A chunker other than the CLI's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkerKind {
    /// Boundaries that depend on the dedup key, so that stored sizes do not tell which known files are inside.
    Keyed,
}

/// What opens a key slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SlotType {
    /// A password, by Argon2id.
    #[serde(rename = "password")]
    Password,
    /// 32 raw bytes.
    #[serde(rename = "platform")]
    Platform,
    /// 24 recovery words (BIP39).
    #[serde(rename = "recovery")]
    Recovery,
    /// AWS KMS.
    #[serde(rename = "kms-platform")]
    KmsPlatform,
}

impl SlotType {
    /// The name in the format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Platform => "platform",
            Self::Recovery => "recovery",
            Self::KmsPlatform => "kms-platform",
        }
    }
}

/// A key slot, `keys/<slot_type>-<label>`: the master key, wrapped by a wrapping key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySlot {
    /// What opens it.
    pub slot_type: SlotType,
    /// The wrapped master key, base64.
    pub wrapped_key: String,
    /// Its name among the slots of its type.
    pub label: String,
    /// How the password becomes the wrapping key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kdf_params: Option<KdfParams>,
}

impl KeySlot {
    /// Its key in the store.
    pub fn key(&self) -> String {
        format!("keys/{}-{}", self.slot_type.as_str(), self.label)
    }
}

/// The parameters of Argon2id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KdfParams {
    /// `argon2id`.
    pub algorithm: String,
    /// 32 random bytes, base64.
    pub salt: String,
    /// Passes.
    pub time: u32,
    /// KiB.
    pub memory: u32,
    /// Lanes.
    pub threads: u32,
}
