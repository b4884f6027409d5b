//! A folder of this host, with everything a Linux tree has: special files, hard links, extended attributes, inode flags,
//! birth times, and names of any bytes (format, sections 6 and 11.3).
//!
//! Reading it never leads outside the root, never blocks on a FIFO or touches a device, and changes no
//! access times where the system allows that. What can be read is read; what cannot is a warning.

mod attributes;
mod exclude;
mod folder;
mod fstype;
mod identity;
mod links;
mod listing;
mod path;
mod reader;
mod stat;
#[cfg(test)]
mod tests;
mod walk;
mod xattrs;

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

pub use self::exclude::{check_mark, check_pattern, excludes_folder};

use self::attributes::Opened;
use self::exclude::{Markers, Patterns};
use self::folder::Folders;
use self::identity::{Place, System};
use self::reader::LocalReader;
use super::*;

/// What of a folder is backed up. `docs/excludes.md` has the whole truth.
#[derive(Debug, Clone, Default)]
pub struct LocalOptions {
    /// gitignore-style patterns, relative to the root. What is below an excluded folder is not even looked at.
    pub excludes: Vec<String>,
    /// A folder that holds a file of one of these names is stored with nothing in it but that file.
    pub exclude_if_present: Vec<String>,
    /// A folder with a valid CACHEDIR.TAG is stored with nothing in it but the tag.
    pub exclude_caches: bool,
    /// Do not enter other file systems; their mount points are stored as empty folders.
    pub one_file_system: bool,
    /// Larger files are left out, in bytes. That is what was asked for, so it is no warning.
    pub max_file_size: Option<u64>,
}

/// A folder of this host.
#[derive(Debug)]
pub struct LocalSource {
    info: SourceInfo,
    folders: Folders,
    /// The root, in a form fit to show.
    root_path: String,
    /// The file system of the root.
    device: stat::Device,
    patterns: Patterns,
    markers: Markers,
    one_file_system: bool,
    max_file_size: Option<u64>,
}

impl LocalSource {
    /// Looks at the root and compiles the patterns.
    pub fn new(root: impl Into<PathBuf>, options: LocalOptions) -> Result<Self, SourceError> {
        Self::on(&System::this(), root.into(), options)
    }

    fn on(system: &System, root: PathBuf, options: LocalOptions) -> Result<Self, SourceError> {
        let patterns = Patterns::compile(&options.excludes)?;
        let markers = Markers::new(&options.exclude_if_present, options.exclude_caches)?;

        let shown = path::printable(root.as_os_str().as_bytes());
        let failed = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => SourceError::NoSuchRoot { path: shown.clone() },
            io::ErrorKind::NotADirectory => SourceError::NotAFolder { path: shown.clone() },
            _ => SourceError::Io { path: shown.clone(), cause },
        };
        let root = std::fs::canonicalize(&root).map_err(failed)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&root, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let (_, device) = stat::look_at_open(&folder).map_err(|error| failed(error.into()))?;
        let place = Place::of(&root, &folder).map_err(|error| failed(error.into()))?;
        Ok(Self {
            info: identity::identify(system, &place),
            folders: Folders::new(folder),
            root_path: path::printable(root.as_os_str().as_bytes()),
            device,
            patterns,
            markers,
            one_file_system: options.one_file_system,
            max_file_size: options.max_file_size,
        })
    }

    fn reader(&self, entry: &Entry, opened: Opened) -> Result<Box<dyn FileReader>, SourceError> {
        match opened.unreadable {
            None => Ok(Box::new(LocalReader::new(File::from(opened.file), entry.stat))),
            Some(error) => Err(attributes::failed(entry, error)),
        }
    }
}

impl Source for LocalSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn exclude_hash(&self) -> Option<Hash> {
        self.patterns.hash()
    }

    fn walk(&self, visit: &mut dyn FnMut(Listing) -> ControlFlow<()>) -> Result<(), SourceError> {
        walk::walk(self, visit)
    }

    fn describe(&self, entry: &Entry) -> Result<(FileMeta, Vec<Warning>), SourceError> {
        attributes::describe(entry, &attributes::open(&self.folders, entry)?)
    }

    fn open(&self, entry: &Entry) -> Result<Box<dyn FileReader>, SourceError> {
        self.reader(entry, attributes::open(&self.folders, entry)?)
    }

    fn describe_and_open(&self, entry: &Entry) -> Result<Described, SourceError> {
        let opened = attributes::open(&self.folders, entry)?;
        let (meta, warnings) = attributes::describe(entry, &opened)?;
        Ok(Described { meta, warnings, reader: self.reader(entry, opened)? })
    }

    fn refresh(&self, entry: &Entry) -> Result<Entry, SourceError> {
        let folder = self.folders.get(path::parent(&entry.file_id));
        let (now, _) = folder
            .and_then(|folder| stat::look_at(&*folder, &entry.name))
            .map_err(|error| attributes::failed(entry, error))?;
        // A new file under one of several names has nothing to do with the others any more, but these may point here.
        let severed = now.inode != entry.stat.inode && (now.links > 1 || entry.stat.links > 1);
        if now.file_type != entry.stat.file_type || severed {
            return Err(SourceError::Replaced { path: attributes::shown(entry) });
        }
        Ok(Entry { stat: now, ..entry.clone() })
    }
}
