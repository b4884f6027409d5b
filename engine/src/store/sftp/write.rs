//! Writing objects: a flushed temporary file, then a rename, a hard link, or a change under a guard.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use openssh_sftp_client::file::File;

use super::connection::Connection;
use super::failure::Trouble;
use super::files::{self, Content};
use super::guard::{self, Change};
use super::temporary::Temporary;
use super::{SftpStore, folder, version};
use crate::store::{StoreResult, Version};

impl SftpStore {
    /// A flushed temporary file beside `path`, whose folder is made if need be.
    async fn prepare(&self, connection: &Arc<Connection>, path: &str, content: &Content) -> Result<Temporary, Trouble> {
        let (temporary, open) = self.prepare_open(connection, path, content).await?;
        if let Some(file) = open {
            connection.call(file.close()).await?;
        }
        Ok(temporary)
    }

    /// The same, not closed yet.
    async fn prepare_open(
        &self,
        connection: &Arc<Connection>,
        path: &str,
        content: &Content,
    ) -> Result<(Temporary, Option<File>), Trouble> {
        self.writes.store(true, Ordering::Relaxed);
        let temporary = Temporary::file(connection, path)?;
        let open = match files::write_open(connection, temporary.path(), content).await {
            Err(Trouble::Missing) => {
                folder::make_all(connection, folder::parent(path), Some(self.root())).await?;
                files::write_open(connection, temporary.path(), content).await?
            }
            other => other?,
        };
        Ok((temporary, open))
    }

    pub(super) async fn replace(&self, key: &str, content: Content) -> StoreResult<()> {
        let (connection, path) = self.at(key).await?;
        let replaced = async {
            let (temporary, open) = self.prepare_open(&connection, &path, &content).await?;
            let mut fs = connection.fs();
            let renamed = connection.call(fs.rename(temporary.path(), &path));
            let renamed = match open {
                // One answer less to wait for.
                Some(file) => futures::join!(renamed, connection.call(file.close())).0,
                None => renamed.await,
            };
            renamed?;
            temporary.renamed();
            Ok(())
        };
        self.told(key, &connection, replaced.await).await
    }

    pub(super) async fn create(&self, key: &str, content: Content) -> StoreResult<bool> {
        let (connection, path) = self.at(key).await?;
        let created = async {
            let temporary = self.prepare(&connection, &path, &content).await?;
            if !self.can().link {
                let is_free = !folder::is_there(&connection, &path).await?;
                if is_free {
                    connection.call(connection.fs().rename(temporary.path(), &path)).await?;
                    temporary.renamed();
                }
                return Ok(is_free);
            }
            match connection.call(connection.fs().hard_link(temporary.path(), &path)).await {
                // Whether it is because of one that is there, SFTP does not tell.
                Err(Trouble::Failed(text)) => match folder::is_there(&connection, &path).await? {
                    true => Ok(false),
                    false => Err(Trouble::Failed(text)),
                },
                other => other.map(|()| true),
            }
        };
        self.told(key, &connection, created.await).await
    }

    pub(super) async fn change(&self, key: &str, change: Change, expected: &Version) -> StoreResult<bool> {
        let (connection, path) = self.at(key).await?;
        self.writes.store(true, Ordering::Relaxed);
        let changed = if self.can().guard {
            guard::change(&connection, &path, &change, expected).await
        } else {
            self.look_and_change(&connection, &path, change, expected).await
        };
        match self.told(key, &connection, changed).await {
            Err(error) if error.is_not_found() => Ok(false),
            other => other,
        }
    }

    async fn look_and_change(
        &self,
        connection: &Arc<Connection>,
        path: &str,
        change: Change,
        expected: &Version,
    ) -> Result<bool, Trouble> {
        if !version::is(connection, path, expected).await? {
            return match folder::is_there(connection, self.root()).await? {
                true => Ok(false),
                false => Err(Trouble::Missing),
            };
        }
        match change {
            Change::Remove => connection.call(connection.fs().remove_file(path)).await?,
            Change::Replace(content) => {
                let temporary = self.prepare(connection, path, &content).await?;
                connection.call(connection.fs().rename(temporary.path(), path)).await?;
                temporary.renamed();
            }
        }
        Ok(true)
    }
}
