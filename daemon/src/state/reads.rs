//! Where the next check that reads a part of a repository's data goes on.

use redb::{ReadTransaction, TableDefinition, WriteTransaction};

use super::StateError;

/// By the repository's name.
const READS: TableDefinition<'_, &str, u64> = TableDefinition::new("reads");

/// Makes the table.
pub(super) fn prepare(write: &WriteTransaction) -> Result<(), StateError> {
    write.open_table(READS)?;
    Ok(())
}

pub(super) fn put(write: &WriteTransaction, repository: &str, next: u64) -> Result<(), StateError> {
    write.open_table(READS)?.insert(repository, next)?;
    Ok(())
}

/// 0 for a repository of which nothing was read yet.
pub(super) fn next(read: &ReadTransaction, repository: &str) -> Result<u64, StateError> {
    Ok(read.open_table(READS)?.get(repository)?.map_or(0, |next| next.value()))
}
