//! From the mount to its end.

use std::io;
use std::path::{Path, PathBuf};

use fuser::{Config, MountOption, Session, SessionACL};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{getgid, getuid};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::kernel::Kernel;
use super::remote::Remote;
use super::tree::Tree;
use crate::error::Error;
use crate::signals::Interrupts;

pub(crate) use super::daemon::Repository;
pub(crate) use super::nodes::What;
pub(crate) use super::tree::Say;

/// What to mount, and where.
pub(crate) struct Mount {
    /// An empty directory, absolute.
    pub(crate) dir: PathBuf,
    /// What `mount` and `df` show as the device.
    pub(crate) name: String,
    /// Whether other users may look into it.
    pub(crate) allow_other: bool,
}

/// Serves a file system until somebody unmounts it, or a signal ends it. `mounted` runs as soon as it can be used.
///
/// At a signal it is taken out of sight even if programs still use it; then it is served until the last one leaves,
/// or until the next interrupt.
pub(crate) async fn serve<R: Remote>(
    remote: R,
    root: What,
    say: Say,
    mount: Mount,
    mut interrupts: Interrupts,
    mounted: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let hangups = signal(SignalKind::hangup());
    let mut hangups = hangups.map_err(|source| Error::System { action: "listen for signals", source })?;
    let kernel = Kernel::new(Tree::new(remote, root, say), Handle::current(), getuid().as_raw(), getgid().as_raw());
    let Mount { dir, name, allow_other } = mount;
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::RO,
        MountOption::FSName(format!("cloudstic:{name}")),
        MountOption::Subtype("cloudstic".to_owned()),
    ];
    if allow_other {
        config.acl = SessionACL::All;
        // The kernel holds others to the modes. Alone, one may read what one may restore: all of it.
        config.mount_options.push(MountOption::DefaultPermissions);
    }
    let place = dir.clone();
    let session = blocking(move || Session::new(kernel, &place, &config)).await;
    // What fusermount says ends with a newline.
    let session = session.map_err(|error| io::Error::new(error.kind(), error.to_string().trim().to_owned()));
    let mut session = session.map_err(|source| Error::Mount { dir: dir.clone(), advice: advice(&source), source })?;
    let mut unmounter = session.unmount_callable();
    let (tell, mut ended) = oneshot::channel();
    // A thread of its own, as it waits for the kernel as long as the mount lasts.
    std::thread::spawn(move || tell.send(session.run()));
    let told = mounted();
    if told.is_ok() {
        tokio::select! {
            result = &mut ended => return over(result, &dir),
            () = interrupts.next() => {}
            // The terminal is gone.
            _ = hangups.recv() => {}
        }
    }
    let place = dir.clone();
    let unmounted = blocking(move || {
        // In use, perhaps: then it is only taken out of sight.
        unmounter.unmount().or_else(|_| Ok(unmount(&place, UnmountFlags::DETACH)?))
    });
    unmounted.await.map_err(|source| Error::Mount { dir: dir.clone(), advice: "unmount it yourself", source })?;
    told?;
    tokio::select! {
        result = &mut ended => over(result, &dir),
        () = interrupts.next() => Err(Error::Interrupted(format!("programs still used {}", dir.display()))),
    }
}

fn over(result: Result<io::Result<()>, oneshot::error::RecvError>, dir: &Path) -> Result<(), Error> {
    let result = result.unwrap_or_else(|_| Err(io::Error::other("it ended by itself")));
    result.map_err(|source| Error::Mount { dir: dir.to_owned(), advice: "mount it again", source })
}

/// Runs what waits for the kernel or another program, beside the tasks that serve them.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// What the user can do about a mount that failed.
fn advice(error: &io::Error) -> &'static str {
    if error.to_string().contains("user_allow_other") {
        return "add the line user_allow_other to /etc/fuse.conf, or leave out --allow-other";
    }
    match error.kind() {
        io::ErrorKind::NotFound => {
            "it needs /dev/fuse (`modprobe fuse`) and, unless you are root, fusermount3 (package fuse3)"
        }
        io::ErrorKind::PermissionDenied => "the directory must be yours to write, and /dev/fuse must let you in",
        _ => "see whether the directory is yours and /dev/fuse is there",
    }
}
