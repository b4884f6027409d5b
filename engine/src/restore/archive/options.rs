//! How an entry is written in the archive: its name, mode, time, and whether it is compressed.

use std::io::Write;

use bytes::Bytes;
use chrono::{DateTime, Datelike, Timelike};
use zip::CompressionMethod;
use zip::write::{ExtendedFileOptions, FileOptions};

use crate::object::Kind;
use crate::tree::TreeEntry;

/// A file of about 4 GiB needs the long form of sizes (ZIP64), which some programs do not read: only where it is needed.
/// What is written is never longer than the entry says, and Deflate makes incompressible data longer by little.
const LARGE: u64 = u32::MAX as u64 - (64 << 20);
/// Smaller files are compressed without asking.
const SMALL: u64 = 16 << 10;
/// What is compressed to see whether that pays: so many bytes, from so many places.
const SAMPLE: usize = 64 << 10;
const SAMPLE_PARTS: usize = 4;
/// The fastest level: what is waited for is the restore.
const LEVEL: u32 = 1;
/// The header of the field for times in seconds since 1970.
const EXTENDED_TIMESTAMP: u16 = 0x5455;

pub(super) type Options<'n> = FileOptions<'static, 'n, ExtendedFileOptions>;

/// Name, mode and times; not compressed.
pub(super) fn options<'n>(entry: &TreeEntry<'_>, name: &'n [u8]) -> Options<'n> {
    let (file_type, usual_mode, dos) = match entry.kind {
        // A name that is not UTF-8 can only be written as that of a file; the slash at its end makes it a folder.
        _ if entry.is_folder && std::str::from_utf8(name).is_err() => (0, 0o755, 0x10),
        _ if entry.is_folder => (0o040_000, 0o755, 0x10),
        Some(Kind::Symlink) => (0o120_000, 0o777, 0),
        _ => (0o100_000, 0o644, 0),
    };
    let mode = if entry.kind == Some(Kind::Symlink) { usual_mode } else { entry.mode.unwrap_or(usual_mode) };
    let options = Options::default()
        .name(name)
        .compression_method(CompressionMethod::Stored)
        .external_attributes((file_type | mode) << 16 | dos)
        .large_file(entry.size >= LARGE);
    with_mtime(options, entry.mtime.0)
}

/// Compresses, if that pays.
pub(super) fn compressed<'n>(options: Options<'n>, entry: &TreeEntry<'_>, head: &[Bytes]) -> Options<'n> {
    if entry.size == 0 || entry.size > SMALL && !pays(head) {
        return options;
    }
    options.compression_method(CompressionMethod::Deflated).compression_level(Some(LEVEL.into()))
}

fn with_mtime(options: Options<'_>, mtime: i64) -> Options<'_> {
    let mut options = options;
    if let Ok(seconds) = i32::try_from(mtime) {
        let mut field = vec![1];
        field.extend_from_slice(&seconds.to_le_bytes());
        // The only way to fail is to have too many of them.
        _ = options.add_extra_field(EXTENDED_TIMESTAMP, field, false);
    }
    match dos_time(mtime) {
        Some(time) => options.last_modified_time(time),
        None => options,
    }
}

/// In UTC; `None` before 1980 and after 2107.
fn dos_time(mtime: i64) -> Option<zip::DateTime> {
    let at = DateTime::from_timestamp(mtime, 0)?;
    let small = |number: u32| u8::try_from(number).ok();
    let (year, month, day) = (u16::try_from(at.year()).ok()?, small(at.month())?, small(at.day())?);
    zip::DateTime::from_date_and_time(year, month, day, small(at.hour())?, small(at.minute())?, small(at.second())?)
        .ok()
}

/// Whether a sample becomes shorter by a twentieth.
fn pays(head: &[Bytes]) -> bool {
    let total: usize = head.iter().map(Bytes::len).sum();
    let part = SAMPLE / SAMPLE_PARTS;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::with_capacity(SAMPLE), flate2::Compression::new(LEVEL));
    let mut taken = 0;
    for from in (0..SAMPLE_PARTS).map(|number| total / SAMPLE_PARTS * number) {
        let mut skip = from;
        for piece in head {
            if let Some(rest) = piece.get(skip..).filter(|rest| !rest.is_empty()) {
                let some = &rest[..rest.len().min(part)];
                taken += some.len();
                _ = encoder.write_all(some);
                break;
            }
            skip -= piece.len();
        }
    }
    encoder.finish().is_ok_and(|shorter| shorter.len() < taken - taken / 20)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::tree::Tree;
    use crate::tree::memory::Memory;

    #[test]
    fn what_does_not_compress_is_stored_even_behind_a_compressible_head() {
        let mut random = vec![0; 1 << 20];
        getrandom::fill(&mut random).unwrap();
        assert!(!pays(&[random.clone().into()]));
        random[..16 << 10].fill(0);
        assert!(pays(&[Bytes::from(vec![0; 1 << 20])]));
        assert!(pays(&[Bytes::from("some text ".repeat(5000))]));
        assert!(pays(&[Bytes::from(random), Bytes::from(vec![0; 1 << 20])]));
    }

    #[test]
    fn only_what_may_pass_4_gib_is_written_with_long_sizes() {
        let mut memory = Memory::default();
        memory.file_with(b"f", b"", |meta| meta.size = LARGE);
        let root = memory.root();
        let tree = Tree::load(&memory, root, true, &CancellationToken::new()).unwrap();
        let mut entry = tree.entries().next().unwrap();
        let is_large = |entry: &TreeEntry<'_>| format!("{:?}", options(entry, b"f")).contains("large_file: true");
        assert!(is_large(&entry));
        entry.size = LARGE - 1;
        assert!(!is_large(&entry));
    }

    #[test]
    fn times_that_dos_cannot_say_are_left_out() {
        assert_eq!(dos_time(0), None);
        assert_eq!(dos_time(i64::MAX), None);
        let time = dos_time(1_700_000_001).unwrap();
        assert_eq!((time.year(), time.month(), time.day(), time.hour(), time.minute()), (2023, 11, 14, 22, 13));
    }
}
