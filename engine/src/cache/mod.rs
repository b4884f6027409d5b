//! Caches.
/// The stat caches of local sources, in one redb file that may be deleted at any time.
#[derive(Debug)]
pub struct StatCache;
impl StatCache {
    /// Opens or makes the file; one that is damaged is replaced.
    pub fn open(_path: &std::path::Path) -> Result<Self, CacheError> {
        unimplemented!()
    }
}
/// The cache file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct CacheError {
    /// File.
    pub path: String,
    /// Why.
    pub problem: String,
}
