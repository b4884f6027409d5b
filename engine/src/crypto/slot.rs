//! Key slots: the master key, wrapped by what a user has (format, section 3).

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::prelude::{BASE64_STANDARD, Engine};
use bip39::{Language, Mnemonic};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::keys::MasterKey;
use super::service::{KeyService, KeyServiceError};
use super::{OpenError, aead};
use crate::object::{KdfParams, KeySlot, SlotType};

/// What can open a key slot. `Debug` never shows the secret.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A password.
    Password(SecretString),
    /// 32 bytes as 64 hex digits.
    PlatformKey(SecretString),
    /// 24 words of the English BIP39 list.
    RecoveryWords(SecretString),
    /// A key that a service keeps.
    KeyService(Arc<dyn KeyService>),
}

/// A slot that cannot be made or opened, for another reason than a wrong credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SlotError {
    /// The credential itself is malformed.
    #[error("{0}")]
    BadCredential(&'static str),
    /// The slot is malformed.
    #[error("{key} is damaged: {problem}")]
    Malformed {
        /// The slot.
        key: String,
        /// How.
        problem: String,
    },
    /// The service that keeps the key.
    #[error(transparent)]
    Service(#[from] KeyServiceError),
    /// No random numbers.
    #[error("a key slot cannot be made: {0}")]
    System(String),
}

const LABEL: &str = "default";
const PASSES: u32 = 3;
const MEMORY_KIB: u32 = 65_536;
const LANES: u32 = 4;
/// The most memory that a slot's parameters may ask for, in KiB: a hostile slot must not exhaust the machine.
const MAX_MEMORY_KIB: u32 = 4 << 20;

impl Credential {
    /// The slots that it can open.
    pub fn slot_type(&self) -> SlotType {
        match self {
            Self::Password(_) => SlotType::Password,
            Self::PlatformKey(_) => SlotType::Platform,
            Self::RecoveryWords(_) => SlotType::Recovery,
            Self::KeyService(_) => SlotType::KmsPlatform,
        }
    }

    /// What the master key is wrapped with.
    fn wrapping(&self, kdf: Option<&KdfParams>, slot: &str) -> Result<Wrapping<'_>, SlotError> {
        let key = match self {
            Self::Password(password) => {
                let kdf = kdf.ok_or_else(|| malformed(slot, "it has no kdf_params"))?;
                password_key(password.expose_secret(), kdf, slot)
            }
            Self::PlatformKey(digits) => platform_key(digits.expose_secret()),
            Self::RecoveryWords(words) => recovery_key(words.expose_secret()),
            Self::KeyService(service) => return Ok(Wrapping::Service(&**service)),
        };
        key.map(Wrapping::Key)
    }
}

/// A key, or a service that has it.
enum Wrapping<'a> {
    Key(Zeroizing<[u8; 32]>),
    Service(&'a dyn KeyService),
}

/// Wraps the master key for a credential. Some 150 ms of CPU for a password.
pub fn make_slot(master: &MasterKey, credential: &Credential) -> Result<KeySlot, SlotError> {
    let slot_type = credential.slot_type();
    let kdf_params = match slot_type {
        SlotType::Password => {
            let mut salt = [0; 32];
            getrandom::fill(&mut salt).map_err(|cause| SlotError::System(cause.to_string()))?;
            Some(KdfParams {
                algorithm: "argon2id".to_owned(),
                salt: BASE64_STANDARD.encode(salt),
                time: PASSES,
                memory: MEMORY_KIB,
                threads: LANES,
            })
        }
        _ => None,
    };
    let wrapped = match credential.wrapping(kdf_params.as_ref(), slot_type.as_str())? {
        Wrapping::Service(service) => service.wrap(master.as_bytes())?,
        Wrapping::Key(key) => {
            let mut wrapped = vec![0; aead::HEADER];
            wrapped.extend_from_slice(master.as_bytes());
            aead::encrypt_in_place(&aead::cipher(&key), &mut wrapped)
                .map_err(|cause| SlotError::System(cause.to_string()))?;
            wrapped
        }
    };
    Ok(KeySlot { slot_type, wrapped_key: BASE64_STANDARD.encode(wrapped), label: LABEL.to_owned(), kdf_params })
}

/// Makes a recovery slot with new words. Nobody can get the words back: show them to the user, once.
pub fn make_recovery_slot(master: &MasterKey) -> Result<(KeySlot, SecretString), SlotError> {
    let mut entropy = Zeroizing::new([0; 32]);
    getrandom::fill(entropy.as_mut_slice()).map_err(|cause| SlotError::System(cause.to_string()))?;
    let words = Mnemonic::from_entropy_in(Language::English, entropy.as_slice())
        .map_err(|cause| SlotError::System(cause.to_string()))?;
    let words = SecretString::from(words.to_string());
    let slot = make_slot(master, &Credential::RecoveryWords(words.clone()))?;
    Ok((slot, words))
}

/// The master key, or `None` if this credential does not open this slot. Some 150 ms of CPU for a password.
pub fn open_slot(slot: &KeySlot, credential: &Credential) -> Result<Option<MasterKey>, SlotError> {
    if slot.slot_type != credential.slot_type() {
        return Ok(None);
    }
    let wrapped = wrapped_key(slot)?;
    let has_layout = credential.slot_type() == SlotType::KmsPlatform || aead::is_encrypted(&wrapped);
    if !has_layout {
        return Err(malformed(&slot.key(), "wrapped_key has not the layout of a wrapped key"));
    }
    let master = match credential.wrapping(slot.kdf_params.as_ref(), &slot.key())? {
        Wrapping::Service(service) => service.unwrap(&wrapped)?,
        Wrapping::Key(key) => aead::decrypt(&aead::cipher(&key), &wrapped).map(Zeroizing::new).ok(),
    };
    let Some(master) = master else { return Ok(None) };
    let master = MasterKey::from_bytes(&master);
    master.map(Some).ok_or_else(|| malformed(&slot.key(), "the key inside has not 32 bytes"))
}

/// Whether a slot can open at all, as far as that can be told without its credential.
pub fn check_slot(slot: &KeySlot) -> Result<(), SlotError> {
    let key = slot.key();
    let wrapped = wrapped_key(slot)?;
    match slot.slot_type {
        // What AWS makes of it is its own business.
        SlotType::KmsPlatform => return Ok(()),
        SlotType::Password => {
            let kdf = slot.kdf_params.as_ref().ok_or_else(|| malformed(&key, "it has no kdf_params"))?;
            kdf_of(kdf, &key)?;
        }
        SlotType::Platform | SlotType::Recovery => {}
    }
    match aead::is_encrypted(&wrapped) && wrapped.len() == aead::HEADER + 32 + aead::TAG {
        true => Ok(()),
        false => Err(malformed(&key, "wrapped_key has not the layout of a wrapped key")),
    }
}

fn wrapped_key(slot: &KeySlot) -> Result<Vec<u8>, SlotError> {
    let decoded = BASE64_STANDARD.decode(&slot.wrapped_key);
    decoded.map_err(|cause| malformed(&slot.key(), &format!("wrapped_key is not base64 ({cause})")))
}

fn password_key(password: &str, kdf: &KdfParams, slot: &str) -> Result<Zeroizing<[u8; 32]>, SlotError> {
    let (argon2, salt) = kdf_of(kdf, slot)?;
    let mut key = Zeroizing::new([0; 32]);
    argon2
        .hash_password_into(password.as_bytes(), &salt, key.as_mut_slice())
        .map_err(|cause| malformed(slot, &format!("its key derivation cannot be done ({cause})")))?;
    Ok(key)
}

/// The key derivation that a slot asks for, and its salt.
fn kdf_of(kdf: &KdfParams, slot: &str) -> Result<(Argon2<'static>, Vec<u8>), SlotError> {
    if kdf.algorithm != "argon2id" {
        return Err(malformed(slot, &format!("its key derivation {:?} is not known", kdf.algorithm)));
    }
    if kdf.memory > MAX_MEMORY_KIB {
        return Err(malformed(slot, &format!("it asks for {} KiB of memory", kdf.memory)));
    }
    let salt = BASE64_STANDARD
        .decode(&kdf.salt)
        .map_err(|cause| malformed(slot, &format!("its salt is not base64 ({cause})")))?;
    let params = Params::new(kdf.memory, kdf.time, kdf.threads, Some(32));
    let params = params.map_err(|cause| malformed(slot, &format!("its key derivation cannot be done ({cause})")))?;
    Ok((Argon2::new(Algorithm::Argon2id, Version::V0x13, params), salt))
}

fn platform_key(digits: &str) -> Result<Zeroizing<[u8; 32]>, SlotError> {
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits.trim(), key.as_mut_slice())
        .map_err(|_| SlotError::BadCredential("a platform key is 64 hex digits, and the given one is not"))?;
    Ok(key)
}

fn recovery_key(words: &str) -> Result<Zeroizing<[u8; 32]>, SlotError> {
    let wrong = SlotError::BadCredential("recovery words are 24 words of the English BIP39 list with a right checksum");
    let words = Zeroizing::new(words.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" "));
    let mnemonic = Mnemonic::parse_in_normalized(Language::English, &words).map_err(|_| wrong.clone())?;
    let entropy = Zeroizing::new(mnemonic.to_entropy());
    entropy.as_slice().try_into().map(Zeroizing::new).map_err(|_| wrong)
}

fn malformed(key: &str, problem: &str) -> SlotError {
    SlotError::Malformed { key: key.to_owned(), problem: problem.to_owned() }
}

impl From<OpenError> for SlotError {
    fn from(cause: OpenError) -> Self {
        Self::System(cause.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_slot_opens_with_its_own_credential_only() {
        let master = MasterKey::generate().unwrap();
        let platform = Credential::PlatformKey("ab".repeat(32).into());
        let slot = make_slot(&master, &platform).unwrap();
        let (recovery, words) = make_recovery_slot(&master).unwrap();
        let words = Credential::RecoveryWords(words);
        assert_eq!(open_slot(&slot, &platform).unwrap().unwrap().as_bytes(), master.as_bytes());
        assert_eq!(open_slot(&recovery, &words).unwrap().unwrap().as_bytes(), master.as_bytes());
        assert!(open_slot(&slot, &words).unwrap().is_none());
        assert!(open_slot(&slot, &Credential::PlatformKey("cd".repeat(32).into())).unwrap().is_none());
    }

    #[test]
    fn recovery_words_survive_sloppy_typing_but_not_a_wrong_word() {
        let words = "pride eagle toe sunset mask dynamic daughter series share lemon illness emotion possible vintage \
                     loyal urge dolphin raise various identify rotate pitch point sunny";
        let sloppy = format!("  {}\n", words.to_uppercase().replace(' ', "  "));
        assert_eq!(recovery_key(words).unwrap(), recovery_key(&sloppy).unwrap());
        assert!(recovery_key(&words.replace("pride", "eagle")).is_err());
    }

    #[test]
    fn debug_output_shows_no_credential() {
        assert!(!format!("{:?}", Credential::Password("hunter2".into())).contains("hunter2"));
    }
}
