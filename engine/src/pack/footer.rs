//! The footer of a pack (format, section 11.2): after the last member, `footer | length (u64, little-endian) | magic`.

use super::catalog::Member;
use crate::crypto::{OpenError, Sealer};
use crate::object::{ObjectRef, json};

/// The last bytes of a pack with a footer.
pub const PACK_MAGIC: &[u8; 8] = b"CSTCPKF1";

/// Bytes after the footer proper.
pub(super) const TAIL: usize = 16;

/// The most bytes that a footer may decode to. A pack of 8 MiB holds some 200,000 members of 100 bytes each in the text.
const PLAIN_MAX: usize = 64 << 20;

/// A footer that cannot be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FooterError {
    /// It cannot be opened.
    #[error("its footer cannot be opened: {0}")]
    Sealed(#[from] OpenError),
    /// It is no list of members, or not of data objects that follow on each other up to the footer.
    #[error("its footer makes no sense")]
    Malformed,
}

/// The bytes to put after the members. Encryption makes them unlike any others; without it the salt does, written as
/// blanks after the list, a space or a tab for each bit.
pub(super) fn encode(sealer: &Sealer, members: &[Member], salt: u64) -> Result<Vec<u8>, OpenError> {
    let list: Vec<_> = members.iter().map(|member| (member.object, member.offset, member.length)).collect();
    let mut list = json::encode(&list);
    if !sealer.encrypts() {
        list.extend((0..u64::BITS).map(|bit| if salt >> bit & 1 == 0 { b' ' } else { b'\t' }));
    }
    let mut out = sealer.seal(&list)?;
    let length = out.len() as u64;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(PACK_MAGIC);
    Ok(out)
}

/// How many bytes [`encode`] gives.
pub(crate) fn size(sealer: &Sealer, members: &[Member], salt: u64) -> Result<u64, OpenError> {
    Ok(encode(sealer, members, salt)?.len() as u64)
}

/// The length of the footer proper, from the last [`TAIL`] bytes of a pack; `None` if there is no footer.
pub(super) fn length(tail: &[u8], pack_size: u64) -> Option<u64> {
    let (length, magic) = tail.split_first_chunk::<8>()?;
    let length = u64::from_le_bytes(*length);
    (magic == PACK_MAGIC && length.checked_add(TAIL as u64)? <= pack_size).then_some(length)
}

/// The members that a footer lists, which begins at `start` in its pack.
pub(super) fn decode(sealer: &Sealer, footer: &[u8], start: u64) -> Result<Vec<Member>, FooterError> {
    let plain = sealer.open(footer, PLAIN_MAX)?;
    let list: Vec<(ObjectRef, u32, u32)> = json::decode(&plain).map_err(|_| FooterError::Malformed)?;
    let mut at = 0;
    let mut members = Vec::with_capacity(list.len());
    for (object, offset, length) in list {
        if !object.kind.is_data() || u64::from(offset) != at || length == 0 {
            return Err(FooterError::Malformed);
        }
        at += u64::from(length);
        members.push(Member { object, offset, length });
    }
    if at == start { Ok(members) } else { Err(FooterError::Malformed) }
}
