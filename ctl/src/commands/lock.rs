//! `lock list`: who uses a repository.

use chrono::{DateTime, Utc};
use cloudstic_proto::v1::{ListLocksRequest, Lock};
use prost_types::Timestamp;

use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::human::NOTHING;
use crate::output::table::{Align, Table};
use crate::output::{Output, human, json};

pub(crate) async fn list(global: &Global, out: &mut Output, args: cli::LockList) -> Result<Exit, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let locks = all(&daemon, &args.repository).await?;
    if out.json {
        out.document(&json::Locks::new(&args.repository, &locks))?;
    } else if !locks.is_empty() {
        out.text(table(&locks, Utc::now()))?;
    } else if !out.quiet {
        out.text("no locks: nobody uses the repository\n")?;
    }
    Ok(Exit::Success)
}

/// All locks of a repository.
pub(super) async fn all(daemon: &Daemon, repository: &str) -> Result<Vec<Lock>, Error> {
    let request = ListLocksRequest { repository: repository.to_owned() };
    Ok(daemon.locks().list(request).await?.into_inner().locks)
}

fn table(locks: &[Lock], now: DateTime<Utc>) -> Table<7> {
    let mut table = Table::new([
        ("OPERATION", Align::Left),
        ("HOLDER", Align::Left),
        ("KIND", Align::Left),
        ("AGE", Align::Right),
        ("EXPIRES", Align::Left),
        ("STATE", Align::Left),
        ("JOB", Align::Left),
    ]);
    for lock in locks {
        table.row([
            or_nothing(&lock.operation),
            holder(lock),
            kind(lock).to_owned(),
            age(lock, now),
            human::time(moment(&lock.expires_at).as_ref()),
            if lock.stale.is_empty() { "live".to_owned() } else { format!("stale: {}", lock.stale) },
            or_nothing(&lock.job_id),
        ]);
    }
    table
}

fn kind(lock: &Lock) -> &'static str {
    if lock.shared { "shared" } else { "exclusive" }
}

/// Who holds it; of one that cannot be read its key is all that is known.
pub(super) fn holder(lock: &Lock) -> String {
    if lock.holder.is_empty() { format!("{} (cannot be read)", lock.key) } else { lock.holder.clone() }
}

/// How long it has been held, if that can be read.
fn age(lock: &Lock, now: DateTime<Utc>) -> String {
    let acquired = moment(&lock.acquired_at);
    let now = Timestamp { seconds: now.timestamp(), nanos: now.timestamp_subsec_nanos() as i32 };
    human::seconds_between(acquired.as_ref(), Some(&now)).map_or_else(|| NOTHING.to_owned(), human::duration)
}

/// What other programs wrote may be no time.
fn moment(text: &str) -> Option<Timestamp> {
    let moment = DateTime::parse_from_rfc3339(text).ok()?;
    Some(Timestamp { seconds: moment.timestamp(), nanos: moment.timestamp_subsec_nanos() as i32 })
}

pub(super) fn or_nothing(text: &str) -> String {
    if text.is_empty() { NOTHING } else { text }.to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lock_that_says_nothing_readable_is_still_shown() {
        let now: DateTime<Utc> = "2026-11-21T04:00:00Z".parse().unwrap();
        let backup = Lock {
            shared: true,
            operation: "backup".into(),
            holder: "vm (pid 7)".into(),
            acquired_at: "2026-11-21T03:57:55.5Z".into(),
            expires_at: "2026-11-21T03:58:55.5Z".into(),
            stale: "it has expired".into(),
            ..Lock::default()
        };
        let shown = table(&[Lock { key: "index/lock.exclusive".into(), ..Lock::default() }, backup], now).to_string();
        let words = |line: usize| {
            shown
                .lines()
                .nth(line)
                .unwrap()
                .split("  ")
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
        };
        assert_eq!(words(1), ["-", "index/lock.exclusive (cannot be read)", "exclusive", "-", "-", "live", "-"]);
        assert_eq!(
            words(2),
            [
                "backup",
                "vm (pid 7)",
                "shared",
                "2 min 5 s",
                &human::time(moment("2026-11-21T03:58:55.5Z").as_ref()),
                "stale: it has expired",
                "-"
            ]
        );
    }
}
