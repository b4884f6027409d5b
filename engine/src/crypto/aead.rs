//! AES-256-GCM in the layout of the format (section 2): `0x01 | nonce (12) | ciphertext | tag (16)`, no associated data.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};

/// The first byte of every encrypted object.
pub(super) const VERSION: u8 = 1;
/// Bytes before the ciphertext.
pub(super) const HEADER: usize = 13;
/// Bytes after it.
pub(super) const TAG: usize = 16;

/// The bytes are not what this key encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotAuthentic;

pub(super) fn cipher(key: &[u8; 32]) -> Aes256Gcm {
    Aes256Gcm::new(key.into())
}

/// Encrypts in place: `buffer` has [`HEADER`] free bytes, then the plain bytes.
#[expect(
    clippy::expect_used,
    reason = "it fails only for 64 GiB and more; a content list, the largest object, has 1 GiB"
)]
pub(super) fn encrypt_in_place(cipher: &Aes256Gcm, buffer: &mut Vec<u8>) -> Result<(), getrandom::Error> {
    let (header, plain) = buffer.split_at_mut(HEADER);
    let mut nonce = Nonce::default();
    getrandom::fill(&mut nonce)?;
    header[0] = VERSION;
    header[1..].copy_from_slice(&nonce);
    let tag = cipher.encrypt_inout_detached(&nonce, b"", plain.into()).expect("less than 64 GiB");
    buffer.extend_from_slice(&tag);
    Ok(())
}

/// Whether the bytes have the layout of an encrypted object.
pub(super) fn is_encrypted(sealed: &[u8]) -> bool {
    sealed.len() >= HEADER + TAG && sealed.first() == Some(&VERSION)
}

/// Decrypts what [`is_encrypted`].
pub(super) fn decrypt(cipher: &Aes256Gcm, sealed: &[u8]) -> Result<Vec<u8>, NotAuthentic> {
    let (header, rest) = sealed.split_at_checked(HEADER).ok_or(NotAuthentic)?;
    let (ciphertext, tag) = rest.split_at_checked(rest.len().saturating_sub(TAG)).ok_or(NotAuthentic)?;
    let nonce = Nonce::try_from(&header[1..]).map_err(|_| NotAuthentic)?;
    let tag = Tag::try_from(tag).map_err(|_| NotAuthentic)?;
    let mut plain = ciphertext.to_vec();
    cipher.decrypt_inout_detached(&nonce, b"", plain.as_mut_slice().into(), &tag).map_err(|_| NotAuthentic)?;
    Ok(plain)
}
