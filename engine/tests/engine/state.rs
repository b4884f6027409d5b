//! Everything that a backup keeps of a tree, in a form that can be compared.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use cloudstic_engine::object::Hash;
use rustix::fs::{IFlags, ioctl_getflags};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryState {
    /// All that can be equal to the last bit: bytes, mode, owner, time, attributes, flags, device, first name.
    pub(crate) text: String,
    /// Allocated blocks of 512 bytes, for a regular file with holes.
    pub(crate) sparse: Option<u64>,
}

/// The state of a tree, by path.
pub(crate) type State = BTreeMap<PathBuf, EntryState>;

/// Looks at everything in a folder, but not at the folder itself.
pub(crate) fn state(root: &Path) -> State {
    let mut found = Vec::new();
    let mut firsts: BTreeMap<u64, PathBuf> = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let relative = path.strip_prefix(root).unwrap().to_owned();
            if metadata.is_dir() {
                folders.push(path.clone());
            } else {
                let first = firsts.entry(metadata.ino()).or_insert_with(|| relative.clone());
                if relative.as_os_str().as_bytes() < first.as_os_str().as_bytes() {
                    first.clone_from(&relative);
                }
            }
            found.push((relative, describe(&path, &metadata), metadata));
        }
    }
    let full = |(path, mut text, metadata): (PathBuf, String, Metadata)| {
        if let Some(first) = firsts.get(&metadata.ino()).filter(|_| !metadata.is_dir()) {
            write!(text, " first {first:?}").unwrap();
        }
        let is_sparse = metadata.is_file() && metadata.blocks() < metadata.len().div_ceil(512);
        (path, EntryState { text, sparse: is_sparse.then_some(metadata.blocks()) })
    };
    found.into_iter().map(full).collect()
}

fn describe(path: &Path, metadata: &Metadata) -> String {
    let kind = metadata.file_type();
    let mut text = if kind.is_dir() {
        "folder".to_owned()
    } else if kind.is_symlink() {
        format!("link to {:?}", fs::read_link(path).unwrap())
    } else if kind.is_fifo() {
        "fifo".to_owned()
    } else if kind.is_socket() {
        "socket".to_owned()
    } else if kind.is_char_device() || kind.is_block_device() {
        format!("device, block {}, {:x}", kind.is_block_device(), metadata.rdev())
    } else {
        format!("{} bytes {}", metadata.len(), Hash::of(&fs::read(path).unwrap()))
    };
    let (mode, uid, gid) = (metadata.mode(), metadata.uid(), metadata.gid());
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    write!(text, " mode {mode:o} owner {uid}:{gid} mtime {seconds}.{nanoseconds:09}").unwrap();
    if kind.is_dir() || kind.is_file() {
        // The others are the file system's own business: extents, indexes.
        let flags = fs::File::open(path).ok().and_then(|file| ioctl_getflags(&file).ok()).unwrap_or(IFlags::empty());
        write!(text, " flags {:?}", flags & (IFlags::NODUMP | IFlags::NOATIME)).unwrap();
    }
    let mut names: Vec<_> = xattr::list(path).map(Iterator::collect).unwrap_or_default();
    names.sort();
    for name in names {
        let value = xattr::get(path, &name).unwrap();
        write!(text, " {name:?}={value:?}").unwrap();
    }
    text
}

/// What differs between a tree and what was restored of it; empty if nothing does.
pub(crate) fn differences(expected: &State, found: &State) -> Vec<String> {
    let mut differences = Vec::new();
    for (path, entry) in expected {
        match found.get(path) {
            None => differences.push(format!("{path:?} is missing: {}", entry.text)),
            Some(other) if other.text != entry.text => {
                differences.push(format!("{path:?} was:\n  {}\nand is:\n  {}", entry.text, other.text));
            }
            Some(other) => {
                // What the file system itself needs for a file may differ by a block or two.
                let (before, now) = (entry.sparse, other.sparse);
                if before.is_some_and(|blocks| now.is_none_or(|now| now > blocks + 16)) {
                    differences.push(format!("{path:?} had {before:?} blocks and has {now:?}"));
                }
            }
        }
    }
    for (path, entry) in found.iter().filter(|(path, _)| !expected.contains_key(*path)) {
        differences.push(format!("{path:?} was never there: {}", entry.text));
    }
    differences
}
