//! The walk: every folder once, depth first, a folder before its children, in byte order of the names.
//!
//! It holds the names of the folders still to be entered on the way from the root to where it is, and a bounded number
//! of open folders, however deep or large the tree is. Files with several names wait in [`LinkTable`] until the end.

use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::links::LinkTable;
use super::listing::{BUFFER, Found, FoundEntry, read_folder};
use super::{Entry, EntryType, FileType, Listing, LocalSource, SourceError, Warning, path};
use crate::object::file_id_component;

/// How many folders on the way down stay open; those above are opened again when the walk comes back to them.
const KEPT_OPEN: usize = 32;

const UNKNOWN_OWNER: u32 = u32::MAX;

type Visit<'a> = &'a mut dyn FnMut(Listing) -> ControlFlow<()>;

pub(super) fn walk(source: &LocalSource, visit: Visit<'_>) -> Result<(), SourceError> {
    let mut walker = Walker {
        source,
        path: Vec::new(),
        file_id: String::new(),
        way: Vec::new(),
        links: LinkTable::default(),
        buffer: vec![MaybeUninit::uninit(); BUFFER].into(),
    };
    let root = walker.read_root()?;
    // Stopped on purpose or all done: both are well.
    let _ = walker.run(root, visit);
    Ok(())
}

struct Walker<'a> {
    source: &'a LocalSource,
    /// Where the walk is, relative to the root, in both forms.
    path: Vec<u8>,
    file_id: String,
    /// The folders above with children still to be visited.
    way: Vec<Frame>,
    links: LinkTable,
    buffer: Box<[MaybeUninit<u8>]>,
}

struct Frame {
    /// `None` if it was closed for being too far up.
    folder: Option<OwnedFd>,
    path_length: usize,
    file_id_length: usize,
    /// Those still to be visited, the next one last.
    children: Vec<Child>,
}

struct Child {
    name: Box<[u8]>,
    owner: u32,
    /// Not another file system that is to be left alone.
    enter: bool,
}

/// A folder that was read: what to tell of it, and where to go on below it.
struct ReadFolder {
    listing: Listing,
    folder: OwnedFd,
    children: Vec<Child>,
}

impl Walker<'_> {
    fn run(mut self, root: ReadFolder, visit: Visit<'_>) -> ControlFlow<()> {
        visit(root.listing)?;
        self.remember(root.folder, root.children);
        while let Some(opened) = self.next_child() {
            match opened {
                Ok(Some(folder)) => {
                    let read = self.read(folder);
                    visit(read.listing)?;
                    self.remember(read.folder, read.children);
                }
                Ok(None) => visit(self.listing(Vec::new()))?,
                Err(error) => visit(self.listing(self.warning(error).into_iter().collect()))?,
            }
        }
        self.links.into_listings().try_for_each(visit)
    }

    fn read_root(&mut self) -> Result<ReadFolder, SourceError> {
        let folders = &self.source.folders;
        let path = || self.source.root_path.clone();
        let root = folders
            .open_for_reading(folders.root(), b".", OFlags::DIRECTORY, UNKNOWN_OWNER)
            .map_err(|error| SourceError::Io { path: path(), cause: error.into() })?;
        let found = read_folder(self.source, root.as_fd(), &mut self.path, &mut self.buffer);
        match found.error {
            Some(Errno::NOENT) => Err(SourceError::NoSuchRoot { path: path() }),
            Some(error) => Err(SourceError::Io { path: path(), cause: error.into() }),
            None => Ok(self.sort_out(root, found)),
        }
    }

    fn read(&mut self, folder: OwnedFd) -> ReadFolder {
        let mut found = read_folder(self.source, folder.as_fd(), &mut self.path, &mut self.buffer);
        found.warnings.extend(found.error.and_then(|error| self.warning(error)));
        self.sort_out(folder, found)
    }

    /// Tells apart what is listed now, what waits for its other names, and what is to be entered.
    fn sort_out(&mut self, folder: OwnedFd, found: Found) -> ReadFolder {
        let mut listing = self.listing(found.warnings);
        let mut children = Vec::new();
        listing.entries.reserve_exact(found.entries.len());
        for entry in found.entries {
            if entry.stat.file_type == FileType::Folder {
                let enter = !self.source.one_file_system || entry.device == self.source.device;
                children.push(Child { name: entry.name.as_slice().into(), owner: entry.stat.uid, enter });
            } else if entry.stat.links > 1 {
                self.links.add(entry.device, entry.stat, &join(&self.path, &entry.name));
                continue;
            }
            listing.entries.push(self.entry(entry));
        }
        children.reverse();
        ReadFolder { listing, folder, children }
    }

    fn entry(&self, found: FoundEntry) -> Entry {
        let component = file_id_component(&found.name);
        let mut file_id = String::with_capacity(self.file_id.len() + 1 + component.len());
        if !self.file_id.is_empty() {
            file_id.push_str(&self.file_id);
            file_id.push('/');
        }
        file_id.push_str(&component);
        let is_folder = found.stat.file_type == FileType::Folder;
        let entry_type = if is_folder { EntryType::Folder } else { EntryType::File };
        Entry { file_id, name: found.name, entry_type, stat: found.stat, hardlink: None }
    }

    fn listing(&self, warnings: Vec<Warning>) -> Listing {
        Listing { folder: self.file_id.clone(), entries: Vec::new(), hard_links: false, warnings }
    }

    /// A folder that has just gone is no problem: the next backup will not see it either.
    fn warning(&self, error: Errno) -> Option<Warning> {
        let problem = match error {
            Errno::NOENT => return None,
            Errno::LOOP | Errno::NOTDIR => "became something else while it was being backed up".to_owned(),
            error => format!("cannot be listed: {}", std::io::Error::from(error)),
        };
        Some(Warning { path: path::printable(&self.path), problem })
    }

    fn remember(&mut self, folder: OwnedFd, children: Vec<Child>) {
        if children.is_empty() {
            return;
        }
        let (path_length, file_id_length) = (self.path.len(), self.file_id.len());
        self.way.push(Frame { folder: Some(folder), path_length, file_id_length, children });
        if let Some(above) = self.way.len().checked_sub(KEPT_OPEN + 1)
            && let Some(frame) = self.way.get_mut(above)
        {
            frame.folder = None;
        }
    }

    /// Goes to the next folder and opens it for reading, if it is to be entered.
    fn next_child(&mut self) -> Option<Result<Option<OwnedFd>, Errno>> {
        let mut frame = self.way.pop()?;
        self.path.truncate(frame.path_length);
        self.file_id.truncate(frame.file_id_length);
        let child = frame.children.pop()?;
        let opened = if child.enter { self.open_child(&mut frame, &child).map(Some) } else { Ok(None) };
        if !self.path.is_empty() {
            self.path.push(b'/');
            self.file_id.push('/');
        }
        self.path.extend_from_slice(&child.name);
        self.file_id.push_str(&file_id_component(&child.name));
        // With its last child a folder is done: a chain of single folders takes no more room than its path.
        if !frame.children.is_empty() {
            self.way.push(frame);
        }
        Some(opened)
    }

    fn open_child(&self, frame: &mut Frame, child: &Child) -> Result<OwnedFd, Errno> {
        let folder = match frame.folder.take() {
            Some(folder) => folder,
            None => self.source.folders.open(&self.path)?,
        };
        let opened = self.source.folders.open_for_reading(&folder, &child.name, OFlags::DIRECTORY, child.owner);
        frame.folder = Some(folder);
        opened
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}
