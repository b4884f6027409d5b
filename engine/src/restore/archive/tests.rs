#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::io::{Cursor, Read};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use zip::{CompressionMethod, ZipArchive};

use crate::lock::LeaseWatch;
use crate::object::{Content, FileMeta, Kind, ObjectKind, ObjectRef, Posix, json};
use crate::progress::Silent;
use crate::restore::Gate;
use crate::restore::testing::{noise, snapshot};
use crate::restore::{ArchiveRequest, RestoreError, RestoreReport, archive_tree};
use crate::tree::memory::Memory;

/// Makes an archive: all bytes that were sent, and how it ended. `take`: after so many pieces the reader goes away.
fn archive_of(
    memory: &mut Memory,
    paths: &[&str],
    dry_run: bool,
    take: usize,
) -> (Vec<Bytes>, Result<RestoreReport, RestoreError>) {
    let (reference, snapshot) = snapshot(memory);
    let paths = paths.iter().map(|path| path.as_bytes().to_vec()).collect();
    let request = ArchiveRequest { snapshot: "latest".to_owned(), paths, dry_run, lease: LeaseWatch::not_needed() };
    let (sender, mut receiver) = tokio::sync::mpsc::channel(2);
    std::thread::scope(|scope| {
        let taker = scope.spawn(move || {
            let mut pieces = Vec::new();
            while let Some(piece) = receiver.blocking_recv().filter(|_| pieces.len() < take) {
                pieces.push(piece);
            }
            pieces
        });
        let cancel = CancellationToken::new();
        let done = archive_tree(memory, (reference, &snapshot), &request, sender, &Silent, &cancel);
        (taker.join().unwrap(), done)
    })
}

fn whole(memory: &mut Memory, paths: &[&str]) -> (ZipArchive<Cursor<Vec<u8>>>, RestoreReport) {
    let (pieces, done) = archive_of(memory, paths, false, usize::MAX);
    assert!(pieces.iter().all(|piece| piece.len() <= 256 << 10));
    (ZipArchive::new(Cursor::new(pieces.concat())).unwrap(), done.unwrap())
}

/// Mode and extra field of each entry as they are stored: the crate's reader does not give all of them.
fn central_headers(zip: &mut ZipArchive<Cursor<Vec<u8>>>) -> HashMap<String, (u32, Vec<u8>)> {
    let at = zip.central_directory_start() as usize;
    let archive = zip.clone().into_inner().into_inner();
    let (mut headers, mut rest) = (HashMap::new(), &archive[at..]);
    while rest.starts_with(b"PK\x01\x02") {
        let length = |at: usize| usize::from(u16::from_le_bytes([rest[at], rest[at + 1]]));
        let (name, extra) = (46 + length(28), 46 + length(28) + length(30));
        let mode = u32::from_le_bytes(rest[38..42].try_into().unwrap()) >> 16;
        headers.insert(String::from_utf8(rest[46..name].to_vec()).unwrap(), (mode, rest[name..extra].to_vec()));
        rest = &rest[extra + length(32)..];
    }
    headers
}

fn has_central_directory(bytes: &[u8]) -> bool {
    [b"PK\x01\x02", b"PK\x05\x06"].iter().any(|magic| bytes.windows(4).any(|window| window == *magic))
}

fn kind(kind: Kind) -> Posix {
    Posix { kind: Some(kind), rdev_major: Some(1), rdev_minor: Some(3), ..Posix::default() }
}

#[test]
fn an_archive_holds_what_it_should() {
    let mut memory = Memory::default();
    let (random, text) = (noise(3, 1_500_000), "compresses well ".repeat(100_000));
    memory.folder(b"d", 0o2750);
    memory.file(b"d/random", &random);
    memory.file_with("d/täxt".as_bytes(), text.as_bytes(), |meta| meta.mode = 0o4640);
    memory.file(b"empty", b"");
    memory.file_with(b"old", b"x", |meta| meta.mtime = -1);
    memory.symlink(b"link", "d/random");
    let (mut zip, report) = whole(&mut memory, &[]);
    assert_eq!((report.files, report.folders, report.others, report.warning_count), (4, 1, 1, 0));
    assert_eq!(report.bytes, 1_500_000 + 1_600_000 + 1);
    let names: Vec<_> = zip.file_names_raw().map(|name| String::from_utf8(name.to_vec()).unwrap()).collect();
    assert_eq!(names, ["d/", "d/random", "d/täxt", "empty", "link", "old"]);
    let headers = central_headers(&mut zip);
    let mut entry = |name: &str| {
        let mut file = zip.by_name(name).unwrap();
        let mut data = Vec::new();
        file.read_to_end(&mut data).unwrap();
        let (mode, extra) = headers[name].clone();
        (data, mode, file.compression(), extra)
    };
    let time = [&b"UT\x05\0\x01"[..], &1_700_000_000_i32.to_le_bytes()].concat();
    assert_eq!(entry("d/"), (Vec::new(), 0o042_750, CompressionMethod::Stored, time.clone()));
    assert_eq!(entry("d/random"), (random, 0o100_644, CompressionMethod::Stored, time.clone()));
    assert_eq!(entry("d/täxt"), (text.into_bytes(), 0o104_640, CompressionMethod::Deflated, time.clone()));
    assert_eq!(entry("empty").0, b"");
    assert_eq!(entry("old").3, b"UT\x05\0\x01\xff\xff\xff\xff");
    assert_eq!(entry("link"), (b"d/random".to_vec(), 0o120_777, CompressionMethod::Stored, time));
    assert!(zip.by_name("link").unwrap().is_symlink());
    assert_eq!(zip.by_name("d/random").unwrap().last_modified().unwrap().to_string(), "2023-11-14 22:13:20");
}

#[test]
fn names_that_are_not_utf_8_keep_their_bytes() {
    let mut memory = Memory::default();
    memory.folder(b"od\xffd", 0o755);
    memory.file(b"od\xffd/f\xfe", b"data");
    let (mut zip, report) = whole(&mut memory, &[]);
    assert_eq!(report.warning_count, 0);
    let names: Vec<_> = zip.file_names_raw().map(<[u8]>::to_vec).collect();
    assert_eq!(names, [&b"od\xffd/"[..], b"od\xffd/f\xfe"]);
    assert!(zip.by_index(0).unwrap().is_dir());
    let mut data = Vec::new();
    zip.by_index(1).unwrap().read_to_end(&mut data).unwrap();
    assert_eq!(data, b"data");
}

#[test]
fn hard_links_are_files_and_special_files_are_told() {
    let mut memory = Memory::default();
    memory.file(b"a", b"data");
    memory.file_with(b"b", b"data", |meta: &mut FileMeta| {
        meta.extra.posix = Some(Box::new(Posix { hardlink: Some("a".to_owned()), ..Posix::default() }));
    });
    for (name, posix) in [("fifo", Kind::Fifo), ("socket", Kind::Socket), ("char", Kind::Char), ("block", Kind::Block)]
    {
        memory.special(name.as_bytes(), kind(posix));
    }
    let (mut zip, report) = whole(&mut memory, &[]);
    assert_eq!((report.files, report.others, report.warning_count), (2, 0, 4));
    assert!(report.warnings[0].problem.contains("cannot hold special files"));
    assert_eq!(zip.len(), 2);
    assert_eq!(zip.by_name("b").unwrap().size(), 4);
}

#[test]
fn a_selection_is_archived_with_its_folders_and_a_dry_run_sends_nothing() {
    let mut memory = Memory::default();
    memory.folder(b"d", 0o755);
    memory.file(b"d/1", b"x");
    memory.file(b"d/2", b"x");
    let (zip, report) = whole(&mut memory, &["d/2"]);
    assert_eq!(zip.file_names_raw().collect::<Vec<_>>(), [&b"d/"[..], b"d/2"]);
    let (pieces, dry) = archive_of(&mut memory, &["d/2"], true, usize::MAX);
    let dry = dry.unwrap();
    assert!(pieces.is_empty());
    assert_eq!((dry.files, dry.folders, dry.bytes), (report.files, report.folders, report.bytes));
    let (_, error) = archive_of(&mut memory, &["d/3"], false, usize::MAX);
    assert!(matches!(error, Err(RestoreError::NoSuchPath { .. })));
}

#[test]
fn a_damaged_file_is_left_out_before_a_byte_of_it_is_sent() {
    let mut memory = Memory::default();
    let data = noise(4, 2_000_000);
    let swapped = memory.file(b"swapped", &data).content().unwrap();
    let list =
        data.chunks(300_000).rev().map(|chunk| ObjectRef::new(ObjectKind::Chunk, crate::object::Hash::of(chunk)));
    memory.replace(swapped, json::encode(&Content::chunked(2_000_000, list.collect())));
    let lost = memory.file(b"lost", b"gone").content().unwrap();
    memory.lose(lost);
    memory.file(b"fine", b"fine");
    let (zip, report) = whole(&mut memory, &[]);
    assert_eq!((zip.len(), report.files, report.warning_count), (1, 1, 2));
    assert!(report.warnings[0].problem.contains(&lost.to_string()));
    assert!(report.warnings[1].problem.contains(&swapped.to_string()));
}

#[test]
fn damage_in_the_middle_of_a_large_file_leaves_no_whole_looking_archive() {
    let data = noise(5, 12_000_000);
    let chunk = ObjectRef::new(ObjectKind::Chunk, crate::object::Hash::of(&data[11_700_000..]));
    let list = |from: usize| {
        let list = data.chunks(300_000).skip(from).chain(data.chunks(300_000).take(from));
        list.map(|chunk| ObjectRef::new(ObjectKind::Chunk, crate::object::Hash::of(chunk))).collect()
    };
    for reorder in [false, true] {
        let mut memory = Memory::default();
        memory.file(b"before", b"fine");
        let large = memory.file(b"large", &data).content().unwrap();
        memory.file(b"later", b"fine");
        let culprit = if reorder { large } else { chunk };
        if reorder {
            memory.replace(large, json::encode(&Content::chunked(12_000_000, list(1))));
        } else {
            memory.lose(chunk);
        }
        let (pieces, done) = archive_of(&mut memory, &[], false, usize::MAX);
        let error = done.unwrap_err();
        assert!(error.to_string().contains(&culprit.to_string()), "{error}");
        assert!(!pieces.is_empty());
        assert!(!has_central_directory(&pieces.concat()));
        assert!(ZipArchive::new(Cursor::new(pieces.concat())).is_err());
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_archive() {
    let mut memory = Memory::default();
    memory.file(b"large", &noise(6, 12_000_000));
    let (pieces, done) = archive_of(&mut memory, &[], false, 3);
    assert_eq!(pieces.len(), 3);
    assert!(matches!(done, Err(RestoreError::OutputClosed)));
    assert!(!has_central_directory(&pieces.concat()));
}

#[test]
fn a_cancelled_archive_has_no_central_directory() {
    let mut memory = Memory::default();
    memory.file(b"f", b"x");
    let (reference, snapshot) = snapshot(&mut memory);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(100);
    let request =
        ArchiveRequest { snapshot: String::new(), paths: Vec::new(), dry_run: false, lease: LeaseWatch::not_needed() };
    let cancel = CancellationToken::new();
    let tree = super::super::load(&memory, &snapshot, &Silent, &cancel).unwrap();
    let plan = super::super::plan::Plan::new(&tree, &request.paths, (reference, &snapshot)).unwrap();
    let tally = super::super::tally::Tally::new(&Silent, &cancel);
    cancel.cancel();
    super::archive(&memory, &tree, &plan, &tally, &Gate::new(&LeaseWatch::not_needed()), Some(sender));
    assert!(matches!(tally.finish(reference, "/"), Err(RestoreError::Cancelled)));
    assert!(receiver.blocking_recv().is_none());
}

#[test]
fn an_empty_snapshot_is_an_empty_archive() {
    let (zip, report) = whole(&mut Memory::default(), &[]);
    assert_eq!((zip.len(), report.files), (0, 0));
}
