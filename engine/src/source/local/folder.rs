//! Opening what is below the root, and only that.
//!
//! The invariant: no path is resolved through a symlink, so whatever others do to the tree while it is backed up,
//! nothing outside the root is read. Paths may be longer than PATH_MAX.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::path;

/// How many folders are kept open for the entries in them. The workers are at a few neighbouring folders at any time.
const KEPT_OPEN: usize = 16;

/// What one system call resolves at most, in bytes: less than PATH_MAX.
const LONGEST_PIECE: usize = 3800;

/// The root of the source, and the way to the folders below it.
#[derive(Debug)]
pub(super) struct Folders {
    root: Arc<OwnedFd>,
    user: u32,
    lacks_openat2: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    folders: Vec<(Box<str>, Arc<OwnedFd>)>,
    oldest: usize,
}

impl Folders {
    pub(super) fn new(root: OwnedFd) -> Self {
        Self {
            root: Arc::new(root),
            user: rustix::process::geteuid().as_raw(),
            lacks_openat2: AtomicBool::new(false),
            kept: Mutex::default(),
        }
    }

    /// The root, good for resolving names in it.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// The folder with this fileId, good for resolving names in it; perhaps one that was open already.
    pub(super) fn get(&self, file_id: &str) -> Result<Arc<OwnedFd>, Errno> {
        if file_id.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some(folder) = self.kept().find(file_id) {
            return Ok(folder);
        }
        let folder = Arc::new(self.open(&path::path_bytes(file_id))?);
        self.kept().keep(file_id, folder.clone());
        Ok(folder)
    }

    /// The folder at this path below the root, good for resolving names in it.
    pub(super) fn open(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let mut reached = None;
        for piece in pieces(path) {
            let from = reached.as_ref().unwrap_or(&*self.root);
            reached = Some(self.open_piece(from, piece)?);
        }
        reached.map_or_else(|| rustix::io::fcntl_dupfd_cloexec(&self.root, 0), Ok)
    }

    fn open_piece(&self, from: &OwnedFd, piece: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if !self.lacks_openat2.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(from, piece, flags, Mode::empty(), resolve) {
                // Old kernels lack it; some containers forbid it.
                Err(Errno::NOSYS | Errno::PERM) => self.lacks_openat2.store(true, Ordering::Relaxed),
                result => return result,
            }
        }
        let mut reached = None;
        for name in piece.split(|byte| *byte == b'/') {
            let from = reached.as_ref().unwrap_or(from);
            reached = Some(rustix::fs::openat(from, name, flags | OFlags::NOFOLLOW, Mode::empty())?);
        }
        reached.ok_or(Errno::NOENT)
    }

    /// Opens a name for reading, without a trace in its access time where the system allows that. `owner` is who owns
    /// it, as far as is known: others need not even try.
    pub(super) fn open_for_reading(
        &self,
        folder: impl AsFd,
        name: &[u8],
        extra: OFlags,
        owner: u32,
    ) -> Result<OwnedFd, Errno> {
        let folder = folder.as_fd();
        let open = |flags| rustix::fs::openat(folder, name, flags, Mode::empty());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC | extra;
        let quiet = if self.user == 0 || self.user == owner { OFlags::NOATIME } else { OFlags::empty() };
        match open(flags | quiet) {
            Err(Errno::PERM) if !quiet.is_empty() => open(flags),
            // Somebody has a lease on this regular file: wait until it is given back.
            Err(Errno::AGAIN) => open(flags - OFlags::NONBLOCK),
            result => result,
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn pretend_to_lack_openat2(&self) {
        self.lacks_openat2.store(true, Ordering::Relaxed);
    }
}

impl Kept {
    fn find(&self, file_id: &str) -> Option<Arc<OwnedFd>> {
        self.folders.iter().find(|(kept, _)| **kept == *file_id).map(|(_, folder)| folder.clone())
    }

    fn keep(&mut self, file_id: &str, folder: Arc<OwnedFd>) {
        let new = (file_id.into(), folder);
        if self.folders.len() < KEPT_OPEN {
            self.folders.push(new);
        } else if let Some(slot) = self.folders.get_mut(self.oldest) {
            *slot = new;
            self.oldest = (self.oldest + 1) % KEPT_OPEN;
        }
    }
}

/// Cuts a path at slashes into pieces that the system takes.
fn pieces(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = path;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = if rest.len() <= LONGEST_PIECE {
            rest.len()
        } else {
            rest[..=LONGEST_PIECE].iter().rposition(|byte| *byte == b'/').unwrap_or(rest.len())
        };
        let piece = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pieces_of_a_long_path_join_to_the_path_and_each_fits_into_a_system_call() {
        let name = "n".repeat(255);
        for depth in [1, 2, 14, 15, 16, 100] {
            let path = vec![name.as_str(); depth].join("/");
            let cut: Vec<&[u8]> = pieces(path.as_bytes()).collect();
            assert!(cut.iter().all(|piece| piece.len() <= LONGEST_PIECE && !piece.is_empty()));
            assert_eq!(cut.join(&b'/'), path.as_bytes());
        }
    }

    #[test]
    fn a_folder_swapped_for_a_symlink_does_not_lead_outside() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("outside/inner")).unwrap();
        std::fs::create_dir(temp.path().join("root")).unwrap();
        std::os::unix::fs::symlink("../outside", temp.path().join("root/link")).unwrap();
        let root = rustix::fs::open(temp.path().join("root"), OFlags::PATH, Mode::empty()).unwrap();
        let folders = Folders::new(root);
        assert!(folders.get("link").is_err());
        assert!(folders.get("link/inner").is_err());
        assert!(folders.get("../outside").is_err());
        folders.pretend_to_lack_openat2();
        assert!(folders.get("link").is_err());
        assert!(folders.get("link/inner").is_err());
    }
}
