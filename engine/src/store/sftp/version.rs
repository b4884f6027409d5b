//! What tells one state of an object from another, at a server that tells size and time in seconds and nothing else.
//!
//! An object that was replaced by another one of the same size within the same second looks the same. So size and time
//! count only once the server's clock has left that second: what is written later has a later time. Of an object that is
//! younger the bytes count. What is left is a replacement of the same size that was written in that second and came to its
//! place after it, while it waited for the guard: of sealed objects hardly ever.

use std::time::{Duration, SystemTime};

use super::connection::Connection;
use super::failure::Trouble;
use super::{files, folder};
use crate::store::Version;

/// How versions begin that come from size and time; others are of bytes.
const BY_STAT: &str = "stat ";

/// Objects of this size are read rather than waited for: one piece.
const SMALL: u64 = 256 << 10;

/// How often it is looked whether the second is over.
const INTERVAL: Duration = Duration::from_millis(200);
const LOOKS: u32 = 15;

/// Size and time of an object, and what tells this state of it from any other. `is_old` says of a time whether it is
/// surely over at the server.
pub(super) async fn look(
    connection: &Connection,
    path: &str,
    is_old: impl Fn(SystemTime) -> bool,
) -> Result<(u64, SystemTime, Version), Trouble> {
    let (mut size, mut time) = stat(connection, path).await?;
    if is_old(time) {
        return Ok((size, time, of_stat(size, time)));
    }
    for _ in 0..if size > SMALL { LOOKS } else { 0 } {
        let now = match clock(connection, path).await {
            Err(trouble) if trouble.is_answer() => break,
            told => told?,
        };
        let again = stat(connection, path).await?;
        if again == (size, time) && now > time {
            return Ok((size, time, of_stat(size, time)));
        }
        (size, time) = again;
        tokio::time::sleep(INTERVAL).await;
    }
    let bytes = files::read(connection, path).await?;
    Ok((bytes.len() as u64, time, Version::of(&bytes)))
}

/// Whether an object is still this.
pub(super) async fn is(connection: &Connection, path: &str, expected: &Version) -> Result<bool, Trouble> {
    let found = match expected.token().starts_with(BY_STAT) {
        true => stat(connection, path).await.map(|(size, time)| of_stat(size, time)),
        false => files::read(connection, path).await.map(|bytes| Version::of(&bytes)),
    };
    match found {
        Ok(found) => Ok(found == *expected),
        Err(Trouble::Missing) => Ok(false),
        Err(other) => Err(other),
    }
}

/// Size and time of an object.
pub(super) async fn stat(connection: &Connection, path: &str) -> Result<(u64, SystemTime), Trouble> {
    let metadata = connection.call(connection.fs().metadata(path)).await?;
    match metadata.file_type().is_some_and(|kind| kind.is_dir()) {
        true => Err(Trouble::Missing),
        false => Ok(folder::size_and_time(&metadata)),
    }
}

/// The time that the server gives to a file that is made now, beside `path`; whole seconds.
pub(super) async fn clock(connection: &Connection, path: &str) -> Result<SystemTime, Trouble> {
    let path = format!("{path}.{}{}", folder::token()?, folder::TEMPORARY);
    let sftp = connection.sftp();
    let file = connection.call(sftp.options().read(true).write(true).create_new(true).open(&path)).await?;
    let (mut fs, mut asked) = (connection.fs(), file.clone());
    let told = connection.call(asked.metadata()).await;
    let (_, removed) = futures::join!(connection.call(file.close()), connection.call(fs.remove_file(&path)));
    removed?;
    told.map(|metadata| folder::size_and_time(&metadata).1)
}

fn of_stat(size: u64, time: SystemTime) -> Version {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Version::new(format!("{BY_STAT}{size} {seconds}"))
}
