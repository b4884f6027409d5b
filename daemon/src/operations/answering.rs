//! Answers that may take long: how far they are, then the answer itself, part by part.
//!
//! The invariants: an answer that is not whole ends with an error; a slow reader makes nothing wait in memory but a few
//! messages; and nobody works on what nobody waits for any more.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloudstic_engine::finding::Finding;
use cloudstic_engine::progress::{Phase, Progress};
use cloudstic_engine::source::Warning;
use cloudstic_engine::tree::Cancelled;
use cloudstic_proto::v1;
use futures::FutureExt;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use super::Answer;
use crate::failure::Failure;
use crate::supervisor::{TaskKind, Tasks, panic_text};

/// How many messages wait for a slow reader at most.
pub(super) const PARTS_AHEAD: usize = 4;
/// How many entries or warnings go into one message, and after how many bytes no more of them do.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 256 << 10;
/// How often it is told how far an answer is.
const EVERY: Duration = Duration::from_millis(250);

/// How far the answer to one question is.
#[derive(Debug, Default)]
pub(super) struct QueryProgress {
    phase: Mutex<Option<Phase>>,
    objects_done: AtomicU64,
    objects_total: AtomicU64,
    bytes_done: AtomicU64,
    snapshot: AtomicU64,
    snapshots: AtomicU64,
}

impl QueryProgress {
    fn now(&self) -> v1::QueryProgress {
        let phase = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        v1::QueryProgress {
            phase: phase.map(Phase::as_str).unwrap_or_default().to_owned(),
            objects_done: self.objects_done.load(Relaxed),
            objects_total: self.objects_total.load(Relaxed),
            bytes_done: self.bytes_done.load(Relaxed),
            snapshot: self.snapshot.load(Relaxed),
            snapshots: self.snapshots.load(Relaxed),
        }
    }
}

impl Progress for QueryProgress {
    fn phase(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Some(phase);
    }

    fn expect(&self, objects: u64, _: u64) {
        self.objects_total.store(objects, Relaxed);
    }

    fn advance(&self, objects: u64, bytes: u64) {
        self.objects_done.fetch_add(objects, Relaxed);
        self.bytes_done.fetch_add(bytes, Relaxed);
    }

    fn path(&self, _: &str) {}

    fn snapshot(&self, number: u64, of: u64) {
        self.snapshot.store(number, Relaxed);
        self.snapshots.store(of, Relaxed);
    }

    // The answer has them.
    fn warning(&self, _: &Warning) {}
    fn finding(&self, _: &Finding<'_>) {}
}

/// A message of an answer that may take long.
pub(super) trait Part: Send + 'static {
    /// One that only tells how far it is.
    fn progress(progress: v1::QueryProgress) -> Self;
}

/// Works on a question until there is an answer or nobody wants it, and sends that.
pub(super) fn answer<P: Part, T, Parts: Iterator<Item = P> + Send>(
    tasks: &Tasks,
    cancel: CancellationToken,
    progress: Arc<QueryProgress>,
    question: impl Future<Output = Result<T, Failure>> + Send + 'static,
    parts: impl FnOnce(T) -> Parts + Send + 'static,
) -> Answer<P> {
    let (sender, receiver) = mpsc::channel(PARTS_AHEAD);
    let cancelled = cancel.clone();
    tasks.spawn(TaskKind::Query, async move {
        let answered = async {
            let answer = waited_for(question, &progress, &sender).await?;
            send(parts(answer), &sender).await;
            Ok(())
        };
        whole(answered, &sender, &cancelled).await;
        Ok(())
    });
    Answer::new(receiver, cancel)
}

/// Sends an answer that is there, part by part.
pub(super) fn in_parts<P: Send + 'static>(
    tasks: &Tasks,
    cancel: CancellationToken,
    parts: impl Iterator<Item = P> + Send + 'static,
) -> Answer<P> {
    let (sender, receiver) = mpsc::channel(PARTS_AHEAD);
    let cancelled = cancel.clone();
    tasks.spawn(TaskKind::Query, async move {
        whole(send(parts, &sender).map(Ok), &sender, &cancelled).await;
        Ok(())
    });
    Answer::new(receiver, cancel)
}

/// Sees to it that what is not whole ends with an error: without one it would look as if it were.
async fn whole<P>(
    answered: impl Future<Output = Result<(), Failure>>,
    sender: &mpsc::Sender<Result<P, Failure>>,
    cancelled: &CancellationToken,
) {
    let ended = tokio::select! {
        ended = AssertUnwindSafe(answered).catch_unwind() => ended,
        // Whoever asked has gone, and hears nothing of it; or the daemon is stopping.
        () = cancelled.cancelled() => Ok(Err(Cancelled.into())),
    };
    let failure = match ended {
        Ok(Ok(())) => return,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::internal(format!("a panic: {}", panic_text(panic.as_ref()))),
    };
    let _ = sender.send(Err(failure)).await;
}

async fn send<P>(parts: impl Iterator<Item = P>, sender: &mpsc::Sender<Result<P, Failure>>) {
    for part in parts {
        if sender.send(Ok(part)).await.is_err() {
            return;
        }
    }
}

/// The answer; what it has come to is told until then.
async fn waited_for<P: Part, T>(
    question: impl Future<Output = Result<T, Failure>>,
    progress: &QueryProgress,
    sender: &mpsc::Sender<Result<P, Failure>>,
) -> Result<T, Failure> {
    tokio::pin!(question);
    let mut ticks = interval_at(Instant::now() + EVERY, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = v1::QueryProgress::default();
    loop {
        tokio::select! {
            answer = &mut question => return answer,
            _ = ticks.tick() => {
                let now = progress.now();
                // Whoever does not keep up gets the next news.
                if now != told && sender.try_send(Ok(P::progress(now.clone()))).is_ok() {
                    told = now;
                }
            }
        }
    }
}

/// Things in batches that make messages of bounded size.
pub(super) fn batches<T: Message>(mut all: impl Iterator<Item = T>) -> impl Iterator<Item = Vec<T>> {
    std::iter::from_fn(move || {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            let Some(thing) = all.next() else { break };
            bytes += thing.encoded_len();
            batch.push(thing);
        }
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests;
