//! Reading one folder: its names, then one `statx` for each that is not excluded.

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use rustix::fs::RawDir;
use rustix::io::Errno;

use super::stat::{Device, file_type_of, look_at};
use super::{FileType, LocalSource, Stat, Warning, path};

/// How much of a folder one system call reads, in bytes.
pub(super) const BUFFER: usize = 64 * 1024;

/// What a folder holds.
#[derive(Default)]
pub(super) struct Found {
    /// In byte order of the names.
    pub entries: Vec<FoundEntry>,
    pub warnings: Vec<Warning>,
    /// Why there may be more than was found.
    pub error: Option<Errno>,
}

pub(super) struct FoundEntry {
    pub name: Vec<u8>,
    pub stat: Stat,
    pub device: Device,
}

/// Reads a folder open for reading, at `path` relative to the root. `buffer` is only for speed.
pub(super) fn read_folder(
    source: &LocalSource,
    folder: BorrowedFd<'_>,
    path: &mut Vec<u8>,
    buffer: &mut [MaybeUninit<u8>],
) -> Found {
    let (mut names, error) = read_names(folder, buffer);
    keep_only_marks(source, folder, &mut names);
    // In this order the inodes lie on disk: a cold disk seeks less.
    names.sort_unstable_by_key(|name| name.inode);

    let mut found = Found { entries: Vec::with_capacity(names.len()), warnings: Vec::new(), error };
    let folder_length = path.len();
    for name in names {
        if folder_length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(&name.bytes);
        read_entry(source, folder, path, name, &mut found);
        path.truncate(folder_length);
    }
    found.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    found
}

fn read_entry(source: &LocalSource, folder: BorrowedFd<'_>, path: &[u8], name: Name, found: &mut Found) {
    let is_folder = name.file_type.map(|file_type| file_type == FileType::Folder);
    if is_folder.is_some_and(|is_folder| source.patterns.exclude(path, is_folder)) {
        return;
    }
    match look_at(folder, &name.bytes) {
        Ok((stat, device)) => {
            let really_folder = stat.file_type == FileType::Folder;
            let excluded = is_folder != Some(really_folder) && source.patterns.exclude(path, really_folder);
            let too_large =
                stat.file_type == FileType::Regular && source.max_file_size.is_some_and(|max| stat.size > max);
            if !excluded && !too_large {
                found.entries.push(FoundEntry { name: name.bytes, stat, device });
            }
        }
        Err(Errno::NOENT) => {}
        Err(_) if is_folder.is_none() && source.patterns.exclude(path, false) => {}
        Err(error) => found.warnings.push(Warning {
            path: path::printable(path),
            problem: format!("cannot be looked at: {}", std::io::Error::from(error)),
        }),
    }
}

struct Name {
    bytes: Vec<u8>,
    inode: u64,
    file_type: Option<FileType>,
}

fn read_names(folder: BorrowedFd<'_>, buffer: &mut [MaybeUninit<u8>]) -> (Vec<Name>, Option<Errno>) {
    let mut names = Vec::new();
    let mut listing = RawDir::new(folder, buffer);
    while let Some(next) = listing.next() {
        let next = match next {
            Ok(next) => next,
            Err(error) => return (names, Some(error)),
        };
        let bytes = next.file_name().to_bytes();
        if bytes != b"." && bytes != b".." {
            names.push(Name { bytes: bytes.to_vec(), inode: next.ino(), file_type: file_type_of(next.file_type()) });
        }
    }
    (names, None)
}

/// In a folder that asks to be left out, only the files that ask for it stay.
fn keep_only_marks(source: &LocalSource, folder: BorrowedFd<'_>, names: &mut Vec<Name>) {
    let is_mark = |name: &Name| {
        source.markers.may_be_mark(&name.bytes)
            && !is_folder(folder, name)
            && source.markers.is_mark(folder, &name.bytes)
    };
    if names.iter().any(is_mark) {
        names.retain(is_mark);
    }
}

fn is_folder(folder: BorrowedFd<'_>, name: &Name) -> bool {
    let file_type = name.file_type.or_else(|| look_at(folder, &name.bytes).ok().map(|(stat, _)| stat.file_type));
    file_type == Some(FileType::Folder)
}
