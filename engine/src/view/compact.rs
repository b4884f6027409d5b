//! Many entries in little memory: 112 bytes each, and the bytes of its path and of where it points.
//!
//! All lies in pieces of a fixed size, so that the room for it grows without ever being copied.

use crate::object::{Hash, Kind, ObjectKind, ObjectRef};

use super::EntryInfo;

/// Things that a piece holds.
const PIECE: usize = 1 << 12;
/// Bytes that a piece of text holds; only a longer text makes a longer one.
const TEXT_PIECE: usize = 1 << 20;

/// Entries with their paths, each with a number, from 0.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    records: Pieces<Record>,
    texts: Texts,
}

#[derive(Debug)]
struct Record {
    filemeta: Hash,
    content_hash: Hash,
    size: u64,
    mtime: i64,
    mtime_nsec: u32,
    uid: u32,
    gid: u32,
    /// The path, and behind it where it points.
    text: Text,
    path_len: u32,
    /// The permission bits, [`FOLDER`] and [`CONTENT`].
    bits: u16,
    kind: Option<Kind>,
}

const MODE: u16 = 0o7777;
const FOLDER: u16 = 1 << 12;
/// The content hash is known.
const CONTENT: u16 = 1 << 13;

impl Entries {
    /// Adds an entry; its path may be empty.
    pub(crate) fn push(&mut self, path: &[u8], info: &EntryInfo) -> u32 {
        let text = self.texts.push(path, &info.target);
        self.add(text, path.len(), info)
    }

    /// Adds an entry that has the path of another one.
    pub(crate) fn push_at_path_of(&mut self, other: u32, info: &EntryInfo) -> u32 {
        match self.records.get(other) {
            Some(other) if info.target.is_empty() => {
                let text = Text { len: other.path_len, ..other.text };
                self.add(text, other.path_len as usize, info)
            }
            _ => {
                let path = self.path(other).to_vec();
                self.push(&path, info)
            }
        }
    }

    /// Gives an entry that has none a path.
    pub(crate) fn place(&mut self, number: u32, path: &[u8]) {
        if let Some(record) = self.records.get_mut(number) {
            let target = self.texts.get(record.text).to_vec();
            record.text = self.texts.push(path, &target);
            record.path_len = path.len() as u32;
        }
    }

    fn add(&mut self, text: Text, path_len: usize, info: &EntryInfo) -> u32 {
        debug_assert_eq!(info.reference.kind, ObjectKind::Filemeta);
        let flag = |is: bool, bit: u16| if is { bit } else { 0 };
        let content = flag(info.content_hash.is_some(), CONTENT);
        self.records.push(Record {
            filemeta: info.reference.hash,
            content_hash: info.content_hash.unwrap_or(Hash::from_bytes([0; 32])),
            size: info.size,
            mtime: info.mtime.0,
            mtime_nsec: info.mtime.1,
            uid: info.uid,
            gid: info.gid,
            text,
            path_len: path_len as u32,
            bits: (info.mode as u16 & MODE) | flag(info.is_folder, FOLDER) | content,
            kind: info.kind,
        })
    }

    /// The path of an entry.
    pub(crate) fn path(&self, number: u32) -> &[u8] {
        let of = |record: &Record| self.texts.get(record.text).get(..record.path_len as usize);
        self.records.get(number).and_then(of).unwrap_or_default()
    }

    /// What an entry is; `None` if nothing has this number.
    pub(crate) fn info(&self, number: u32) -> Option<EntryInfo> {
        let record = self.records.get(number)?;
        Some(EntryInfo {
            reference: ObjectRef::new(ObjectKind::Filemeta, record.filemeta),
            is_folder: record.bits & FOLDER != 0,
            kind: record.kind,
            size: record.size,
            mtime: (record.mtime, record.mtime_nsec),
            mode: u32::from(record.bits & MODE),
            uid: record.uid,
            gid: record.gid,
            content_hash: (record.bits & CONTENT != 0).then_some(record.content_hash),
            target: self.texts.get(record.text).get(record.path_len as usize..).unwrap_or_default().to_vec(),
        })
    }

    pub(crate) fn len(&self) -> u32 {
        self.records.len()
    }
}

/// Things with numbers, from 0.
#[derive(Debug)]
pub(crate) struct Pieces<T>(Vec<Vec<T>>);

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pieces<T> {
    pub(crate) fn push(&mut self, thing: T) -> u32 {
        let number = self.len();
        if self.0.last().is_none_or(|piece| piece.len() == PIECE) {
            // Few fill the first piece; a further one is going to be filled.
            self.0.push(Vec::with_capacity(if self.0.is_empty() { 0 } else { PIECE }));
        }
        if let Some(piece) = self.0.last_mut() {
            piece.push(thing);
        }
        number
    }

    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        self.0.get(number as usize / PIECE)?.get(number as usize % PIECE)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        self.0.get_mut(number as usize / PIECE)?.get_mut(number as usize % PIECE)
    }

    pub(crate) fn len(&self) -> u32 {
        let last = self.0.last().map_or(0, Vec::len);
        (self.0.len().saturating_sub(1) * PIECE + last) as u32
    }
}

/// Bytes, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Texts(Vec<Vec<u8>>);

/// Where a text lies. No object has 4 GiB, and no text that comes from one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text {
    piece: u32,
    at: u32,
    len: u32,
}

impl Texts {
    /// Adds one text that consists of two.
    pub(crate) fn push(&mut self, first: &[u8], second: &[u8]) -> Text {
        let len = first.len() + second.len();
        if self.0.last().is_none_or(|piece| piece.len() + len > TEXT_PIECE) {
            self.0.push(Vec::with_capacity(if self.0.is_empty() { 0 } else { TEXT_PIECE.max(len) }));
        }
        let piece = self.0.len() as u32 - 1;
        let mut at = 0;
        if let Some(last) = self.0.last_mut() {
            at = last.len() as u32;
            last.extend_from_slice(first);
            last.extend_from_slice(second);
        }
        Text { piece, at, len: len as u32 }
    }

    pub(crate) fn get(&self, Text { piece, at, len }: Text) -> &[u8] {
        let piece = self.0.get(piece as usize).map_or(&[][..], Vec::as_slice);
        piece.get(at as usize..at as usize + len as usize).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::object::{Extra, Posix};
    use crate::tree::memory::meta;

    #[test]
    fn an_entry_comes_out_as_it_went_in() {
        assert_eq!(size_of::<Record>(), 112);
        let mut entries = Entries::default();
        let long = vec![b'x'; TEXT_PIECE + 5];
        let entry = |number: u32| {
            let mut file = meta(b"f");
            (file.mode, file.uid, file.gid) = (number & 0o7777, number, number + 1);
            (file.mtime, file.size) = (-i64::from(number), u64::from(number) << 20);
            match number % 3 {
                0 => file.content_hash = Hash::of(&number.to_le_bytes()).to_string(),
                1 => {
                    let target = Some("t".repeat(number as usize % 300));
                    file.extra = Extra::from_posix(Posix { kind: Some(Kind::Symlink), target, ..Posix::default() });
                }
                _ => file.entry_type = crate::object::EntryType::Folder,
            }
            let reference = ObjectRef::new(ObjectKind::Filemeta, Hash::of(&number.to_be_bytes()));
            let path = if number == 5 { long.clone() } else { format!("d/{number}").repeat(20).into_bytes() };
            (path, EntryInfo::new(reference, &file))
        };
        for number in 0..3 * PIECE as u32 {
            let (path, info) = entry(number);
            assert_eq!(entries.push(&path, &info), number);
        }
        assert!(entries.texts.0.len() > 2 && entries.records.0.len() == 3);
        for number in 0..entries.len() {
            let (path, info) = entry(number);
            assert_eq!((entries.path(number), entries.info(number)), (&path[..], Some(info)));
        }
        assert_eq!(entries.info(entries.len()), None);

        // At the path of another one, and at one that is known later.
        for number in [1, 2, 3] {
            let (path, info) = entry(number);
            let beside = entries.push_at_path_of(4, &info);
            assert_eq!((entries.path(beside), entries.info(beside)), (&entry(4).0[..], Some(info.clone())));
            let later = entries.push(b"", &info);
            entries.place(later, &path);
            assert_eq!((entries.path(later), entries.info(later)), (&path[..], Some(info)));
        }
    }
}
