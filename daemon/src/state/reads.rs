//! What is remembered of checks: where the next one that reads a part of a repository's data goes on, and when one last
//! found all of it whole.

use redb::{ReadTransaction, TableDefinition, WriteTransaction};

use super::StateError;

/// By the repository's fingerprint.
const READS: TableDefinition<'_, &str, u64> = TableDefinition::new("reads");

/// Seconds since 1970, by the repository's fingerprint, which begins with its store.
const WHOLE: TableDefinition<'_, &str, u64> = TableDefinition::new("whole");

/// Something to remember.
#[derive(Debug)]
pub(super) enum Mark {
    /// Of this repository the next check goes on here.
    Next(String, u64),
    /// This repository was found whole at this second.
    Whole(String, u64),
}

/// Makes the table.
pub(super) fn prepare(write: &WriteTransaction) -> Result<(), StateError> {
    write.open_table(READS)?;
    write.open_table(WHOLE)?;
    Ok(())
}

pub(super) fn put(write: &WriteTransaction, mark: &Mark) -> Result<(), StateError> {
    let (table, key, value) = match mark {
        Mark::Next(repository, next) => (READS, repository, next),
        Mark::Whole(repository, second) => (WHOLE, repository, second),
    };
    write.open_table(table)?.insert(key.as_str(), value)?;
    Ok(())
}

/// Which of the repositories that ever lay in a store was found whole last, and when; `None` if none was yet.
pub(super) fn whole(read: &ReadTransaction, store: &str) -> Result<Option<(String, u64)>, StateError> {
    let prefix = format!("{store} ");
    let mut last: Option<(String, u64)> = None;
    for entry in read.open_table(WHOLE)?.range(prefix.as_str()..)? {
        let (repository, second) = entry?;
        let Some(hash) = repository.value().strip_prefix(&prefix) else { break };
        // A store's name may begin with that of another one.
        if !hash.contains(' ') && last.as_ref().is_none_or(|(_, latest)| *latest < second.value()) {
            last = Some((repository.value().to_owned(), second.value()));
        }
    }
    Ok(last)
}

/// 0 for a repository of which nothing was read yet.
pub(super) fn next(read: &ReadTransaction, repository: &str) -> Result<u64, StateError> {
    Ok(read.open_table(READS)?.get(repository)?.map_or(0, |next| next.value()))
}
