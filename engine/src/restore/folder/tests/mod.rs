#![allow(clippy::unwrap_used, clippy::panic)]

mod attributes;
mod safety;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use cloudstic_e2e::skip::skipped;

use base64::prelude::{BASE64_STANDARD, Engine};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::lock::LeaseWatch;
use crate::object::{Content, EntryType, FileMeta, Hash, Kind, ObjectKind, ObjectRef, Posix, json};
use crate::progress::Silent;
use crate::restore::testing::{noise, snapshot};
use crate::restore::{Identity, Overwrite, RestoreError, RestoreReport, RestoreRequest, restore_tree};
use crate::tree::memory::{Memory, meta};

struct Scratch {
    _dir: TempDir,
    target: PathBuf,
    outside: PathBuf,
    request: RestoreRequest,
}

impl Scratch {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (target, outside) = (dir.path().join("target"), dir.path().join("outside"));
        fs::create_dir(&outside).unwrap();
        let request = RestoreRequest {
            snapshot: "latest".to_owned(),
            paths: Vec::new(),
            target: target.clone(),
            overwrite: Overwrite::default(),
            dry_run: false,
            identity: None,
            lease: LeaseWatch::not_needed(),
        };
        Self { _dir: dir, target, outside, request }
    }

    fn try_restore(&self, memory: &mut Memory) -> Result<RestoreReport, RestoreError> {
        let (reference, snapshot) = snapshot(memory);
        restore_tree(memory, (reference, &snapshot), &self.request, &Silent, &CancellationToken::new())
    }

    fn restore(&self, memory: &mut Memory) -> RestoreReport {
        self.try_restore(memory).unwrap()
    }

    fn restore_cleanly(&self, memory: &mut Memory) -> RestoreReport {
        let report = self.restore(memory);
        assert_eq!(report.warnings, []);
        report
    }

    fn at(&self, path: &str) -> PathBuf {
        self.target.join(path)
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.at(path)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        names(&self.target)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skipped("restore::folder", &format!("this takes root: {what}"));
    }
    root
}

/// Owned by whoever runs the test, so that no owner has to be given.
fn own(meta: &mut FileMeta) {
    (meta.uid, meta.gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
}

fn owned(memory: &mut Memory, path: &str, data: &[u8]) -> FileMeta {
    memory.file_with(path.as_bytes(), data, own)
}

fn owned_folder(memory: &mut Memory, path: &str, mode: u32) -> ObjectRef {
    let mut folder = FileMeta { entry_type: EntryType::Folder, mode, ..meta(path.as_bytes()) };
    own(&mut folder);
    memory.add(folder)
}

fn special(memory: &mut Memory, path: &str, posix: Posix) {
    let mut entry = FileMeta { mode: 0o640, ..meta(path.as_bytes()) };
    own(&mut entry);
    entry.extra.posix = Some(Box::new(posix));
    memory.add(entry);
}

fn link(memory: &mut Memory, path: &str, target: &str) {
    special(memory, path, Posix { kind: Some(Kind::Symlink), target: Some(target.to_owned()), ..Posix::default() });
}

fn content(meta: &FileMeta) -> ObjectRef {
    meta.content().unwrap()
}

#[test]
fn everything_comes_back() {
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    let big = noise(1, 3_000_000);
    owned_folder(&mut memory, "ro", 0o555);
    owned_folder(&mut memory, "ro/deep", 0o2750);
    owned(&mut memory, "empty", b"");
    owned(&mut memory, "ro/deep/small", b"small");
    owned(&mut memory, "big", &big);
    memory.file_with(b"zero-mode", b"x", |meta| {
        own(meta);
        meta.mode = 0;
    });
    memory.file_with(b"suid", b"x", |meta| {
        own(meta);
        (meta.mode, meta.mtime) = (0o6755, -5);
        meta.extra.posix = Some(Box::new(Posix { mtime_nsec: 123_456_789, ..Posix::default() }));
        meta.xattrs.insert("user.note".to_owned(), BASE64_STANDARD.encode(b"hello\0"));
    });
    memory.file_with(b"odd\xff\nname", b"odd", own);
    link(&mut memory, "link", "../no/where");
    for (path, kind) in [("fifo", Kind::Fifo), ("socket", Kind::Socket)] {
        special(&mut memory, path, Posix { kind: Some(kind), ..Posix::default() });
    }
    let report = scratch.restore_cleanly(&mut memory);
    assert_eq!((report.files, report.folders, report.others, report.skipped), (6, 2, 3, 0));
    assert_eq!(report.bytes, 3_000_000 + 5 + 1 + 1 + 3);
    assert_eq!(scratch.read("big"), big);
    assert_eq!(scratch.read("ro/deep/small"), b"small");
    assert_eq!(fs::read(scratch.target.join(std::ffi::OsStr::from_bytes(b"odd\xff\nname"))).unwrap(), b"odd");
    assert_eq!(fs::read_link(scratch.at("link")).unwrap(), Path::new("../no/where"));
    let stat = |path: &str| fs::symlink_metadata(scratch.at(path)).unwrap();
    assert!(stat("fifo").file_type().is_fifo() && stat("socket").file_type().is_socket());
    let mode = |path: &str| stat(path).mode() & 0o7777;
    assert_eq!(["ro", "ro/deep", "zero-mode", "suid", "fifo"].map(mode), [0o555, 0o2750, 0, 0o6755, 0o640]);
    assert_eq!((stat("suid").mtime(), stat("suid").mtime_nsec()), (-5, 123_456_789));
    for path in ["ro", "ro/deep", "big", "link", "fifo", "socket"] {
        assert_eq!((stat(path).mtime(), stat(path).mtime_nsec()), (1_700_000_000, 0), "{path}");
    }
    match xattr::get(scratch.at("suid"), "user.note") {
        Ok(value) => assert_eq!(value.unwrap(), b"hello\0"),
        Err(why) => skipped("everything_comes_back", &format!("no user attributes here: {why}")),
    }
}

#[test]
fn owners_devices_and_capabilities_come_back_for_root() {
    if !is_root("owners and devices") {
        return;
    }
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    memory.file_with(b"f", b"x", |meta| {
        (meta.uid, meta.gid, meta.mode) = (1234, 4321, 0o4711);
        meta.xattrs.insert("security.capability".to_owned(), BASE64_STANDARD.encode(capability));
    });
    for (path, kind) in [("null", Kind::Char), ("loop", Kind::Block)] {
        let posix = Posix { kind: Some(kind), rdev_major: Some(1), rdev_minor: Some(3), ..Posix::default() };
        special(&mut memory, path, posix);
    }
    memory.add(FileMeta { uid: 77, mode: 0o700, entry_type: EntryType::Folder, ..meta(b"d") });
    link(&mut memory, "l", "f");
    scratch.restore_cleanly(&mut memory);
    let stat = |path: &str| fs::symlink_metadata(scratch.at(path)).unwrap();
    assert_eq!((stat("f").uid(), stat("f").gid(), stat("f").mode() & 0o7777), (1234, 4321, 0o4711));
    assert_eq!(xattr::get(scratch.at("f"), "security.capability").unwrap().unwrap(), capability);
    assert_eq!(stat("d").uid(), 77);
    let device = rustix::fs::makedev(1, 3);
    assert!(stat("null").file_type().is_char_device() && stat("null").rdev() == device);
    assert!(stat("loop").file_type().is_block_device() && stat("loop").rdev() == device);
}

#[test]
fn holes_come_back_as_holes() {
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    let mut data = vec![0; 2_500_001];
    data[700_000..700_100].fill(7);
    data[1_299_999] = 9;
    memory.file_with(b"sparse", &data, |meta| {
        own(meta);
        meta.extra.posix = Some(Box::new(Posix { sparse: true, ..Posix::default() }));
    });
    owned(&mut memory, "dense", &data);
    scratch.restore_cleanly(&mut memory);
    assert_eq!(scratch.read("sparse"), data);
    assert_eq!(scratch.read("dense"), data);
    let blocks = |path| fs::metadata(scratch.at(path)).unwrap().blocks() * 512;
    assert!(blocks("sparse") <= 64 << 10, "{} bytes", blocks("sparse"));
    assert!(blocks("dense") >= 2_500_000);
}

#[test]
fn hard_links_are_one_file_again_even_without_their_first_name() {
    let (mut scratch, mut memory) = (Scratch::new(), Memory::default());
    owned_folder(&mut memory, "d", 0o755);
    owned(&mut memory, "a", b"data");
    for path in ["d/b", "d/c"] {
        memory.file_with(path.as_bytes(), b"data", |meta| {
            own(meta);
            meta.extra.posix = Some(Box::new(Posix { hardlink: Some("a".to_owned()), ..Posix::default() }));
        });
    }
    let report = scratch.restore_cleanly(&mut memory);
    assert_eq!((report.files, report.bytes), (3, 4));
    let inode = |scratch: &Scratch, path| fs::metadata(scratch.at(path)).unwrap().ino();
    assert_eq!(inode(&scratch, "a"), inode(&scratch, "d/b"));
    assert_eq!(inode(&scratch, "a"), inode(&scratch, "d/c"));
    assert_eq!(scratch.restore_cleanly(&mut memory).skipped, 3);
    scratch.request.overwrite = Overwrite::Always;
    scratch.restore_cleanly(&mut memory);
    assert_eq!(inode(&scratch, "a"), inode(&scratch, "d/c"));
    assert_eq!(names(&scratch.at("d")), ["b", "c"]);

    let mut alone = Scratch::new();
    alone.request.paths = vec![b"d".to_vec()];
    alone.restore_cleanly(&mut memory);
    assert_eq!(alone.read("d/b"), b"data");
    assert_eq!(inode(&alone, "d/b"), inode(&alone, "d/c"));
    assert_eq!(alone.names(), ["d"]);
}

#[test]
fn what_exists_is_kept_or_replaced_as_asked() {
    let (mut scratch, mut memory) = (Scratch::new(), Memory::default());
    owned(&mut memory, "same", b"12345");
    owned(&mut memory, "resized", b"12345");
    owned(&mut memory, "touched", b"12345");
    scratch.restore_cleanly(&mut memory);
    let mtime = fs::metadata(scratch.at("same")).unwrap().modified().unwrap();
    let target = scratch.target.clone();
    let spoil = |path: &str, text: &str, keep_time: bool| {
        let file = fs::File::create(target.join(path)).unwrap();
        std::io::Write::write_all(&mut &file, text.as_bytes()).unwrap();
        if keep_time {
            file.set_modified(mtime).unwrap();
        }
    };
    let spoil_all = || {
        spoil("same", "abcde", true);
        spoil("resized", "abc", true);
        spoil("touched", "abcde", false);
    };
    for (overwrite, replaced) in [
        (Overwrite::Never, [false, false, false]),
        (Overwrite::IfChanged, [false, true, true]),
        (Overwrite::Always, [true, true, true]),
    ] {
        spoil_all();
        scratch.request.overwrite = overwrite;
        let mut dry = scratch.request.clone();
        dry.dry_run = true;
        memory.reads.lock().unwrap().clear();
        let (reference, snapshot) = snapshot(&mut memory);
        let cancel = CancellationToken::new();
        let dry = restore_tree(&memory, (reference, &snapshot), &dry, &Silent, &cancel).unwrap();
        assert_eq!(memory.content_reads(), 0, "a dry run reads no data");
        assert_eq!(scratch.read("same"), b"abcde");
        let report = scratch.restore_cleanly(&mut memory);
        assert_eq!((dry.files, dry.skipped, dry.bytes), (report.files, report.skipped, report.bytes));
        let count = replaced.iter().filter(|replaced| **replaced).count();
        assert_eq!((report.files, report.skipped), (count as u64, 3 - count as u64), "{overwrite:?}");
        for (path, replaced) in ["same", "resized", "touched"].into_iter().zip(replaced) {
            assert_eq!(scratch.read(path) == b"12345", replaced, "{overwrite:?} {path}");
        }
    }
}

#[test]
fn a_dry_run_of_a_new_target_makes_nothing() {
    let (mut scratch, mut memory) = (Scratch::new(), Memory::default());
    owned_folder(&mut memory, "d", 0o755);
    owned(&mut memory, "d/f", b"12345");
    link(&mut memory, "l", "f");
    scratch.request.dry_run = true;
    let report = scratch.restore_cleanly(&mut memory);
    assert_eq!((report.files, report.folders, report.others, report.bytes), (1, 1, 1, 5));
    assert!(!scratch.target.exists());
}

#[test]
fn a_path_comes_with_the_folders_above_it_and_nothing_else() {
    let (mut scratch, mut memory) = (Scratch::new(), Memory::default());
    owned_folder(&mut memory, "a", 0o711);
    owned_folder(&mut memory, "a/b", 0o755);
    for path in ["a/b/1", "a/b/2", "a/other", "top"] {
        owned(&mut memory, path, b"x");
    }
    let lost = owned_folder(&mut memory, "lost", 0o755);
    memory.lose(lost);
    scratch.request.paths = vec![b"/a/b/".to_vec()];
    let report = scratch.restore_cleanly(&mut memory);
    assert_eq!((report.files, report.folders), (2, 2));
    assert_eq!((scratch.names(), names(&scratch.at("a"))), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!(fs::metadata(scratch.at("a")).unwrap().mode() & 0o7777, 0o711);
    scratch.request.paths.push(b"a/nothing".to_vec());
    let error = scratch.try_restore(&mut memory).unwrap_err();
    assert!(matches!(&error, RestoreError::NoSuchPath { path, .. } if path == "a/nothing"), "{error}");
    scratch.request.paths = Vec::new();
    assert_eq!(scratch.restore(&mut memory).warning_count, 1);
}

#[test]
fn a_lost_entry_below_a_chosen_path_is_told_whatever_its_name_is() {
    let (mut scratch, mut memory) = (Scratch::new(), Memory::default());
    let mut folder = FileMeta { entry_type: EntryType::Folder, ..meta(b"d\xfe") };
    own(&mut folder);
    memory.add(folder);
    memory.file_with(b"d\xfe/kept", b"x", own);
    let lost = memory.file_with(b"d\xfe/in\xff", b"x", own);
    memory.lose(ObjectRef::new(ObjectKind::Filemeta, Hash::of(&json::encode(&lost))));
    scratch.request.paths = vec![b"d\xfe".to_vec()];
    let report = scratch.restore(&mut memory);
    assert_eq!((report.files, report.warning_count), (1, 1));
    assert_eq!(report.warnings[0].path, r"d\xfe/in\xff");
    scratch.request.paths = vec![b"d\xfe/in\xff".to_vec()];
    let error = scratch.try_restore(&mut memory).unwrap_err();
    assert!(matches!(&error, RestoreError::Lost { path, .. } if path == r"d\xfe/in\xff"), "{error}");
}

#[test]
fn a_cancelled_restore_says_so() {
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    owned(&mut memory, "f", b"x");
    let (reference, snapshot) = snapshot(&mut memory);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = restore_tree(&memory, (reference, &snapshot), &scratch.request, &Silent, &cancel).unwrap_err();
    assert!(matches!(error, RestoreError::Cancelled));
    assert!(!scratch.target.exists());
}

#[test]
fn a_thousand_files_in_many_folders_come_back() {
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    for folder in 0..40 {
        owned_folder(&mut memory, &format!("d{folder}"), 0o755);
        for file in 0..25 {
            owned(&mut memory, &format!("d{folder}/f{file}"), format!("{folder} {file}").as_bytes());
        }
    }
    assert_eq!(scratch.restore_cleanly(&mut memory).files, 1000);
    for folder in 0..40 {
        for file in 0..25 {
            assert_eq!(scratch.read(&format!("d{folder}/f{file}")), format!("{folder} {file}").as_bytes());
        }
    }
}
