//! What a server can do, found out and not believed: many clients at once try to be the only one.
//!
//! A server says which requests it knows. That it does one of them atomically it does not say, and some that know them
//! do not. So [`CONTENDERS`] try at once, over connections of their own as far as the server lets them: more than
//! [`CONNECTIONS`] logins at once many servers refuse.

use std::sync::Arc;

use futures::future::join_all;
use openssh_sftp_client::fs::Fs;
use tokio::sync::OnceCell;

use super::connection::Connection;
use super::failure::Trouble;
use super::folder::{self, TEMPORARY};
use super::settings::SftpSettings;
use super::temporary::Temporary;
use crate::store::StoreErrorKind;

const CONTENDERS: usize = 20;
const CONNECTIONS: usize = 4;
const ROUNDS: usize = 3;

/// What is known of one server. Its clones share it, so that each is asked only once.
#[derive(Debug, Clone, Default)]
pub struct SftpProbe(Arc<OnceCell<Can>>);

/// What a server was found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Can {
    /// A hard link is made by one of many.
    pub(super) link: bool,
    /// A folder is renamed to the place of an empty one by one of many, and no file to that of a folder.
    pub(super) guard: bool,
}

impl SftpProbe {
    /// What the server can do; `None` where that cannot be found out: there is no such folder, or it may not be written.
    pub(super) async fn ask(
        &self,
        settings: &SftpSettings,
        connection: &Arc<Connection>,
    ) -> Result<Option<Can>, Trouble> {
        let found =
            self.0.get_or_try_init(|| async { find(settings, connection).await.map_err(Some)?.ok_or(None) }).await;
        match found {
            Ok(can) => Ok(Some(*can)),
            Err(None) => Ok(None),
            Err(Some(trouble)) => Err(trouble),
        }
    }
}

async fn find(settings: &SftpSettings, connection: &Arc<Connection>) -> Result<Option<Can>, Trouble> {
    let place = format!("{}/.probe.{}{TEMPORARY}", settings.location.path(), folder::token()?);
    let place = match Temporary::folder(connection, place).await {
        Ok(place) => place,
        Err(trouble) if trouble.is_answer() => {
            tracing::debug!(store = %settings.location, ?trouble, "what the server can do is not known");
            return Ok(None);
        }
        Err(other) => return Err(other),
    };
    let mut connections = vec![Arc::clone(connection)];
    let more = join_all((1..CONNECTIONS).map(|_| Connection::open(settings))).await;
    connections.extend(more.into_iter().flatten().map(Arc::new));
    let can = contend(&connections, place.path()).await;
    place.remove().await;
    let can = match can {
        // A disk that is full can still be read, and made room on.
        Err(trouble) if trouble.is_answer() => {
            tracing::debug!(store = %settings.location, ?trouble, "what the server can do is not known");
            return Ok(None);
        }
        can => can?,
    };
    tracing::debug!(store = %settings.location, ?can, connections = connections.len(), "the server was probed");
    if !(can.link && can.guard) {
        tracing::warn!(
            store = %settings.location, atomic_create = can.link, conditional_replace = can.guard,
            "this SFTP server lets several clients win where only one may: repositories there are locked in a slower way, \
             and no other program than this one should write to them"
        );
    }
    Ok(Some(can))
}

async fn contend(connections: &[Arc<Connection>], place: &str) -> Result<Can, Trouble> {
    let contenders: Vec<_> = connections.iter().cycle().take(CONTENDERS).zip(0..).collect();
    let own = |number: usize| format!("{place}/{number}");
    let mark = |number: usize| format!("{place}/{number}/{number}");
    let prepared = contenders.iter().map(|(connection, number)| async {
        folder::make_one(connection, &own(*number)).await?;
        make_file(connection, &mark(*number)).await
    });
    join_all(prepared).await.into_iter().collect::<Result<Vec<()>, _>>()?;

    let mut link = true;
    for round in 0..ROUNDS {
        let target = format!("{place}/linked-{round}");
        let tries = contenders.iter().map(|(connection, number)| attempt(connection, &target, mark(*number), true));
        link &= winners(join_all(tries).await)?.len() == 1;
    }

    let connection: &Connection = &connections[0];
    let mut guard = true;
    for round in 0..ROUNDS {
        let target = format!("{place}/guard-{round}");
        let tries = contenders.iter().map(|(connection, number)| attempt(connection, &target, own(*number), false));
        let won = winners(join_all(tries).await)?;
        guard &= match won.as_slice() {
            [winner] => guards(connection, &target, *winner, &own).await?,
            _ => false,
        };
        if !guard {
            break;
        }
    }
    replaces(connection, place).await?;
    Ok(Can { link, guard })
}

/// Whether a guard that `winner` has put in its place is closed to others, open once its mark is gone, and a file does not
/// take its place. Leaves everybody what was theirs.
async fn guards(
    connection: &Connection,
    guard: &str,
    winner: usize,
    own: &impl Fn(usize) -> String,
) -> Result<bool, Trouble> {
    let loser = usize::from(winner == 0);
    let other = (0..CONTENDERS).find(|number| *number != winner && *number != loser).unwrap_or(loser);
    let closed = !attempt(connection, guard, own(loser), false).await?;
    let removed = connection.call(connection.fs().remove_file(format!("{guard}/{winner}"))).await.is_ok();
    let open = attempt(connection, guard, own(loser), false).await?;
    let kept = !attempt(connection, &own(other), format!("{guard}/{loser}"), false).await?;
    let is_guard = closed && removed && open && kept;
    if !is_guard || !attempt(connection, &own(loser), guard.to_owned(), false).await? {
        return Ok(false);
    }
    folder::make_one(connection, &own(winner)).await?;
    make_file(connection, &format!("{}/{winner}", own(winner))).await?;
    Ok(true)
}

/// Without this there is no way to write an object so that no reader ever sees a part of it.
async fn replaces(connection: &Connection, place: &str) -> Result<(), Trouble> {
    let (old, new) = (format!("{place}/old"), format!("{place}/new"));
    for path in [&old, &new] {
        make_file(connection, path).await?;
    }
    match attempt(connection, &old, new, false).await? {
        true => Ok(()),
        false => Err(Trouble::NotConnected(
            StoreErrorKind::Other,
            "the server cannot put a file in the place of another one (posix-rename@openssh.com), so that nothing can be \
             stored there safely: use OpenSSH's server, or another kind of store"
                .to_owned(),
        )),
    }
}

/// Makes an empty file where there was none.
async fn make_file(connection: &Connection, path: &str) -> Result<(), Trouble> {
    let sftp = connection.sftp();
    let file = connection.call(sftp.options().write(true).create_new(true).open(path)).await?;
    connection.call(file.close()).await
}

/// Tries to give `from` the name `to`, as a second name or instead of its own one.
async fn attempt(connection: &Connection, to: &str, from: String, link: bool) -> Result<bool, Trouble> {
    let mut fs: Fs = connection.fs();
    let done = match link {
        true => connection.call(fs.hard_link(from, to)).await,
        false => connection.call(fs.rename(from, to)).await,
    };
    match done {
        Ok(()) => Ok(true),
        Err(trouble) if trouble.is_answer() => Ok(false),
        Err(other) => Err(other),
    }
}

fn winners(tries: Vec<Result<bool, Trouble>>) -> Result<Vec<usize>, Trouble> {
    let tries = tries.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(tries.into_iter().enumerate().filter_map(|(number, won)| won.then_some(number)).collect())
}
