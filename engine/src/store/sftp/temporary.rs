//! Files and folders that are only there while something is being written.

use std::sync::Arc;

use super::connection::Connection;
use super::failure::Trouble;
use super::folder::{self, TEMPORARY};

/// A name beside `path` that nobody else uses. What is there is removed when this is dropped, whether the writer failed
/// or was dropped itself; what outlives a crash, somebody sweeps later.
#[derive(Debug)]
pub(super) struct Temporary {
    connection: Arc<Connection>,
    path: String,
    is_folder: bool,
}

impl Temporary {
    /// A name for a file; it is not made.
    pub(super) fn file(connection: &Arc<Connection>, beside: &str) -> Result<Self, Trouble> {
        let path = format!("{beside}.{}{TEMPORARY}", folder::token()?);
        Ok(Self { connection: Arc::clone(connection), path, is_folder: false })
    }

    /// A folder of this name, which is made.
    pub(super) async fn folder(connection: &Arc<Connection>, path: String) -> Result<Self, Trouble> {
        folder::make_one(connection, &path).await?;
        Ok(Self { connection: Arc::clone(connection), path, is_folder: true })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// What is there was given another name.
    pub(super) fn renamed(mut self) {
        self.path.clear();
    }

    /// Removes it and waits until that is done.
    pub(super) async fn remove(mut self) {
        let path = std::mem::take(&mut self.path);
        folder::sweep(&self.connection, &path, self.is_folder).await;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.path.is_empty() || !self.connection.is_alive() {
            return;
        }
        let (connection, path, is_folder) =
            (Arc::clone(&self.connection), std::mem::take(&mut self.path), self.is_folder);
        runtime.spawn(async move { folder::sweep(&connection, &path, is_folder).await });
    }
}
