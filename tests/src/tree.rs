//! Trees to back up, always the same bytes and times: one with everything a Linux tree has, one that is plain.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, makedev, mknodat, utimensat};

use crate::random;
use crate::skip::{is_root, skipped};

/// 2024-01-01T00:00:00Z
const START: u64 = 1_704_067_200;

/// Sizes on both sides of what the format treats differently: nothing, inline, one chunk, many chunks.
const SIZES: [usize; 8] = [0, 1, 4095, 524_287, 524_288, 524_289, 1_048_577, 9_000_000];

/// Regular files and folders with whole-second times and nothing special: the root of its backup is known.
pub fn plain(root: &Path) {
    for (i, size) in SIZES.iter().enumerate() {
        write(root, format!("sizes/{size}.bin"), &random::bytes(i as u64 + 1, *size));
    }
    write(root, "zeros.bin", &vec![0; 3_000_000]);
    write(root, "text.txt", "the same words again and again\n".repeat(40_000).as_bytes());
    write(root, "again/copy of text.txt", "the same words again and again\n".repeat(40_000).as_bytes());
    for i in 0..150 {
        write(root, format!("many/{:02}/{i:03}.txt", i % 10), format!("file {i}\n").as_bytes());
    }
    write(root, "html<&>\u{2028}.txt", b"escapes\n");
    write(root, "\u{fc}n\u{ef}code/\u{65e5}\u{672c}.txt", b"names\n");
    fs::create_dir_all(root.join("empty folder")).unwrap();
    write(root, "run.sh", b"#!/bin/sh\n");
    fs::set_permissions(root.join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    set_times(root, 0);
}

/// Everything: what [`plain`] has, links, special files, attributes, odd names and nanoseconds. Devices only as root.
pub fn full(root: &Path) {
    plain(root);
    symlink("text.txt", root.join("link")).unwrap();
    symlink("nowhere/at all", root.join("dangling")).unwrap();
    symlink("/", root.join("link to the root")).unwrap();
    symlink(OsStr::from_bytes(b"bad \xff target"), root.join("link to bytes")).unwrap();
    fs::hard_link(root.join("text.txt"), root.join("zz second name.txt")).unwrap();
    write(root, OsStr::from_bytes(b"not utf-8 \xff\xfe.txt"), b"bytes\n");
    write(root, OsStr::from_bytes(b"folder \xc3/child.txt"), b"below bytes\n");
    write(root, "new\nline.txt", b"newline\n");
    write(root, "compressed.gz", b"\x1f\x8bnot really gzip, but it starts like it");
    write(root, "compressed.zst", &[&b"\x28\xb5\x2f\xfd"[..], &random::bytes(77, 700_000)].concat());
    File::create(root.join("sparse.bin")).unwrap().set_len(5_000_000).unwrap();
    special(root, "fifo", FileType::Fifo, 0);
    drop(UnixListener::bind(root.join("socket")).unwrap());
    if is_root() {
        special(root, "null", FileType::CharacterDevice, makedev(1, 3));
        special(root, "loop", FileType::BlockDevice, makedev(7, 99));
    } else {
        skipped("tree::full", "devices can only be made by root");
    }
    attributes(root);
    for (name, mode) in [("secret", 0o600), ("set-user-id", 0o4755), ("nothing", 0o000)] {
        write(root, format!("modes/{name}"), name.as_bytes());
        fs::set_permissions(root.join("modes").join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    if !is_root() {
        fs::remove_file(root.join("modes/nothing")).unwrap();
    }
    fs::set_permissions(root.join("modes"), PermissionsExt::from_mode(0o1777)).unwrap();
    set_times(root, 123_456_789);
}

/// Extended attributes, where the filesystem has them.
fn attributes(root: &Path) {
    write(root, "attributes.txt", b"attributes\n");
    let set = xattr::set(root.join("attributes.txt"), "user.comment", b"a comment")
        .and_then(|()| xattr::set(root.join("attributes.txt"), "user.bytes", b"\x00\xff"))
        .and_then(|()| xattr::set(root.join("many"), "user.folder", b"folder"));
    if let Err(why) = set {
        skipped("tree::full", &format!("no extended attributes here: {why}"));
    }
}

/// Changes a tree of [`plain`] or [`full`]: new, changed, renamed and removed files.
pub fn change(root: &Path) {
    write(root, "new/added.txt", b"added\n");
    write(root, "sizes/1.bin", b"now it is longer");
    fs::remove_file(root.join("zeros.bin")).unwrap();
    fs::rename(root.join("many/00"), root.join("many/renamed")).unwrap();
    fs::set_permissions(root.join("run.sh"), PermissionsExt::from_mode(0o700)).unwrap();
    for path in ["new/added.txt", "sizes/1.bin", "new", "sizes", "many"] {
        set_time(&root.join(path), START + 1_000_000, 0);
    }
}

/// Writes a file and the folders above it.
pub fn write(root: &Path, name: impl AsRef<OsStr>, data: &[u8]) {
    let path = root.join(name.as_ref());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, data).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
}

/// A file that takes minutes to back up and no room: the daemon has to hash all its zeros.
pub fn endless(root: &Path) {
    fs::create_dir_all(root).unwrap();
    for i in 0..4 {
        File::create(root.join(format!("endless-{i}.bin"))).unwrap().set_len(1 << 37).unwrap();
    }
}

fn special(root: &Path, name: &str, kind: FileType, device: u64) {
    let mode = Mode::from_raw_mode(0o640);
    mknodat(CWD, root.join(name), kind, mode, device).unwrap_or_else(|why| panic!("{name}: {why}"));
}

/// Gives every entry a time of its own, children before their folder.
fn set_times(root: &Path, nanoseconds: u32) {
    let mut seconds = START;
    set_times_below(root, &mut seconds, nanoseconds);
}

fn set_times_below(folder: &Path, seconds: &mut u64, nanoseconds: u32) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if entry.file_type().unwrap().is_dir() {
            set_times_below(&entry.path(), seconds, nanoseconds);
        }
        *seconds += 60;
        set_time(&entry.path(), *seconds, nanoseconds);
    }
}

/// Sets the modification time of an entry of any kind, itself and not what it points to.
fn set_time(path: &Path, seconds: u64, nanoseconds: u32) {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap(), tv_nsec: nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
}
