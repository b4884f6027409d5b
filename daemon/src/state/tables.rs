//! The tables of `state.redb`, and every query on them.
//!
//! Jobs are stored as the protobuf messages of the API, which can grow without a migration. Log lines are numbered from
//! 0 within their job; only the last [`LOG_LINES_KEPT`] stay.

use std::collections::BTreeSet;
use std::path::Path;

use cloudstic_proto::v1;
use prost::Message;
use redb::{Database, ReadTransaction, ReadableTable, ReadableTableMetadata, TableDefinition, WriteTransaction};

use super::{NewLines, StateError};
use crate::supervisor::{JobId, is_terminal};

/// How many lines of a job's log are kept.
pub const LOG_LINES_KEPT: u64 = 2000;

const SCHEMA: u64 = 1;
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const JOBS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("jobs");
const LOGS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("logs");

/// Makes the tables of a new file; refuses a newer program's.
pub(super) fn prepare(db: &Database, path: &Path) -> Result<(), StateError> {
    let write = db.begin_write()?;
    {
        let mut meta = write.open_table(META)?;
        let found = meta.get("schema")?.map(|schema| schema.value());
        match found {
            Some(found) if found > SCHEMA => return Err(StateError::Newer { path: path.to_owned(), found }),
            _ => meta.insert("schema", SCHEMA)?,
        };
        write.open_table(JOBS)?;
        write.open_table(LOGS)?;
    }
    super::reads::prepare(&write)?;
    Ok(write.commit()?)
}

/// Stores a job, unless it has ended.
pub(super) fn put_job(write: &WriteTransaction, id: JobId, job: &v1::Job) -> Result<(), StateError> {
    let mut jobs = write.open_table(JOBS)?;
    let ended = match jobs.get(id.0)? {
        Some(stored) => is_terminal(decode::<v1::Job>(stored.value())?.state()),
        None => false,
    };
    if ended {
        return Err(StateError::AlreadyEnded(id));
    }
    jobs.insert(id.0, job.encode_to_vec().as_slice())?;
    Ok(())
}

/// Stores lines, and drops those that are too old now.
pub(super) fn put_lines(write: &WriteTransaction, id: JobId, new: &NewLines) -> Result<(), StateError> {
    if new.lines.is_empty() {
        return Ok(());
    }
    let mut logs = write.open_table(LOGS)?;
    for (line, number) in new.lines.iter().zip(new.first..) {
        logs.insert((id.0, number), line.encode_to_vec().as_slice())?;
    }
    let end = new.first + new.lines.len() as u64;
    logs.retain_in((id.0, 0)..(id.0, end.saturating_sub(LOG_LINES_KEPT)), |_, _| false)?;
    Ok(())
}

/// Stores one line after those that are there.
pub(super) fn add_line(write: &WriteTransaction, id: JobId, line: v1::LogLine) -> Result<(), StateError> {
    let logs = write.open_table(LOGS)?;
    let last = logs.range((id.0, 0)..=(id.0, u64::MAX))?.next_back().transpose()?;
    let first = last.map_or(0, |(key, _)| key.value().1 + 1);
    drop(logs);
    put_lines(write, id, &NewLines { first, lines: vec![line] })
}

/// Forgets the oldest ended jobs until `keep` are left, and gives those that it forgot.
pub(super) fn prune(write: &WriteTransaction, keep: usize) -> Result<Vec<JobId>, StateError> {
    let mut jobs = write.open_table(JOBS)?;
    let mut excess = jobs.len()?.saturating_sub(keep as u64);
    if excess == 0 {
        return Ok(Vec::new());
    }
    let mut old = Vec::new();
    for entry in jobs.iter()? {
        let (id, job) = entry?;
        if excess == 0 {
            break;
        }
        if is_terminal(decode::<v1::Job>(job.value())?.state()) {
            old.push(JobId(id.value()));
            excess -= 1;
        }
    }
    let mut logs = write.open_table(LOGS)?;
    for JobId(id) in &old {
        jobs.remove(id)?;
        logs.retain_in((*id, 0)..=(*id, u64::MAX), |_, _| false)?;
    }
    Ok(old)
}

/// All jobs.
pub(super) fn ids(read: &ReadTransaction) -> Result<BTreeSet<JobId>, StateError> {
    let jobs = read.open_table(JOBS)?;
    jobs.iter()?.map(|entry| Ok(JobId(entry?.0.value()))).collect()
}

pub(super) fn job(read: &ReadTransaction, id: JobId) -> Result<Option<v1::Job>, StateError> {
    let jobs = read.open_table(JOBS)?;
    jobs.get(id.0)?.map(|job| decode(job.value())).transpose()
}

pub(super) fn newest(
    read: &ReadTransaction,
    limit: usize,
    mut wanted: impl FnMut(&v1::Job) -> bool,
) -> Result<Vec<v1::Job>, StateError> {
    let mut found = Vec::new();
    for entry in read.open_table(JOBS)?.iter()?.rev() {
        if found.len() == limit {
            break;
        }
        let job = decode(entry?.1.value())?;
        if wanted(&job) {
            found.push(job);
        }
    }
    Ok(found)
}

pub(super) fn log(read: &ReadTransaction, id: JobId) -> Result<Vec<v1::LogLine>, StateError> {
    let logs = read.open_table(LOGS)?;
    let mut lines = Vec::new();
    for entry in logs.range((id.0, 0)..=(id.0, u64::MAX))? {
        lines.push(decode(entry?.1.value())?);
    }
    Ok(lines)
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, StateError> {
    M::decode(bytes).map_err(|error| StateError::damaged(format_args!("a stored record makes no sense: {error}")))
}
