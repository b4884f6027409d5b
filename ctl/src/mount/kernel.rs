//! Between the kernel and the tree: requests in, replies out.
//!
//! A request that has to ask the daemon becomes a task, so that a slow one holds up no other. The kernel refuses all
//! writing by itself, as the mount is read-only.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, Request,
};
use tokio::runtime::Handle;

use super::blocks::File;
use super::nodes::{Child, What};
use super::remote::Remote;
use super::tree::{Folder, Refusal, Tree};

/// How long the kernel may believe what is in a snapshot: that never changes.
const IMMUTABLE: Duration = Duration::from_secs(3600);

/// The same for the folders of the mount's own.
const CHANGING: Duration = Duration::from_secs(1);

/// A tree for the kernel.
pub(crate) struct Kernel<R> {
    tree: Arc<Tree<R>>,
    runtime: Handle,
    looks: Looks,
    files: Opened<File>,
    folders: Opened<Folder>,
}

impl<R> Kernel<R> {
    /// Serves a tree; its tasks run on `runtime`.
    pub(crate) fn new(tree: Tree<R>, runtime: Handle, uid: u32, gid: u32) -> Self {
        let looks = Looks { uid, gid, mounted: SystemTime::now() };
        Self { tree: Arc::new(tree), runtime, looks, files: Opened::default(), folders: Opened::default() }
    }
}

impl From<Refusal> for Errno {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing => Self::ENOENT,
            Refusal::NotAFolder => Self::ENOTDIR,
            Refusal::Unfit => Self::EINVAL,
            Refusal::Failed => Self::EIO,
        }
    }
}

impl<R: Remote> Filesystem for Kernel<R> {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each is only faster: an old kernel goes without.
        for wish in [InitFlags::FUSE_DO_READDIRPLUS, InitFlags::FUSE_READDIRPLUS_AUTO, InitFlags::FUSE_PARALLEL_DIROPS]
        {
            let _ = config.add_capabilities(wish);
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let (tree, looks, name) = (Arc::clone(&self.tree), self.looks, name.as_bytes().to_vec());
        self.runtime.spawn(async move {
            match tree.look_up(parent.0, &name).await {
                Ok(node) => reply.entry(&ttl(&node.child), &looks.of(node.number, &node.child), Generation(0)),
                Err(refusal) => reply.error(refusal.into()),
            }
        });
    }

    fn forget(&self, _: &Request, number: INodeNo, lookups: u64) {
        self.tree.nodes.forget(number.0, lookups);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.tree.node(number.0) {
            Ok(node) => reply.attr(&ttl(&node.child), &self.looks.of(node.number, &node.child)),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match self.tree.target(number.0).as_deref() {
            Ok(Child { what: What::Link(target), .. }) => reply.data(target),
            Ok(Child { what: What::Entry(entry), .. }) => reply.data(&entry.target),
            Ok(_) => reply.error(Errno::EINVAL),
            Err(refusal) => reply.error((*refusal).into()),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.tree.open_file(number.0) {
            // What the kernel has read of it stays true.
            Ok(file) => reply.opened(self.files.add(file), FopenFlags::FOPEN_KEEP_CACHE),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(file) = self.files.get(handle) else { return reply.error(Errno::EBADF) };
        let tree = Arc::clone(&self.tree);
        self.runtime.spawn(async move {
            match tree.read(&file, offset, size.into()).await {
                Ok(bytes) => reply.data(&bytes),
                Err(refusal) => reply.error(refusal.into()),
            }
        });
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.files.close(handle);
        reply.ok();
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let (tree, folders) = (Arc::clone(&self.tree), self.folders.clone());
        self.runtime.spawn(async move {
            match tree.open_folder(number.0).await {
                Ok(folder) => reply.opened(folders.add(folder), FopenFlags::empty()),
                Err(refusal) => reply.error(refusal.into()),
            }
        });
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let Some(folder) = self.folders.get(handle) else { return reply.error(Errno::EBADF) };
        let paged = folder.page(offset, |next, name, child| {
            let (number, kind) = match child {
                Some(child) => (self.tree.nodes.number(&folder.node, name), kind(child)),
                None => (dot(&folder, name), FileType::Directory),
            };
            !reply.add(INodeNo(number), next, kind, OsStr::from_bytes(name))
        });
        match paged {
            Ok(()) => reply.ok(),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn readdirplus(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, mut reply: ReplyDirectoryPlus) {
        let Some(folder) = self.folders.get(handle) else { return reply.error(Errno::EBADF) };
        let paged = folder.page(offset, |next, name, child| {
            let generation = Generation(0);
            let Some(child) = child else {
                // Of these two the kernel takes no more than the numbers.
                let number = dot(&folder, name);
                let looks = self.looks.of(number, &folder.node.child);
                return !reply.add(INodeNo(number), next, OsStr::from_bytes(name), &CHANGING, &looks, generation);
            };
            let node = self.tree.nodes.look_up(&folder.node, child);
            let looks = self.looks.of(node.number, child);
            let full = reply.add(INodeNo(node.number), next, OsStr::from_bytes(name), &ttl(child), &looks, generation);
            if full {
                // The kernel will not hear of it, and so not forget it.
                self.tree.nodes.forget(node.number, 1);
            }
            !full
        });
        match paged {
            Ok(()) => reply.ok(),
            Err(refusal) => reply.error(refusal.into()),
        }
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.folders.close(handle);
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(0, 0, 0, 0, 0, 4096, 255, 4096);
    }
}

/// The number of `.` or `..`.
fn dot(folder: &Folder, name: &[u8]) -> u64 {
    if name == b"." { folder.node.number } else { folder.node.parent_number() }
}

fn ttl(child: &Child) -> Duration {
    if matches!(child.what, What::Entry(_)) { IMMUTABLE } else { CHANGING }
}

fn kind(child: &Child) -> FileType {
    match &child.what {
        What::Entry(entry) => entry.kind,
        What::Link(_) => FileType::Symlink,
        What::Top | What::Snapshots | What::Tags | What::Tag | What::Snapshot(..) => FileType::Directory,
    }
}

/// What `stat` says of entries.
#[derive(Debug, Clone, Copy)]
struct Looks {
    /// Who owns the folders of the mount's own.
    uid: u32,
    gid: u32,
    /// Their time.
    mounted: SystemTime,
}

impl Looks {
    fn of(self, number: u64, child: &Child) -> FileAttr {
        let mut looks = FileAttr {
            ino: INodeNo(number),
            size: 0,
            blocks: 0,
            atime: self.mounted,
            mtime: self.mounted,
            ctime: self.mounted,
            crtime: UNIX_EPOCH,
            kind: kind(child),
            perm: 0o555,
            // Of a folder it means that nobody counted what is below.
            nlink: 1,
            uid: self.uid,
            gid: self.gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        };
        let modified = match &child.what {
            What::Entry(entry) => {
                (looks.perm, looks.uid, looks.gid) = (entry.mode, entry.uid, entry.gid);
                looks.size = if entry.kind == FileType::Symlink { entry.target.len() as u64 } else { entry.size };
                looks.blocks = looks.size.div_ceil(512);
                Some(entry.modified)
            }
            What::Link(target) => {
                (looks.perm, looks.size) = (0o777, target.len() as u64);
                None
            }
            What::Snapshot(_, created) => *created,
            What::Top | What::Snapshots | What::Tags | What::Tag => None,
        };
        let modified = modified.unwrap_or(self.mounted);
        (looks.atime, looks.mtime, looks.ctime) = (modified, modified, modified);
        looks
    }
}

/// What programs have opened, by handle; clones are the same.
struct Opened<T> {
    last: Arc<AtomicU64>,
    open: Arc<Mutex<HashMap<u64, Arc<T>>>>,
}

impl<T> Opened<T> {
    fn add(&self, opened: T) -> FileHandle {
        let handle = self.last.fetch_add(1, Ordering::Relaxed);
        self.open.lock().unwrap_or_else(PoisonError::into_inner).insert(handle, Arc::new(opened));
        FileHandle(handle)
    }

    fn get(&self, handle: FileHandle) -> Option<Arc<T>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(&handle.0).map(Arc::clone)
    }

    fn close(&self, handle: FileHandle) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle.0);
    }
}

impl<T> Default for Opened<T> {
    fn default() -> Self {
        Self { last: Arc::default(), open: Arc::default() }
    }
}

impl<T> Clone for Opened<T> {
    fn clone(&self) -> Self {
        Self { last: Arc::clone(&self.last), open: Arc::clone(&self.open) }
    }
}
