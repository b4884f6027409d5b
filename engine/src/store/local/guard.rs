//! The guard of a folder: who holds it is alone in looking at an object and changing it.
//!
//! It holds between the processes of one host, and between the clients of one network file system that share its locks.
//! It does not hold between such a client and a process on the server itself, which locks the folder of its own disk:
//! so all hosts reach a repository on a network file system through that file system.
//!
//! It is a lock of the kernel, not a file that is there or not: the death of its holder releases it. The folder itself
//! carries it, so that nothing is left lying about. NFS cannot lock folders; there a file in it does, whose name ends
//! like a temporary one, so that no listing shows it, and which is never removed.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The name of the guard file where folders cannot be locked.
pub(super) const GUARD_FILE: &str = ".guard.tmp";

/// How often, and at which interval, a guard that is taken is tried: 2 s in all. Its holder needs microseconds, unless
/// it was stopped.
const TRIES: u32 = 400;
const INTERVAL: Duration = Duration::from_millis(5);

/// Holds the guard of the folder that `path` is in until the result is dropped.
pub(super) fn hold(path: &Path) -> io::Result<File> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let file = File::open(folder)?;
    match lock(&file) {
        Err(cause) if cause.kind() == ErrorKind::TimedOut => Err(cause),
        Err(_) => {
            let path = folder.join(GUARD_FILE);
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
            lock(&file).map(|()| file)
        }
        Ok(()) => Ok(file),
    }
}

fn lock(file: &File) -> io::Result<()> {
    for _ in 0..TRIES {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => std::thread::sleep(INTERVAL),
            Err(Errno::INTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
    Err(io::Error::new(ErrorKind::TimedOut, "another process holds the folder's guard and does not let go of it"))
}
