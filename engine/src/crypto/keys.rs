//! The key hierarchy (format, section 3): master key → encryption key → dedup key.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::object::Hash;

/// The root of all keys: 32 random bytes that exist in plain only in memory.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// A new random key.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether another one is the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0 == other.0
    }

    /// The keys that a repository works with.
    pub fn derive(&self) -> RepositoryKeys {
        let encryption = derive(self.0.as_slice(), b"cloudstic-backup-v1");
        let dedup = derive(encryption.as_slice(), b"cloudstic-dedup-mac-v1");
        RepositoryKeys { encryption, dedup }
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// The keys of an encrypted repository.
#[derive(Clone)]
pub struct RepositoryKeys {
    encryption: Zeroizing<[u8; 32]>,
    dedup: Zeroizing<[u8; 32]>,
}

impl RepositoryKeys {
    /// Whether others are the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.encryption == other.encryption
    }

    pub(super) fn encryption(&self) -> &[u8; 32] {
        &self.encryption
    }

    /// HMAC-SHA256 under the dedup key: the name of a chunk, or of the content with this hex hash.
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    pub fn dedup_name(&self, data: &[u8]) -> Hash {
        let mac = Hmac::<Sha256>::new_from_slice(self.dedup.as_slice()).expect("a key of any length");
        Hash::from_bytes(mac.chain_update(data).finalize().into_bytes().into())
    }

    /// What keyed chunk boundaries XOR into every entry of the gear table.
    pub fn chunker_seed(&self) -> u64 {
        let bytes = derive(self.dedup.as_slice(), b"cloudstic-chunker-v1");
        bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }
}

impl std::fmt::Debug for RepositoryKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RepositoryKeys(…)")
    }
}

#[expect(clippy::expect_used, reason = "HKDF-SHA256 gives up to 8,160 bytes, and 32 are asked for")]
fn derive(secret: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, secret).expand(info, key.as_mut_slice()).expect("32 bytes");
    key
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The values that the original CLI derived, from the golden repository's record.
    #[test]
    fn derived_keys_are_those_of_the_cli() {
        let master = hex::decode("a3e3f50ab92c9980fab2a4ffb8885d9be7455a75986e241ef4f4293263950fe6").unwrap();
        let keys = MasterKey::from_bytes(&master).unwrap().derive();
        let expected = [
            "704f6519c87484724aaf887d5cd6eb979bc3dd236348f5895c796449f20f9636",
            "4669a2edac4cc220755da25ebc79b2907b000dbf295107e843f771e5a4a6162d",
        ];
        assert_eq!(hex::encode(keys.encryption.as_slice()), expected[0]);
        assert_eq!(hex::encode(keys.dedup.as_slice()), expected[1]);
    }

    #[test]
    fn debug_output_shows_no_key() {
        let master = MasterKey::from_bytes(&[0xab; 32]).unwrap();
        assert_eq!(format!("{master:?} {:?}", master.derive()), "MasterKey(…) RepositoryKeys(…)");
    }
}
