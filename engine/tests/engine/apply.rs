//! Random changes of a tree, done.
//!
//! A step does what the tree allows and nothing otherwise, so that any list of steps is a tree. Times that steps set are
//! different for each step: without a cache, a change that leaves size and modification time as they were is not seen,
//! and that is no defect.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use cloudstic_e2e::random;
use rustix::fs::{
    AtFlags, CWD, FileType, IFlags, Mode, Timespec, Timestamps, ioctl_getflags, ioctl_setflags, makedev, mknodat,
    utimensat,
};

use crate::steps::{Step, What};

/// Does a step, as far as the tree and the rights of the user allow. `seed` is another one for each step.
pub(crate) fn apply(root: &Path, step: &Step, seed: u64) {
    let at = |path: &[u8]| root.join(OsStr::from_bytes(path));
    let free = |path: &[u8]| {
        let path = at(path);
        let parent = path.parent().unwrap();
        (fs::create_dir_all(parent).is_ok() && fs::symlink_metadata(&path).is_err()).then_some(path)
    };
    match step {
        Step::Make { path, what } => {
            if let Some(path) = free(path) {
                make(&path, what, seed);
            }
        }
        Step::Become { path, what } => {
            let path = at(path);
            if remove(&path) {
                make(&path, what, seed);
            }
        }
        Step::HardLink { path, first } => {
            if fs::symlink_metadata(at(first)).is_ok_and(|metadata| !metadata.is_dir())
                && let Some(path) = free(path)
            {
                fs::hard_link(at(first), path).unwrap();
            }
        }
        Step::Rename { from, to } => {
            if let Some(to) = free(to) {
                // A folder cannot go into itself, and what is not there nowhere.
                let _ = fs::rename(at(from), to);
            }
        }
        Step::Remove { path } => _ = remove(&at(path)),
        Step::Modify { path, size } => modify(&at(path), *size, seed),
        Step::Touch { path, mtime } => {
            if fs::symlink_metadata(at(path)).is_ok() {
                touch(&at(path), *mtime, seed);
            }
        }
        Step::Chmod { path, mode } => match fs::symlink_metadata(at(path)) {
            Ok(metadata) if metadata.is_symlink() => {}
            Ok(metadata) => {
                let mode = if metadata.is_dir() { mode | 0o700 } else { *mode };
                fs::set_permissions(at(path), PermissionsExt::from_mode(mode)).unwrap();
            }
            Err(_) => {}
        },
        Step::Chown { path, uid, gid } => {
            if fs::symlink_metadata(at(path)).is_ok() {
                lchown(at(path), Some(*uid), Some(*gid)).unwrap();
            }
        }
        // The file system may not know the name, the entry may be of a kind that takes none, or read-only.
        Step::Xattr { path, name, value } => {
            _ = match value {
                Some(value) => xattr::set(at(path), name, value),
                None => xattr::remove(at(path), name),
            }
        }
        Step::Flags { path, flags } => set_flags(&at(path), *flags),
    }
}

fn make(path: &Path, what: &What, seed: u64) {
    match what {
        What::File { size, mode, mtime } => {
            fs::write(path, random::bytes(seed, *size as usize)).unwrap();
            fs::set_permissions(path, PermissionsExt::from_mode(*mode)).unwrap();
            touch(path, *mtime, seed);
        }
        What::Sparse { size, at, data } => {
            let file = fs::File::create(path).unwrap();
            file.set_len((*size).into()).unwrap();
            let data = (*data).min(size - at);
            file.write_all_at(&random::bytes(seed, data as usize), (*at).into()).unwrap();
        }
        What::Folder { mode } => {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, PermissionsExt::from_mode(*mode)).unwrap();
        }
        What::Symlink { target } => symlink(OsStr::from_bytes(target), path).unwrap(),
        What::Special { kind, major, minor } => {
            let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
            let device = if is_device { makedev(*major, *minor) } else { 0 };
            mknodat(CWD, path, *kind, Mode::from_raw_mode(0o640), device).unwrap();
        }
    }
}

/// Whether there was something, and it is gone.
fn remove(path: &PathBuf) -> bool {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).is_ok(),
        Ok(_) => fs::remove_file(path).is_ok(),
        Err(_) => false,
    }
}

fn modify(path: &Path, size: Option<u32>, seed: u64) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if !metadata.is_file() {
        return;
    }
    let size = size.map_or(metadata.len(), u64::from);
    // A read-only file refuses an ordinary user.
    let Ok(file) = fs::File::options().write(true).truncate(true).open(path) else { return };
    file.write_all_at(&random::bytes(seed, size as usize), 0).unwrap();
}

fn touch(path: &Path, (seconds, nanoseconds): (i64, u32), seed: u64) {
    let time = Timespec { tv_sec: seconds + seed as i64, tv_nsec: nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn set_flags(path: &Path, flags: IFlags) {
    let can_open = |metadata: fs::Metadata| metadata.is_file() || metadata.is_dir();
    if fs::symlink_metadata(path).is_ok_and(can_open)
        && let Ok(file) = fs::File::open(path)
        && let Ok(has) = ioctl_getflags(&file)
    {
        let others = has.difference(IFlags::NODUMP | IFlags::NOATIME);
        let _ = ioctl_setflags(&file, others | flags);
    }
}
