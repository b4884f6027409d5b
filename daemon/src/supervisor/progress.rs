//! How far a running job is: what the engine tells, kept until somebody looks.
//!
//! The engine's threads call in here very often, so counters are atomic, and a path that cannot be noted at once is
//! dropped: the next one comes soon. Warnings go to the job's log, too, and to what it found.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use cloudstic_engine::finding::{self, Lost};
use cloudstic_engine::progress::{Phase, Progress};
use cloudstic_engine::source::Warning;
use cloudstic_proto::v1;
use v1::finding::Finding;

use super::log::{JobLog, LogLevel};
use crate::operations::convert;
use crate::state::FindingsLog;

/// The progress of one job.
pub struct JobProgress {
    log: Arc<JobLog>,
    findings: Arc<FindingsLog>,
    phase: Mutex<Option<Phase>>,
    path: Mutex<String>,
    files_done: AtomicU64,
    files_total: AtomicU64,
    bytes_done: AtomicU64,
    bytes_total: AtomicU64,
    warnings: AtomicU64,
}

impl JobProgress {
    /// Nothing yet.
    pub fn new(log: Arc<JobLog>, findings: Arc<FindingsLog>) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            log,
            findings,
            phase: Mutex::new(None),
            path: Mutex::new(String::new()),
            files_done: zero(),
            files_total: zero(),
            bytes_done: zero(),
            bytes_total: zero(),
            warnings: zero(),
        }
    }

    /// As the API has it.
    pub fn now(&self) -> v1::Progress {
        let phase = *self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        v1::Progress {
            phase: phase.map(Phase::as_str).unwrap_or_default().to_owned(),
            files_done: self.files_done.load(Relaxed),
            files_total: self.files_total.load(Relaxed),
            bytes_done: self.bytes_done.load(Relaxed),
            bytes_total: self.bytes_total.load(Relaxed),
            path: self.path.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            warnings: self.warnings.load(Relaxed),
        }
    }
}

impl Progress for JobProgress {
    fn phase(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Some(phase);
    }

    fn expect(&self, files: u64, bytes: u64) {
        self.files_total.store(files, Relaxed);
        self.bytes_total.store(bytes, Relaxed);
    }

    fn advance(&self, files: u64, bytes: u64) {
        self.files_done.fetch_add(files, Relaxed);
        self.bytes_done.fetch_add(bytes, Relaxed);
    }

    fn path(&self, path: &str) {
        if let Ok(mut current) = self.path.try_lock() {
            current.clear();
            current.push_str(path);
        }
    }

    fn warning(&self, warning: &Warning) {
        self.warnings.fetch_add(1, Relaxed);
        self.log.add(LogLevel::Warning, format!("{}: {}", warning.path, warning.problem));
        self.findings.add(&v1::Finding { finding: Some(Finding::Warning(convert::warning(warning))) });
    }

    fn finding(&self, finding: &finding::Finding<'_>) {
        self.findings.add(&v1::Finding { finding: Some(message(finding)) });
    }
}

fn message(finding: &finding::Finding<'_>) -> Finding {
    match finding {
        finding::Finding::Fault { object, pack, problem } => Finding::Fault(v1::FoundFault {
            object: (*object).to_owned(),
            pack: pack.unwrap_or_default().to_owned(),
            kind: problem.code().to_owned(),
            problem: problem.to_string(),
        }),
        finding::Finding::Remark(remark) => {
            Finding::Remark(v1::Remark { object: remark.object.clone(), text: remark.text.clone() })
        }
        finding::Finding::Snapshot { reference, snapshot: Some(snapshot) } => {
            Finding::Snapshot(convert::snapshot(*reference, snapshot))
        }
        finding::Finding::Snapshot { reference, snapshot: None } => {
            Finding::Snapshot(v1::Snapshot { r#ref: reference.to_string(), ..v1::Snapshot::default() })
        }
        finding::Finding::Lost(Lost { path, object, snapshots }) => Finding::Lost(v1::Lost {
            path: path.unwrap_or_default().to_owned(),
            object: (*object).to_owned(),
            snapshots: Some(v1::SnapshotRun { start: snapshots.start, end: snapshots.end }),
        }),
    }
}

impl fmt::Debug for JobProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JobProgress").field(&self.now()).finish()
    }
}
