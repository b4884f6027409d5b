//! Local.
use super::*;
use std::path::{Path, PathBuf};
/// A folder of this host.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
}
impl LocalStore {
    /// The folder need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }
}
#[async_trait]
impl ObjectStore for LocalStore {
    async fn put(&self, _key: &str, _bytes: Bytes) -> StoreResult<()> {
        unimplemented!()
    }
    async fn put_if_absent(&self, _key: &str, _bytes: Bytes) -> StoreResult<bool> {
        unimplemented!()
    }
    async fn get(&self, _key: &str) -> StoreResult<Bytes> {
        unimplemented!()
    }
    async fn get_range(&self, _key: &str, _range: Range<u64>) -> StoreResult<Bytes> {
        unimplemented!()
    }
    async fn stat(&self, _key: &str) -> StoreResult<ObjectStat> {
        unimplemented!()
    }
    async fn delete(&self, _key: &str) -> StoreResult<()> {
        unimplemented!()
    }
    fn list<'a>(&'a self, _prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        unimplemented!()
    }
    fn capabilities(&self) -> Capabilities {
        unimplemented!()
    }
    fn describe(&self) -> String {
        unimplemented!()
    }
}
