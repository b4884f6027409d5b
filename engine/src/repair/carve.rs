//! Finding objects in bytes of which nobody says what they are. A pack without a footer is known to the catalog alone; but
//! each of its members shows where it ends: where encrypted, by its tag; elsewhere, a zstd frame and a JSON value end
//! where they end. What an object is called follows from what is in it.

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
    /// Whether it was given up before the end.
    pub(super) gave_up: bool,
}

/// What some bytes show to be in them.
enum Name {
    Object(ObjectRef),
    List(Content),
    Nothing,
}

/// The objects in some bytes of a pack.
pub(super) fn carve(repository: &Repository, pack: &[u8], from: usize, to: usize) -> Carved {
    let (mut at, mut carved, mut budget) = (from, Carved::default(), BUDGET);
    while at < to && budget > 0 {
        let found = if repository.marker().encrypted {
            encrypted(repository, &pack[at..to], &mut budget)
        } else {
            plain(repository, &pack[at..to])
        };
        let Some((length, name)) = found else {
            at += 1;
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
    carved.gave_up = at < to;
    carved
}

/// What begins here, and how long it is: of all lengths with which the next object could begin, the first that opens.
fn encrypted(repository: &Repository, bytes: &[u8], budget: &mut usize) -> Option<(usize, Name)> {
    if bytes.first() != Some(&1) {
        return None;
    }
    let lengths = SHORTEST..=bytes.len().min(LONGEST);
    let is_possible = |length: &usize| *length == bytes.len() || bytes[*length] == 1;
    lengths.filter(is_possible).find_map(|length| {
        *budget = budget.checked_sub(length)?;
        let plain = repository.sealer().open(&bytes[..length], ObjectKind::Chunk.max_plain_size()).ok()?;
        Some((length, name(repository, &plain)))
    })
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
