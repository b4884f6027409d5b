//! A folder of this host.
use super::*;
use std::path::PathBuf;

/// What of a folder is backed up.
#[derive(Debug, Clone, Default)]
pub struct LocalOptions {
    /// gitignore-style patterns, relative to the root.
    pub excludes: Vec<String>,
    /// A folder that holds a file of one of these names is stored without what is in it.
    pub exclude_if_present: Vec<String>,
    /// A folder with a valid CACHEDIR.TAG is stored without what is in it, but the tag.
    pub exclude_caches: bool,
    /// Do not enter other file systems; their mount points are stored as empty folders.
    pub one_file_system: bool,
    /// Larger files are left out, in bytes.
    pub max_file_size: Option<u64>,
}

/// A folder of this host, with everything a Linux tree has.
#[derive(Debug)]
pub struct LocalSource {
    info: SourceInfo,
}

impl LocalSource {
    /// Looks at the root and compiles the patterns.
    pub fn new(_root: impl Into<PathBuf>, _options: LocalOptions) -> Result<Self, SourceError> {
        unimplemented!()
    }
}
impl Source for LocalSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }
    fn exclude_hash(&self) -> Option<Hash> {
        unimplemented!()
    }
    fn walk(&self, _visit: &mut dyn FnMut(Listing) -> ControlFlow<()>) -> Result<(), SourceError> {
        unimplemented!()
    }
    fn describe(&self, _entry: &Entry) -> Result<(FileMeta, Vec<Warning>), SourceError> {
        unimplemented!()
    }
    fn open(&self, _entry: &Entry) -> Result<Box<dyn FileReader>, SourceError> {
        unimplemented!()
    }
}
