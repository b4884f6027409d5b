//! `statx`, and what the engine keeps of it.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Statx, StatxFlags};
use rustix::io::Errno;

use super::{FileType, Stat};

/// Which file system an entry lies on: major and minor number.
pub(super) type Device = (u32, u32);

/// Looks at a name in a folder, never through a symlink, and without mounting anything.
pub(super) fn look_at(folder: impl AsFd, name: &[u8]) -> Result<(Stat, Device), Errno> {
    look(folder, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
}

/// Looks at what is open.
pub(super) fn look_at_open(file: impl AsFd) -> Result<(Stat, Device), Errno> {
    look(file, b"", AtFlags::EMPTY_PATH)
}

fn look(folder: impl AsFd, name: &[u8], flags: AtFlags) -> Result<(Stat, Device), Errno> {
    let found = rustix::fs::statx(folder, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME)?;
    let device = (found.stx_dev_major, found.stx_dev_minor);
    Ok((stat_of(&found).ok_or(Errno::NOTSUP)?, device))
}

/// `None` for a file type that POSIX does not know.
fn stat_of(found: &Statx) -> Option<Stat> {
    let has_btime = found.stx_mask & StatxFlags::BTIME.bits() != 0;
    Some(Stat {
        inode: found.stx_ino,
        size: found.stx_size,
        mtime: (found.stx_mtime.tv_sec, found.stx_mtime.tv_nsec),
        ctime: (found.stx_ctime.tv_sec, found.stx_ctime.tv_nsec),
        btime: if has_btime { found.stx_btime.tv_sec } else { 0 },
        mode: u32::from(found.stx_mode) & 0o7777,
        uid: found.stx_uid,
        gid: found.stx_gid,
        rdev: (found.stx_rdev_major, found.stx_rdev_minor),
        blocks: found.stx_blocks,
        links: found.stx_nlink,
        file_type: file_type_of(rustix::fs::FileType::from_raw_mode(found.stx_mode.into()))?,
    })
}

/// `None` if the type is not known, as in listings of file systems that do not tell it.
pub(super) fn file_type_of(file_type: rustix::fs::FileType) -> Option<FileType> {
    use rustix::fs::FileType as Raw;
    Some(match file_type {
        Raw::RegularFile => FileType::Regular,
        Raw::Directory => FileType::Folder,
        Raw::Symlink => FileType::Symlink,
        Raw::Fifo => FileType::Fifo,
        Raw::Socket => FileType::Socket,
        Raw::CharacterDevice => FileType::CharDevice,
        Raw::BlockDevice => FileType::BlockDevice,
        Raw::Unknown => return None,
    })
}
