//! Owner, extended attributes, mode, times and inode flags, in the order in which one does not undo another: an owner
//! clears set-id bits and capabilities, an ACL changes the mode, and everything changes times.

use std::path::PathBuf;

use base64::prelude::{BASE64_STANDARD, Engine};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::fs::{
    AtFlags, CWD, Gid, IFlags, Mode, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmodat, chownat, fchmod,
    fchown, fremovexattr, fsetxattr, futimens, ioctl_getflags, ioctl_setflags, setxattr, utimensat,
};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};

use crate::object::{FileMeta, Kind};
use crate::restore::tally::{Limit, Tally};
use crate::tree::TreeEntry;

/// Flags that users set. Others belong to the file system (extents, indexes, encryption, …).
const SETTABLE: IFlags = IFlags::NODUMP
    .union(IFlags::NOATIME)
    .union(IFlags::COMPRESSED)
    .union(IFlags::SYNC)
    .union(IFlags::DIRSYNC)
    .union(IFlags::NOCOW)
    .union(IFlags::NOTAIL)
    .union(IFlags::TOPDIR)
    .union(IFlags::JOURNALING)
    .union(IFlags::PROJECT_INHERIT)
    .union(IFlags::SECURE_REMOVAL)
    .union(IFlags::UNRM);

/// Flags after which nothing can be changed any more: set when all else is done.
const SEALING: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);

const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
const ACLS: [&str; 2] = ["system.posix_acl_access", "system.posix_acl_default"];

/// Something that was made and is to get its attributes.
pub(super) enum Made<'a> {
    /// Opened for reading or writing.
    Open(BorrowedFd<'a>),
    /// Opened as a mere place (`O_PATH`): links, devices, … cannot be opened otherwise.
    Place(BorrowedFd<'a>),
}

/// What could not be set, and why.
pub(super) type Refused = Vec<(String, Errno)>;

/// Sets everything but inode flags. What cannot be set keeps nothing else from being set.
pub(super) fn apply(made: &Made<'_>, entry: &TreeEntry<'_>, meta: Option<&FileMeta>, tally: &Tally<'_>) -> Refused {
    let mut refused = Refused::new();
    let lost_bits = made.give_to(entry, tally, &mut refused);
    made.set_xattrs(meta, entry, tally, &mut refused);
    let mut tried = |what: &str, done: Result<(), Errno>| refused.extend(done.err().map(|why| (what.to_owned(), why)));
    if let Some(mode) = entry.mode.filter(|_| entry.kind != Some(Kind::Symlink)) {
        tried("mode", made.set_mode(mode & !lost_bits));
    }
    tried("modification time", made.set_mtime(entry.mtime));
    refused
}

impl Made<'_> {
    /// Gives it its owner and group, as far as that is allowed. The result: mode bits that it must not have, as they
    /// would lend the rights of another owner than they were meant to.
    fn give_to(&self, entry: &TreeEntry<'_>, tally: &Tally<'_>, refused: &mut Refused) -> u32 {
        // A source without modes has no owners either; -1 is nobody.
        if entry.mode.is_none() || entry.uid == u32::MAX || entry.gid == u32::MAX {
            return 0;
        }
        let (is_root, own_uid, own_gid) = (geteuid().is_root(), geteuid().as_raw(), getegid().as_raw());
        if !is_root && (own_uid, own_gid) == (entry.uid, entry.gid) {
            return 0;
        }
        let (uid, gid) = (Some(Uid::from_raw(entry.uid)), Some(Gid::from_raw(entry.gid)));
        match self.chown(uid, gid) {
            Ok(()) => return 0,
            Err(Errno::PERM | Errno::INVAL) if is_root => tally.limited(Limit::OwnerByRoot),
            Err(Errno::PERM | Errno::INVAL) => tally.limited(Limit::Owner),
            Err(why) => refused.push(("owner".to_owned(), why)),
        }
        let mut lost = if own_uid == entry.uid { 0 } else { SET_UID };
        if own_gid != entry.gid && self.chown(None, gid).is_err() && !entry.is_folder {
            lost |= SET_GID;
        }
        lost
    }

    fn chown(&self, uid: Option<Uid>, gid: Option<Gid>) -> Result<(), Errno> {
        match self {
            Self::Open(fd) => fchown(fd, uid, gid),
            Self::Place(fd) => chownat(fd, c"", uid, gid, AtFlags::EMPTY_PATH),
        }
    }

    fn set_xattrs(&self, meta: Option<&FileMeta>, entry: &TreeEntry<'_>, tally: &Tally<'_>, refused: &mut Refused) {
        let wanted = meta.map(|meta| &meta.xattrs);
        if entry.mode.is_some()
            && let Self::Open(fd) = self
        {
            // What it inherited from the target's default ACL is not what the source had.
            for acl in ACLS.iter().filter(|acl| wanted.is_none_or(|wanted| !wanted.contains_key(**acl))) {
                _ = fremovexattr(fd, *acl);
            }
        }
        let mut is_limited = false;
        for (name, value) in wanted.into_iter().flatten() {
            match self.set_xattr(name, value) {
                Ok(()) => {}
                Err(Errno::OPNOTSUPP) => is_limited = true,
                Err(Errno::PERM) if !name.starts_with("user.") => is_limited = true,
                Err(why) => refused.push((format!("extended attribute {}", name.escape_debug()), why)),
            }
        }
        if is_limited {
            tally.limited(Limit::Xattrs);
        }
    }

    fn set_xattr(&self, name: &str, value: &str) -> Result<(), Errno> {
        let value = BASE64_STANDARD.decode(value).map_err(|_| Errno::INVAL)?;
        match self {
            Self::Open(fd) => fsetxattr(fd, name, &value, XattrFlags::empty()),
            Self::Place(fd) => setxattr(by_number(fd), name, &value, XattrFlags::empty()),
        }
    }

    fn set_mode(&self, mode: u32) -> Result<(), Errno> {
        let mode = Mode::from_raw_mode(mode);
        match self {
            Self::Open(fd) => fchmod(fd, mode),
            Self::Place(fd) => chmodat(CWD, by_number(fd), mode, AtFlags::empty()),
        }
    }

    fn set_mtime(&self, (seconds, nanoseconds): (i64, u32)) -> Result<(), Errno> {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() },
        };
        match self {
            Self::Open(fd) => futimens(fd, &times),
            Self::Place(fd) => utimensat(CWD, by_number(fd), &times, AtFlags::empty()),
        }
    }
}

/// A path that leads to exactly what is opened, whatever its name has become, even to a link itself.
fn by_number(fd: &BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// Sets the inode flags that do not stop further changes. Before the data: some work only on an empty file.
pub(super) fn set_flags(fd: BorrowedFd<'_>, entry: &TreeEntry<'_>, tally: &Tally<'_>) {
    change_flags(fd, IFlags::from_bits_retain(entry.flags) & SETTABLE, tally);
}

/// Whether an entry is to be sealed when all else is done.
pub(super) fn is_sealed(entry: &TreeEntry<'_>) -> bool {
    entry.kind.is_none() && IFlags::from_bits_retain(entry.flags).intersects(SEALING)
}

/// Makes an entry immutable or append-only, as it was.
pub(super) fn seal(fd: BorrowedFd<'_>, entry: &TreeEntry<'_>, tally: &Tally<'_>) {
    change_flags(fd, IFlags::from_bits_retain(entry.flags) & SEALING, tally);
}

fn change_flags(fd: BorrowedFd<'_>, wanted: IFlags, tally: &Tally<'_>) {
    if wanted.is_empty() {
        return;
    }
    let changed =
        ioctl_getflags(fd).and_then(|has| if has.contains(wanted) { Ok(()) } else { ioctl_setflags(fd, has | wanted) });
    if changed.is_err() {
        tally.limited(Limit::Flags);
    }
}
