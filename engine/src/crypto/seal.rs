//! Sealing (format, section 2): compress, then encrypt; and the way back, with the trap of data that looks compressed.

use aes_gcm::Aes256Gcm;

use super::{aead, compress, keys::RepositoryKeys};

/// Seals and opens the objects of one repository. Pure computation: for worker threads.
#[derive(Clone)]
pub struct Sealer {
    cipher: Option<Aes256Gcm>,
}

/// Sealed bytes that cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// They are not what this repository's key encrypted.
    #[error("its bytes were not encrypted with this repository's key, or were changed since")]
    NotAuthentic,
    /// Plain bytes where everything is encrypted.
    #[error("it is not encrypted, in an encrypted repository")]
    NotEncrypted,
    /// They do not decompress.
    #[error("{0}")]
    NotDecompressable(String),
    /// The system gives no random numbers, or no memory for the compressor.
    #[error("it cannot be sealed: {0}")]
    System(String),
}

impl Sealer {
    /// For a repository with these keys, or one without encryption.
    pub fn new(keys: Option<&RepositoryKeys>) -> Self {
        Self { cipher: keys.map(|keys| aead::cipher(keys.encryption())) }
    }

    /// Whether it encrypts: then what is sealed twice is never the same.
    pub fn encrypts(&self) -> bool {
        self.cipher.is_some()
    }

    /// The bytes to store. Where no encryption authenticates them, the frame has a checksum, because not every object
    /// is proven by its name: the indexes have none.
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, OpenError> {
        let system = |cause: &dyn std::fmt::Display| OpenError::System(cause.to_string());
        let header = if self.cipher.is_some() { aead::HEADER } else { 0 };
        let mut out = vec![0; header];
        compress::compress_into(plain, self.cipher.is_none(), &mut out).map_err(|cause| system(&cause))?;
        if let Some(cipher) = &self.cipher {
            aead::encrypt_in_place(cipher, &mut out).map_err(|cause| system(&cause))?;
        }
        if out.capacity() > 2 * out.len() {
            out.shrink_to_fit();
        }
        Ok(out)
    }

    /// The plain bytes of an object that decodes to at most `limit` bytes.
    pub fn open(&self, sealed: &[u8], limit: usize) -> Result<Vec<u8>, OpenError> {
        compress::decompress(self.decrypt(sealed)?, limit).map_err(|(_, problem)| OpenError::NotDecompressable(problem))
    }

    /// The same for bytes that `is_right` can prove. Old writers stored data as it was even where it looked compressed,
    /// so where what decompression gives is not right, the bytes themselves may be.
    pub fn open_proven(
        &self,
        sealed: &[u8],
        limit: usize,
        is_right: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Vec<u8>>, OpenError> {
        let stored = self.decrypt(sealed)?;
        let trapped = compress::looks_compressed(&stored).then(|| stored.clone());
        match compress::decompress(stored, limit) {
            Ok(plain) if is_right(&plain) => Ok(Some(plain)),
            Ok(_) => Ok(trapped.filter(|stored| is_right(stored))),
            Err((stored, _)) if is_right(&stored) => Ok(Some(stored)),
            Err((_, problem)) => Err(OpenError::NotDecompressable(problem)),
        }
    }

    fn decrypt(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        match &self.cipher {
            None => Ok(sealed.to_vec()),
            Some(_) if !aead::is_encrypted(sealed) => Err(OpenError::NotEncrypted),
            Some(cipher) => aead::decrypt(cipher, sealed).map_err(|_| OpenError::NotAuthentic),
        }
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.cipher.is_some() { "Sealer(encrypted)" } else { "Sealer(plain)" })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::crypto::MasterKey;

    fn sealers() -> [Sealer; 2] {
        let keys = MasterKey::from_bytes(&[7; 32]).unwrap().derive();
        [Sealer::new(None), Sealer::new(Some(&keys))]
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    proptest::proptest! {
        #[test]
        fn what_is_sealed_opens(data in proptest::collection::vec(0u8.., 0..2000)) {
            for sealer in sealers() {
                proptest::prop_assert_eq!(&sealer.open(&sealer.seal(&data).unwrap(), 2000).unwrap(), &data);
            }
        }
    }

    #[test]
    fn data_that_look_compressed_come_back_as_they_were() {
        let noise: Vec<u8> = (0u32..5000).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let half_frame = [&[0x28, 0xb5, 0x2f, 0xfd][..], &noise].concat();
        for data in [gzip(&noise), zstd::bulk::compress(&noise, 3).unwrap(), half_frame, vec![0x1f, 0x8b]] {
            for sealer in sealers() {
                assert_eq!(sealer.open(&sealer.seal(&data).unwrap(), 1 << 20).unwrap(), data);
            }
        }
    }

    #[test]
    fn what_the_cli_stored_wrongly_is_found_by_its_hash() {
        let stored = gzip(b"what is inside");
        let [plain, _] = sealers();
        assert_eq!(plain.open_proven(&stored, 100, |data| data == stored).unwrap(), Some(stored.clone()));
        assert_eq!(
            plain.open_proven(&stored, 100, |data| data == b"what is inside").unwrap().unwrap(),
            b"what is inside"
        );
        assert_eq!(plain.open_proven(&stored, 100, |_| false), Ok(None));
    }

    #[test]
    fn a_hostile_frame_cannot_expand_beyond_the_limit() {
        let [plain, _] = sealers();
        let bomb = zstd::bulk::compress(&vec![0; 1 << 20], 3).unwrap();
        assert!(matches!(plain.open(&bomb, 1 << 19), Err(OpenError::NotDecompressable(_))));
        let streamed = zstd::stream::encode_all(vec![0; 1 << 20].as_slice(), 3).unwrap();
        assert!(matches!(plain.open(&streamed, 1 << 19), Err(OpenError::NotDecompressable(_))));
        assert!(plain.open(&gzip(&vec![0; 1 << 20]), 1 << 19).is_err());
    }

    #[test]
    fn any_flipped_bit_is_noticed_when_encrypted() {
        let [_, sealer] = sealers();
        let sealed = sealer.seal(b"what nobody may change").unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(sealer.open(&changed, 100).is_err(), "byte {at}");
        }
    }
}
