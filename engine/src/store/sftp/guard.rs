//! Replacing and removing an object only if it is unchanged, at a server that has no such request and no locks.
//!
//! Who does it holds the object's guard meanwhile: a folder `KEY.guard.tmp` with one file in it, the holder's *mark*. A
//! holder makes a folder of its own with its mark in it and renames it to that name, which the server does only if there
//! is no guard, or an empty one. So there is one holder, and to remove a mark is to open the guard.
//!
//! A crashed holder leaves its mark. Whoever sees the same mark for [`HOLD`] removes it, however alive its owner may be,
//! because the invariant needs no clock: **who has lost its mark can change nothing any more**.
//!
//! - To replace, the mark *is* the new content, and the change is to rename it into the object's place. That takes the
//!   content and opens the guard in one step; without the mark it fails.
//! - To remove, the object is renamed to a name that goes with the mark. Before such a mark is removed, a folder is made
//!   under that name, and onto a folder no file can be renamed.
//!
//! Writers without a condition do not ask for the guard: the keys that are changed on condition are not written so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::TryStreamExt;
use tokio::time::Instant;

use super::connection::Connection;
use super::failure::Trouble;
use super::files::{self, Content};
use super::folder::{self, TEMPORARY};
use super::temporary::Temporary;
use super::version;
use crate::store::Version;

/// How long one mark may be seen before it is removed. A holder needs it for a few requests.
pub(super) const HOLD: Duration = Duration::from_secs(3);

/// How often somebody who waits looks.
const INTERVAL: Duration = Duration::from_millis(20);

/// How long somebody waits for all that are before it.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a change is tried whose mark somebody removed.
const TRIES: u32 = 3;

/// How the names of marks end that are there to remove an object.
const REMOVES: &str = ".gone";

/// What is to be done with an object.
#[derive(Debug)]
pub(super) enum Change {
    Replace(Content),
    Remove,
}

/// Changes an object if it is still `version`; `false` if it is not.
pub(super) async fn change(
    connection: &Arc<Connection>,
    path: &str,
    change: &Change,
    expected: &Version,
) -> Result<bool, Trouble> {
    for _ in 0..TRIES {
        let held = Held::take(connection, path, change).await?;
        if !version::is(connection, path, expected).await? {
            held.release().await;
            return Ok(false);
        }
        match held.carry_out(path, change).await {
            Err(Trouble::Missing | Trouble::Failed(_)) => tracing::debug!(path, "somebody broke the guard"),
            done => return done,
        }
    }
    Err(Trouble::Busy)
}

/// The guard, held.
#[derive(Debug)]
struct Held {
    connection: Arc<Connection>,
    guard: String,
    mark: String,
    is_over: bool,
}

impl Held {
    async fn take(connection: &Arc<Connection>, path: &str, change: &Change) -> Result<Self, Trouble> {
        let token = folder::token()?;
        let own = Temporary::folder(connection, format!("{path}.{token}{TEMPORARY}")).await?;
        let (name, content) = match change {
            Change::Replace(content) => (token, content.clone()),
            Change::Remove => (format!("{token}{REMOVES}"), Content::Bytes(Bytes::new())),
        };
        files::write_new(connection, &format!("{}/{name}", own.path()), &content).await?;
        let guard = guard_of(path);
        let mut seen = Vec::new();
        let (started, mut since) = (Instant::now(), Instant::now());
        while !rename(connection, own.path(), &guard).await? {
            if started.elapsed() > PATIENCE {
                return Err(Trouble::Busy);
            }
            let marks = marks(connection, &guard).await?;
            if marks != seen {
                (seen, since) = (marks, Instant::now());
            } else if since.elapsed() > HOLD {
                break_open(connection, path, &seen).await?;
            }
            tokio::time::sleep(INTERVAL).await;
        }
        own.renamed();
        let mark = format!("{guard}/{name}");
        Ok(Self { connection: Arc::clone(connection), guard, mark, is_over: false })
    }

    /// Fails with [`Trouble::Missing`] or [`Trouble::Failed`] if somebody has removed the mark: then nothing was changed.
    async fn carry_out(mut self, path: &str, change: &Change) -> Result<bool, Trouble> {
        let (mut fs, mut cleaner) = (self.connection.fs(), self.connection.fs());
        match change {
            Change::Replace(_) => {
                // Sent together and done one after the other: the folder is empty by then.
                let renamed = self.connection.call(fs.rename(&self.mark, path));
                let opened = self.connection.call(cleaner.remove_dir(&self.guard));
                let (renamed, _) = futures::join!(renamed, opened);
                self.is_over = true;
                renamed.map(|()| true)
            }
            Change::Remove => {
                let grave = grave(path, name_of(&self.mark));
                let renamed = self.connection.call(fs.rename(path, &grave)).await;
                if renamed.is_ok() {
                    let _ = self.connection.call(cleaner.remove_file(&grave)).await;
                }
                let connection = Arc::clone(&self.connection);
                self.release().await;
                match renamed {
                    // Somebody removed it without a condition.
                    Err(Trouble::Missing) => Ok(false),
                    Err(Trouble::Failed(text)) if !folder::is_there(&connection, path).await? => {
                        tracing::debug!(text, path, "it is gone");
                        Ok(false)
                    }
                    other => other.map(|()| true),
                }
            }
        }
    }

    async fn release(mut self) {
        self.is_over = true;
        release(&self.connection, &self.mark, &self.guard).await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_over || !self.connection.is_alive() {
            return;
        }
        let (mark, guard) = (std::mem::take(&mut self.mark), std::mem::take(&mut self.guard));
        let connection = Arc::clone(&self.connection);
        // What was asked for last may still be on its way, and comes first.
        runtime.spawn(async move { release(&connection, &mark, &guard).await });
    }
}

async fn release(connection: &Connection, mark: &str, guard: &str) {
    let (mut fs, mut cleaner) = (connection.fs(), connection.fs());
    let (opened, removed) = (connection.call(fs.remove_file(mark)), connection.call(cleaner.remove_dir(guard)));
    let _ = futures::join!(opened, removed);
}

pub(super) fn guard_of(path: &str) -> String {
    format!("{path}.guard{TEMPORARY}")
}

/// Where an object goes that is removed under this mark.
fn grave(path: &str, mark: &str) -> String {
    format!("{path}.{mark}{TEMPORARY}")
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// `false` if that was not possible because somebody is there.
async fn rename(connection: &Connection, from: &str, to: &str) -> Result<bool, Trouble> {
    match connection.call(connection.fs().rename(from, to)).await {
        Ok(()) => Ok(true),
        Err(Trouble::Failed(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

/// The marks in a guard: one, or none if it was opened meanwhile.
async fn marks(connection: &Connection, guard: &str) -> Result<Vec<String>, Trouble> {
    let entries = match folder::entries(connection, guard, false).await {
        Ok(entries) => entries,
        Err(Trouble::Missing) => return Ok(Vec::new()),
        Err(other) => return Err(other),
    };
    let entries: Vec<_> = match entries.try_collect().await {
        Ok(entries) => entries,
        Err(Trouble::Missing) => return Ok(Vec::new()),
        Err(other) => return Err(other),
    };
    let names = entries.iter().filter_map(|entry| entry.filename().to_str());
    let mut names: Vec<_> = names.filter(|name| !matches!(*name, "." | "..")).map(str::to_owned).collect();
    names.sort_unstable();
    Ok(names)
}

/// Removes the marks of holders that do not go on, so that whatever they still do fails.
pub(super) async fn break_open(connection: &Connection, path: &str, marks: &[String]) -> Result<(), Trouble> {
    for mark in marks {
        tracing::info!(path, mark, "a guard is broken whose holder does not go on");
        if mark.ends_with(REMOVES) {
            match connection.call(connection.fs().create_dir(grave(path, mark))).await {
                // Then the object is there: it was removed.
                Ok(()) | Err(Trouble::Failed(_)) => {}
                Err(other) => return Err(other),
            }
        }
        match connection.call(connection.fs().remove_file(format!("{}/{mark}", guard_of(path)))).await {
            Ok(()) | Err(Trouble::Missing) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(())
}
