//! Trees deeper than PATH_MAX, the stack and the limit of open files.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, unlinkat};

use super::*;

const LEVELS: usize = 1200;
const DOWN: &str = "downwards";

fn open(folder: &OwnedFd, name: &str) -> OwnedFd {
    openat(folder, name, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
}

/// On every level a folder that leads on and, after it, one that does not, so that the walk must come back everywhere.
fn build(root: &Path) {
    let mut here: OwnedFd = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..LEVELS {
        mkdirat(&here, DOWN, Mode::RWXU).unwrap();
        mkdirat(&here, "end", Mode::RWXU).unwrap();
        here = open(&here, DOWN);
    }
    let file = openat(&here, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    rustix::io::write(file, b"deep").unwrap();
}

/// The standard library opens a file for each level at once; this takes the tree down from the top.
fn remove(root: &Path) {
    let here: OwnedFd = rustix::fs::open(root, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
    loop {
        unlinkat(&here, "end", AtFlags::REMOVEDIR).unwrap();
        let down = open(&here, DOWN);
        if rustix::fs::renameat(&down, DOWN, &here, "next").is_err() {
            unlinkat(&down, "file", AtFlags::empty()).unwrap();
            return unlinkat(&here, DOWN, AtFlags::REMOVEDIR).unwrap();
        }
        rustix::fs::renameat(&down, "end", &here, "end").unwrap();
        unlinkat(&here, DOWN, AtFlags::REMOVEDIR).unwrap();
        rustix::fs::renameat(&here, "next", &here, DOWN).unwrap();
    }
}

#[test]
fn a_tree_deeper_than_any_path_can_be_is_walked_described_and_read() {
    let temp = tempfile::tempdir().unwrap();
    build(temp.path());
    let source = plain(temp.path());
    for lacks_openat2 in [false, true] {
        if lacks_openat2 {
            source.folders.pretend_to_lack_openat2();
        }
        let mut folders = 0;
        let mut file = None;
        for listing in listings(&source) {
            assert_eq!(listing.warnings, []);
            folders += 1;
            file = file.or(listing.entries.into_iter().find(|entry| entry.has_content()));
        }
        assert_eq!(folders, 1 + 2 * LEVELS);
        let file = file.unwrap();
        assert_eq!(file.file_id.len(), LEVELS * (DOWN.len() + 1) + "file".len());
        let Described { meta, mut reader, .. } = source.describe_and_open(&file).unwrap();
        assert_eq!((meta.size, read_all(&mut *reader).as_slice()), (4, b"deep".as_slice()));
    }
    remove(temp.path());
}
