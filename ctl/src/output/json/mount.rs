//! A mounted file system.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serialize;

use super::not_utf8;

/// What `mount` prints as soon as the directory can be used.
#[derive(Debug, Serialize)]
pub(crate) struct Mounted<'a> {
    repository: &'a str,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_b64: Option<String>,
}

impl<'a> Mounted<'a> {
    /// Of a repository at a directory.
    pub(crate) fn new(repository: &'a str, dir: &Path) -> Self {
        let path_b64 = not_utf8(dir.as_os_str().as_bytes());
        Self { repository, path: dir.to_string_lossy().into_owned(), path_b64 }
    }
}
