//! Temporary names: an entry has one until it is whole, and what a killed restore left behind is swept away.
//!
//! The one invariant: nothing goes that a restore still writes. It holds a lock on every file that it writes, from
//! its beginning until it has its name; the kernel lets go of that when the process ends, however it ends. Links and
//! special files cannot be locked, but have such a name for a moment only; if they are swept away in that, they are
//! made again.

use std::ffi::CStr;
use std::hash::{BuildHasher, RandomState};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, fstat, openat, unlinkat};
use rustix::io::Errno;

use super::beneath::look;
use super::decide::file_type;

const PREFIX: &[u8] = b".cloudstic-";
const SUFFIX: &[u8] = b".tmp";
const DIGITS: usize = 16;

/// Names that nobody has used.
#[derive(Default)]
pub(super) struct Names {
    random: RandomState,
    made: u64,
}

impl Names {
    pub(super) fn next(&mut self) -> String {
        self.made += 1;
        format!(".cloudstic-{:0DIGITS$x}.tmp", self.random.hash_one(self.made))
    }
}

/// A name that goes when it is no longer needed.
pub(super) struct Temporary<'a> {
    pub(super) folder: &'a OwnedFd,
    pub(super) name: String,
    /// It is certainly gone.
    pub(super) renamed: bool,
}

impl<'a> Temporary<'a> {
    pub(super) const fn new(folder: &'a OwnedFd, name: String) -> Self {
        Self { folder, name, renamed: false }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.renamed {
            return;
        }
        _ = unlinkat(self.folder, self.name.as_str(), AtFlags::empty());
    }
}

/// Takes a new file for as long as it is open. `false` if a sweep was faster, and it is gone.
pub(super) fn take(file: impl AsFd) -> bool {
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => false,
        // Not every file system has locks; a sweep there finds nothing locked, and takes nothing.
        _ => fstat(&file).is_ok_and(|stat| stat.st_nlink > 0),
    }
}

/// Removes what killed restores left in a folder. What cannot be removed stays: it is only in the way. `is_kept`: the
/// names that somebody has given on purpose.
pub(super) fn sweep(folder: &OwnedFd, is_kept: impl Fn(&[u8]) -> bool) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(names) = openat(folder, c".", flags, Mode::empty()).and_then(Dir::new) else { return };
    for name in names.flatten() {
        let name = name.file_name();
        if is_temporary(name.to_bytes()) && !is_kept(name.to_bytes()) && is_left(folder, name) {
            _ = unlinkat(folder, name, AtFlags::empty());
        }
    }
}

fn is_temporary(name: &[u8]) -> bool {
    let digits = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
}

/// Whether nobody writes it any more.
fn is_left(folder: &OwnedFd, name: &CStr) -> bool {
    match look(folder, name.to_bytes()).ok().flatten().map(|stat| file_type(&stat)) {
        Some(FileType::RegularFile) => {}
        Some(FileType::Directory) | None => return false,
        Some(_) => return true,
    }
    let open =
        |access| openat(folder, name, access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty());
    // Some file systems lock only what is open for writing.
    let file = open(OFlags::RDWR).or_else(|_| open(OFlags::RDONLY));
    file.and_then(|file| flock(file, FlockOperation::NonBlockingLockExclusive)).is_ok()
}
