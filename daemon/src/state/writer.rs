//! The thread that owns all write transactions.
//!
//! Whatever waits when it begins goes into one transaction, so that many small changes cost one flush of the disk; each
//! caller is answered after the commit.

use std::sync::Arc;

use cloudstic_proto::v1;
use redb::Database;
use tokio::sync::{mpsc, oneshot};

use super::reads::{self, Mark};
use super::{FindingsFolder, NewLines, StateError, tables};
use crate::supervisor::{JobId, is_terminal};

/// How many changes go into one transaction at most.
const BATCH: usize = 256;

/// Speaks to the thread.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    changes: mpsc::UnboundedSender<Change>,
}

#[derive(Debug)]
enum Change {
    Save { id: JobId, job: Box<v1::Job>, lines: NewLines, answer: oneshot::Sender<Result<(), StateError>> },
    Append { id: JobId, lines: NewLines },
    Remember { mark: Mark, answer: oneshot::Sender<Result<(), StateError>> },
    Close { answer: oneshot::Sender<()> },
}

impl Writer {
    pub(super) fn start(db: Arc<Database>, keep_jobs: usize, findings: Arc<FindingsFolder>) -> std::io::Result<Self> {
        let (changes, waiting) = mpsc::unbounded_channel();
        std::thread::Builder::new().name("state".into()).spawn(move || {
            let closed = run(&db, keep_jobs, &findings, waiting);
            // Before the answer: whoever waits for it may open the file again at once.
            drop(db);
            for answer in closed {
                let _ = answer.send(());
            }
        })?;
        Ok(Self { changes })
    }

    pub(super) async fn save(&self, id: JobId, job: v1::Job, lines: NewLines) -> Result<(), StateError> {
        let (answer, answered) = oneshot::channel();
        let change = Change::Save { id, job: Box::new(job), lines, answer };
        self.changes.send(change).map_err(|_| StateError::Closed)?;
        answered.await.map_err(|_| StateError::Closed)?
    }

    pub(super) fn append(&self, id: JobId, lines: NewLines) {
        if lines.lines.is_empty() {
            return;
        }
        // Nobody is left to read them if the thread is gone.
        let _ = self.changes.send(Change::Append { id, lines });
    }

    pub(super) async fn remember(&self, mark: Mark) -> Result<(), StateError> {
        let (answer, answered) = oneshot::channel();
        self.changes.send(Change::Remember { mark, answer }).map_err(|_| StateError::Closed)?;
        answered.await.map_err(|_| StateError::Closed)?
    }

    pub(super) async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.changes.send(Change::Close { answer }).is_ok() {
            let _ = answered.await;
        }
    }
}

/// Works until it is closed, or nobody is left who could; gives those who wait for the end.
fn run(
    db: &Database,
    keep_jobs: usize,
    findings: &FindingsFolder,
    mut waiting: mpsc::UnboundedReceiver<Change>,
) -> Vec<oneshot::Sender<()>> {
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let closed = answer(batch, |batch| write(db, keep_jobs, findings, batch));
        if !closed.is_empty() {
            return closed;
        }
    }
    Vec::new()
}

/// Writes the batch, then tells each caller how that went; gives those who asked to close.
fn answer(
    batch: Vec<Change>,
    write: impl FnOnce(&[Change]) -> Result<Vec<usize>, StateError>,
) -> Vec<oneshot::Sender<()>> {
    let mut closed = Vec::new();
    let written = write(&batch);
    if let Err(error) = &written {
        tracing::error!(%error, "the daemon's state was not written");
    }
    for (index, change) in batch.into_iter().enumerate() {
        match change {
            Change::Append { .. } => {}
            Change::Close { answer } => closed.push(answer),
            Change::Remember { answer, .. } => _ = answer.send(outcome(&written)),
            Change::Save { id, answer, .. } => {
                let result = match &written {
                    Ok(refused) if refused.contains(&index) => Err(StateError::AlreadyEnded(id)),
                    _ => outcome(&written),
                };
                let _ = answer.send(result);
            }
        }
    }
    closed
}

/// How a whole batch went, for one of those who wait.
fn outcome(written: &Result<Vec<usize>, StateError>) -> Result<(), StateError> {
    match written {
        Ok(_) => Ok(()),
        Err(StateError::Storage(cause)) => Err(StateError::Storage(cause.clone())),
        Err(error) => Err(StateError::Storage(error.to_string())),
    }
}

/// Writes the batch in one transaction; gives the numbers of the changes that were refused, because the job has ended.
fn write(
    db: &Database,
    keep_jobs: usize,
    findings: &FindingsFolder,
    batch: &[Change],
) -> Result<Vec<usize>, StateError> {
    let mut refused = Vec::new();
    let mut any_ended = false;
    let transaction = db.begin_write()?;
    for (index, change) in batch.iter().enumerate() {
        match change {
            Change::Save { id, job, lines, .. } => match tables::put_job(&transaction, *id, job) {
                Ok(()) => {
                    any_ended |= is_terminal(job.state());
                    tables::put_lines(&transaction, *id, lines)?;
                }
                Err(StateError::AlreadyEnded(_)) => refused.push(index),
                Err(error) => return Err(error),
            },
            Change::Append { id, lines } => tables::put_lines(&transaction, *id, lines)?,
            Change::Remember { mark, .. } => reads::put(&transaction, mark)?,
            Change::Close { .. } => {}
        }
    }
    let forgotten = if any_ended { tables::prune(&transaction, keep_jobs)? } else { Vec::new() };
    transaction.commit()?;
    forgotten.into_iter().for_each(|id| findings.remove(id));
    Ok(refused)
}
