//! Folders below the target, opened so that no link can lead out of it.
//!
//! Every path is resolved by the kernel beneath the target without following any link; what is then done uses the
//! opened folder and a single name. A folder that somebody replaces by a link meanwhile is an error, never followed.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, ResolveFlags, Statx, StatxFlags, access, openat, openat2, statx};
use rustix::io::Errno;

use crate::tree::{EntryId, Tree};

/// A path of more bytes is resolved in parts: the kernel takes less than 4,096.
const PATH_PART: usize = 3800;
/// Folders that a thread keeps open.
const OPEN: usize = 16;

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);

/// The folder that is restored to.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) folder: Arc<OwnedFd>,
    /// Whether it was made for this restore.
    pub(super) fresh: bool,
}

impl Target {
    /// Opens the target; links on the way to it are the user's own and are followed. `None`: it is not there, was not
    /// to be made, and could be.
    pub(super) fn open(path: &Path, make: bool) -> io::Result<Option<Self>> {
        let open = || openat(CWD, path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty());
        match open() {
            Ok(folder) => Ok(Some(Self { folder: Arc::new(folder), fresh: false })),
            Err(Errno::NOENT) if make => {
                std::fs::create_dir_all(path)?;
                Ok(Some(Self { folder: Arc::new(open()?), fresh: true }))
            }
            Err(Errno::NOENT) => may_make(path).map(|()| None),
            Err(why) => Err(why.into()),
        }
    }
}

/// Whether this thread's user could make a folder that is not there.
fn may_make(path: &Path) -> io::Result<()> {
    for above in path.ancestors() {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match std::fs::symlink_metadata(above) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
            Ok(_) if !std::fs::metadata(above)?.is_dir() => return Err(io::ErrorKind::NotADirectory.into()),
            Ok(_) => return Ok(access(above, Access::WRITE_OK | Access::EXEC_OK)?),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// The folders of one thread: those used last stay open.
pub(super) struct Folders<'a> {
    target: &'a Target,
    tree: &'a Tree,
    open: VecDeque<(EntryId, Arc<OwnedFd>)>,
}

impl<'a> Folders<'a> {
    pub(super) const fn new(target: &'a Target, tree: &'a Tree) -> Self {
        Self { target, tree, open: VecDeque::new() }
    }

    /// The folder of an entry; the target for `None`.
    pub(super) fn get(&mut self, folder: Option<EntryId>) -> Result<Arc<OwnedFd>, Errno> {
        let Some(id) = folder else { return Ok(Arc::clone(&self.target.folder)) };
        if let Some(at) = self.open.iter().position(|(known, _)| *known == id)
            && let Some(known) = self.open.remove(at)
        {
            let folder = Arc::clone(&known.1);
            self.open.push_front(known);
            return Ok(folder);
        }
        let folder = Arc::new(open_beneath(&self.target.folder, &self.tree.path(id))?);
        self.open.truncate(OPEN - 1);
        self.open.push_front((id, Arc::clone(&folder)));
        Ok(folder)
    }
}

/// Opens a folder by its path below `root`.
fn open_beneath(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut folder: Option<OwnedFd> = None;
    let mut rest = path;
    while !rest.is_empty() {
        let part = if rest.len() <= PATH_PART {
            std::mem::take(&mut rest)
        } else {
            let cut = rest[..PATH_PART].iter().rposition(|&byte| byte == b'/').ok_or(Errno::NAMETOOLONG)?;
            let part = &rest[..cut];
            rest = &rest[cut + 1..];
            part
        };
        folder = Some(open_part(folder.as_ref().unwrap_or(root), part)?);
    }
    folder.ok_or(Errno::INVAL)
}

fn open_part(base: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    match openat2(base, path, FOLDER, Mode::empty(), RESOLVE) {
        // A kernel before 5.6, or a filter that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => open_stepwise(base, path),
        opened => opened,
    }
}

/// The same, name by name, none of which may be a link.
fn open_stepwise(base: &OwnedFd, path: &[u8]) -> Result<OwnedFd, Errno> {
    let mut folder: Option<OwnedFd> = None;
    for name in path.split(|&byte| byte == b'/') {
        if name == b".." {
            return Err(Errno::XDEV);
        }
        folder = Some(openat(folder.as_ref().unwrap_or(base), name, FOLDER, Mode::empty())?);
    }
    folder.ok_or(Errno::INVAL)
}

/// What is at a name, if anything.
pub(super) fn look(folder: &OwnedFd, name: &[u8]) -> Result<Option<Statx>, Errno> {
    match statx(folder, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn no_way_of_opening_follows_a_link_or_leaves_the_target() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        std::fs::create_dir_all(root.join("real/below")).unwrap();
        std::fs::create_dir_all(scratch.path().join("outside/below")).unwrap();
        std::os::unix::fs::symlink("../outside", root.join("link")).unwrap();
        std::os::unix::fs::symlink("real", root.join("inside")).unwrap();
        let target = Target::open(&root, false).unwrap().unwrap();
        for open in [open_part, open_stepwise, open_beneath] {
            assert!(open(&target.folder, b"real/below").is_ok());
            for path in [&b"link"[..], b"link/below", b"inside/below", b"..", b"real/../../outside", b"nothing"] {
                assert!(open(&target.folder, path).is_err(), "{}", path.escape_ascii());
            }
        }
    }

    #[test]
    fn a_path_longer_than_the_kernel_takes_is_opened_in_parts() {
        let scratch = tempfile::tempdir().unwrap();
        let target = Target::open(scratch.path(), false).unwrap().unwrap();
        let (mut path, name) = (Vec::new(), vec![b'n'; 200]);
        let mut folder = Arc::clone(&target.folder);
        for _ in 0..30 {
            rustix::fs::mkdirat(&folder, &name[..], Mode::RWXU).unwrap();
            path.extend_from_slice(&name);
            folder = Arc::new(open_beneath(&target.folder, &path).unwrap());
            path.push(b'/');
        }
        assert!(path.len() > 6000);
    }
}
