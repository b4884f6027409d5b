//! Folders of the server: making, listing and sweeping them, and names of temporary files.

use std::time::{Duration, SystemTime};

use futures::stream::{self, Stream, StreamExt};
use openssh_sftp_client::fs::DirEntry;
use openssh_sftp_client::metadata::MetaData;

use super::connection::Connection;
use super::failure::Trouble;

/// How names end that are no objects: of temporary files and folders.
pub(super) const TEMPORARY: &str = ".tmp";

/// Temporary files this old belong to no living writer.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 3600);

/// Requests for entries of one folder that are under way, at a server that answers them in order: each brings some 100.
const AHEAD: usize = 16;

/// What no other writer uses, of whatever process and host.
pub(super) fn token() -> Result<String, Trouble> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(|cause| Trouble::Here(format!("no random numbers: {cause}")))?;
    Ok(hex::encode(random))
}

/// The folder that `path` is in.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Makes a folder; one that is there is no error.
pub(super) async fn make_one(connection: &Connection, path: &str) -> Result<(), Trouble> {
    let mut fs = connection.fs();
    let made = {
        let mut builder = fs.dir_builder();
        builder.permissions(0o700.into());
        connection.call(builder.create(path)).await
    };
    match made {
        Err(Trouble::Missing) => Err(Trouble::Missing),
        // That it is there already, SFTP does not tell.
        Err(trouble) if trouble.is_answer() => match connection.call(fs.metadata(path)).await {
            Ok(metadata) if metadata.file_type().is_none_or(|kind| kind.is_dir()) => Ok(()),
            Ok(_) => Err(Trouble::Failed(format!("{path} is not a folder"))),
            Err(Trouble::Missing) => Err(trouble),
            Err(other) => Err(other),
        },
        other => other,
    }
}

/// Makes a folder and all that lead to it, but not `root`, which must be there, if one is given.
pub(super) async fn make_all(connection: &Connection, path: &str, root: Option<&str>) -> Result<(), Trouble> {
    let mut missing = Vec::new();
    let mut at = path;
    while root != Some(at) && !at.is_empty() {
        match make_one(connection, at).await {
            Ok(()) => break,
            Err(Trouble::Missing) => missing.push(at),
            Err(other) => return Err(other),
        }
        at = parent(at);
    }
    for path in missing.into_iter().rev() {
        make_one(connection, path).await?;
    }
    Ok(())
}

/// Whether there is a folder of this name.
pub(super) async fn is_there(connection: &Connection, path: &str) -> Result<bool, Trouble> {
    match connection.call(connection.fs().metadata(path)).await {
        Ok(_) => Ok(true),
        Err(Trouble::Missing) => Ok(false),
        Err(other) => Err(other),
    }
}

/// The entries of a folder, as they come; `quick` if the server is known to answer requests in order.
pub(super) async fn entries<'a>(
    connection: &'a Connection,
    path: &str,
    quick: bool,
) -> Result<impl Stream<Item = Result<DirEntry, Trouble>> + Send + 'a, Trouble> {
    let mut fs = connection.fs();
    let folder = connection.call(fs.open_dir(path)).await?;
    let readers = (0..if quick { AHEAD } else { 1 }).map(move |_| Box::pin(folder.clone().read_dir()));
    let entries = stream::select_all(readers).map(|entry| entry.map(Some)).boxed();
    Ok(stream::unfold(entries, move |mut entries| async move {
        let next = connection.call(async { entries.next().await.unwrap_or(Ok(None)) }).await;
        next.transpose().map(|next| (next, entries))
    }))
}

/// Size and time of a file, as SFTP tells them, in seconds.
pub(super) fn size_and_time(metadata: &MetaData) -> (u64, SystemTime) {
    let time = metadata.modified().map_or(SystemTime::UNIX_EPOCH, |time| time.as_system_time());
    (metadata.len().unwrap_or(0), time)
}

/// Whether this is what a dead writer left, at the time `now` of the server.
pub(super) fn is_leftover(metadata: &MetaData, now: SystemTime) -> bool {
    let (_, time) = size_and_time(metadata);
    now.duration_since(time).is_ok_and(|age| age > LEFTOVER_AGE)
}

/// Removes a temporary file, or a temporary folder with what is in it. What cannot be removed does no harm.
pub(super) async fn sweep(connection: &Connection, path: &str, is_folder: bool) {
    if !is_folder {
        let _ = connection.call(connection.fs().remove_file(path)).await;
        return;
    }
    let mut folders = vec![path.to_owned()];
    let mut seen = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = entries(connection, &folder, false).await else { return };
        let entries: Vec<_> = entries.collect().await;
        for entry in entries.into_iter().flatten() {
            let Some(name) = entry.filename().to_str().filter(|name| !matches!(*name, "." | "..")) else { continue };
            let path = format!("{folder}/{name}");
            match entry.file_type().is_some_and(|kind| kind.is_dir()) {
                true => folders.push(path),
                false => drop(connection.call(connection.fs().remove_file(path)).await),
            }
        }
        seen.push(folder);
    }
    for folder in seen.into_iter().rev() {
        let _ = connection.call(connection.fs().remove_dir(folder)).await;
    }
}
