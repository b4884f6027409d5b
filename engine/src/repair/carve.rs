//! Finding objects in bytes of which nobody says what they are. A pack without a footer is known to the catalog alone; but
//! each of its members shows where it ends: where encrypted, by its tag; elsewhere, a zstd frame and a JSON value end
//! where they end. What an object is called follows from what is in it.

use crate::check::{CheckError, Stop};
use crate::object::{Content, FileMeta, Hash, Latest, Node, ObjectKind, ObjectRef, PACKED_MAX, Snapshot, json};
use crate::pack::Member;
use crate::repository::Repository;

/// Sealed objects may have a little more than what is packed: a header, a tag.
const LONGEST: usize = PACKED_MAX + 64;
/// The fewest bytes of an encrypted object.
const SHORTEST: usize = 29;
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Bytes that are tried in one gap. Behind a damaged member, where the next one begins can only be tried.
const BUDGET: usize = 1 << 29;

/// What was found in a gap of a pack.
#[derive(Debug, Default)]
pub(super) struct Carved {
    /// Objects and their places in the pack.
    pub(super) members: Vec<Member>,
    /// Lists of chunks, whose names follow from the chunks, with offset and length.
    pub(super) lists: Vec<(Content, u32, u32)>,
    /// How many bytes are of nothing that can be told.
    pub(super) unexplained: usize,
    /// Whether not everything was tried.
    pub(super) gave_up: bool,
}

/// What some bytes show to be in them.
enum Name {
    Object(ObjectRef),
    List(Content),
    Nothing,
}

/// Bytes that may still be tried.
struct Budget {
    left: usize,
    /// Whether they were too few for a try.
    is_short: bool,
}

/// The objects in some bytes of a pack.
pub(super) fn carve(
    repository: &Repository,
    stop: &Stop,
    pack: &[u8],
    gap: (usize, usize),
) -> Result<Carved, CheckError> {
    carve_within(repository, stop, pack, gap, BUDGET)
}

fn carve_within(
    repository: &Repository,
    stop: &Stop,
    pack: &[u8],
    (from, to): (usize, usize),
    budget: usize,
) -> Result<Carved, CheckError> {
    /// Bytes that are skipped between two looks whether to go on.
    const SKIPPED: usize = 4096;
    let (mut at, mut carved) = (from, Carved::default());
    let mut budget = Budget { left: budget, is_short: false };
    while at < to && budget.left >= SHORTEST {
        let found = if repository.marker().encrypted {
            encrypted(repository, &pack[at..to], &mut budget)
        } else {
            plain(repository, &pack[at..to])
        };
        if found.is_some() || at.is_multiple_of(SKIPPED) {
            stop.check()?;
        }
        let Some((length, name)) = found else {
            at += 1;
            carved.unexplained += 1;
            continue;
        };
        let (offset, end) = (at as u32, at + length);
        match name {
            Name::Object(object) => carved.members.push(Member { object, offset, length: length as u32 }),
            Name::List(content) => carved.lists.push((content, offset, length as u32)),
            Name::Nothing => {}
        }
        at = end;
    }
    carved.gave_up = budget.is_short || at < to;
    Ok(carved)
}

/// What begins here, and how long it is: of all lengths with which the next object could begin, the first that opens.
fn encrypted(repository: &Repository, bytes: &[u8], budget: &mut Budget) -> Option<(usize, Name)> {
    if bytes.first() != Some(&1) {
        return None;
    }
    let is_possible = |length: &usize| *length == bytes.len() || bytes[*length] == 1;
    for length in (SHORTEST..=bytes.len().min(LONGEST)).filter(is_possible) {
        let Some(left) = budget.left.checked_sub(length) else {
            budget.is_short = true;
            return None;
        };
        budget.left = left;
        if let Ok(plain) = repository.sealer().open(&bytes[..length], ObjectKind::Chunk.max_plain_size()) {
            return Some((length, name(repository, &plain)));
        }
    }
    None
}

fn plain(repository: &Repository, bytes: &[u8]) -> Option<(usize, Name)> {
    let length = length_of(bytes)?;
    let plain = repository.sealer().open(&bytes[..length], ObjectKind::Chunk.max_plain_size()).ok()?;
    Some((length, name(repository, &plain)))
}

/// The length of what begins here: of a frame, of a JSON value, else all up to where one of these begins.
fn length_of(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(ZSTD_MAGIC) {
        return zstd::zstd_safe::find_frame_compressed_size(bytes).ok();
    }
    if bytes.starts_with(b"{\"") {
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<serde::de::IgnoredAny>();
        return values.next()?.ok().map(|_| values.byte_offset());
    }
    let begins = |at: &usize| {
        let rest = &bytes[*at..];
        rest.starts_with(ZSTD_MAGIC) && zstd::zstd_safe::find_frame_compressed_size(rest).is_ok()
            || rest.starts_with(b"{\"type\":\"")
            || rest.starts_with(b"{\"version\":")
    };
    Some((1..bytes.len()).find(begins).unwrap_or(bytes.len()))
}

/// What these bytes are called: they prove it themselves.
fn name(repository: &Repository, plain: &[u8]) -> Name {
    let named = |kind| Name::Object(ObjectRef::new(kind, Hash::of(plain)));
    if !plain.starts_with(b"{\"") {
        return Name::Object(repository.chunk_ref(plain));
    }
    if json::decode::<Node>(plain).is_ok() {
        return named(ObjectKind::Node);
    }
    if json::decode::<FileMeta>(plain).is_ok() {
        return named(ObjectKind::Filemeta);
    }
    if json::decode::<Snapshot>(plain).is_ok() {
        return named(ObjectKind::Snapshot);
    }
    if json::decode::<Latest>(plain).is_ok() {
        return Name::Nothing;
    }
    match json::decode::<Content>(plain) {
        Ok(content) if !content.chunks.is_empty() => Name::List(content),
        Ok(content) => match content.inline_data() {
            Ok(data) => Name::Object(repository.content_ref(&Hash::of(&data))),
            Err(_) => Name::Nothing,
        },
        Err(_) => Name::Object(repository.chunk_ref(plain)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use cloudstic_e2e::random;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::lock::LeaseWatch;
    use crate::repository::{Credential, InitOptions};
    use crate::store::MemoryStore;

    #[tokio::test]
    async fn who_tries_too_little_behind_something_damaged_says_so() {
        let store = MemoryStore::default();
        let key = Credential::PlatformKey("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff".into());
        let options = InitOptions { credentials: vec![key.clone()], ..InitOptions::default() };
        Repository::init(Arc::new(store.another(1)), options).await.unwrap();
        let repository = Repository::open(Arc::new(store), vec![key]).await.unwrap();
        let stop = Stop::new(CancellationToken::new(), LeaseWatch::not_needed());
        let [mut pack, good] = [1, 2].map(|seed| repository.sealer().seal(&random::bytes(seed, 5000)).unwrap());
        let damaged = pack.len();
        pack[damaged / 2] ^= 1;
        pack.extend_from_slice(&good);
        for (budget, is_enough) in [(BUDGET, true), (20_000, false), (40, false)] {
            let carved = carve_within(&repository, &stop, &pack, (0, pack.len()), budget).unwrap();
            assert_eq!(carved.gave_up, !is_enough, "{budget}");
            if is_enough {
                let object = repository.chunk_ref(&random::bytes(2, 5000));
                let (offset, length) = (damaged as u32, good.len() as u32);
                assert_eq!(carved.members, [Member { object, offset, length }]);
                assert_eq!(carved.unexplained, damaged);
            }
        }
    }
}
