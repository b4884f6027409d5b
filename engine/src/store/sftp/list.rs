//! Listing objects, folder by folder. What dead writers left is swept on the way.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::SftpStore;
use super::connection::Connection;
use super::failure::Trouble;
use super::folder::{self, TEMPORARY};
use crate::store::{ObjectStat, StoreError, StoreResult};

impl SftpStore {
    pub(super) fn list_all<'a>(&'a self, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
        let (sender, receiver) = mpsc::channel(1000);
        let walk = async move {
            let mut folders = vec![prefix.to_owned()];
            while let Some(folder) = folders.pop() {
                folders.extend(self.list_folder(&folder, &sender).await?);
            }
            Ok::<_, StoreError>(())
        };
        let found =
            stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|stat| (Ok(stat), receiver)) });
        // The walk gives nothing but its failure; both are polled by whoever reads the listing.
        let walk = stream::once(walk).filter_map(|walked| std::future::ready(walked.err().map(Err)));
        stream::select(found, walk).boxed()
    }

    /// The objects of one folder, and the folders in it.
    async fn list_folder(&self, folder: &str, found: &mpsc::Sender<ObjectStat>) -> Result<Vec<String>, StoreError> {
        let connection = self.connection(folder).await?;
        let path = format!("{}/{}", self.root(), folder.trim_end_matches('/'));
        let listed = self.walk(&connection, path.trim_end_matches('/'), folder, found).await;
        match self.told(folder, &connection, listed).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            other => other,
        }
    }

    async fn walk(
        &self,
        connection: &Arc<Connection>,
        path: &str,
        folder: &str,
        found: &mpsc::Sender<ObjectStat>,
    ) -> Result<Vec<String>, Trouble> {
        let mut folders = Vec::new();
        let mut entries = std::pin::pin!(folder::entries(connection, path, self.can().link).await?);
        while let Some(entry) = entries.try_next().await? {
            let Some(name) = entry.filename().to_str().filter(|name| !matches!(*name, "." | "..")) else { continue };
            let (metadata, kind) = (entry.metadata(), entry.file_type());
            let is_folder = kind.is_some_and(|kind| kind.is_dir());
            if name.ends_with(TEMPORARY) {
                // Only those that write clean up: who only reads may not be meant to change anything.
                if self.writes.load(Ordering::Relaxed) {
                    let now = self.estimated_time(connection).await?;
                    if folder::is_leftover(&metadata, now) {
                        folder::sweep(connection, &format!("{path}/{name}"), is_folder).await;
                    }
                }
            } else if is_folder {
                folders.push(format!("{folder}{name}/"));
            } else if kind.is_none_or(|kind| kind.is_file()) {
                let (size, modified) = folder::size_and_time(&metadata);
                if found.send(ObjectStat { key: format!("{folder}{name}"), size, modified }).await.is_err() {
                    return Ok(Vec::new());
                }
            }
        }
        Ok(folders)
    }
}
