//! Extended attributes, access control lists and capabilities among them.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};

use base64::prelude::{BASE64_STANDARD, Engine};
use rustix::buffer::{SpareCapacity, spare_capacity};
use rustix::fs::{fgetxattr, flistxattr, getxattr, listxattr};
use rustix::io::Errno;

use super::path::printable;

/// Enough for nearly all lists and values, in bytes.
const USUAL: usize = 512;

/// The kernel's limit of both lists and values, in bytes.
const LARGEST: usize = 65_536;

/// What has attributes.
pub(super) enum Holder<'a> {
    /// Open for reading.
    Open(&'a OwnedFd),
    /// Open as a place only: its attributes are to be had through `/proc`. That leads to the very file that is open,
    /// even to a symlink itself, whatever has become of its name.
    Place(&'a OwnedFd),
}

/// Every attribute, its value in base64, and a problem for each that cannot be read or stored.
pub(super) fn read(holder: &Holder<'_>) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut found, mut problems) = (BTreeMap::new(), Vec::new());
    let names = match holder.list() {
        Ok(names) => names,
        Err(Errno::NOTSUP | Errno::NOSYS) => return (found, problems),
        Err(error) => {
            problems.push(format!("its extended attributes cannot be listed: {}", std::io::Error::from(error)));
            return (found, problems);
        }
    };
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let Ok(text) = std::str::from_utf8(name) else {
            problems.push(format!("its extended attribute {} has a name that is not UTF-8", printable(name)));
            continue;
        };
        match holder.get(text) {
            Ok(value) => drop(found.insert(text.to_owned(), BASE64_STANDARD.encode(value))),
            // Removed since it was listed.
            Err(Errno::NODATA) => {}
            Err(error) => {
                let error = std::io::Error::from(error);
                problems.push(format!("its extended attribute {} cannot be read: {error}", printable(name)));
            }
        }
    }
    (found, problems)
}

impl Holder<'_> {
    fn list(&self) -> Result<Vec<u8>, Errno> {
        match self {
            Self::Open(file) => fill(|buffer| flistxattr(file, buffer)),
            Self::Place(place) => fill(|buffer| listxattr(proc_path(place), buffer)),
        }
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, Errno> {
        match self {
            Self::Open(file) => fill(|buffer| fgetxattr(file, name, buffer)),
            Self::Place(place) => fill(|buffer| getxattr(proc_path(place), name, buffer)),
        }
    }
}

fn proc_path(place: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", place.as_raw_fd())
}

fn fill(read: impl Fn(SpareCapacity<'_, u8>) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = Vec::with_capacity(USUAL);
    match read(spare_capacity(&mut buffer)) {
        Err(Errno::RANGE) => {
            buffer.reserve_exact(LARGEST);
            read(spare_capacity(&mut buffer))?;
        }
        result => drop(result?),
    }
    Ok(buffer)
}
