//! Copy: snapshots from one repository into another, with other keys and on another store.
//!
//! What is read is proven as a restore does it: chunks by their names, files by the hash of all their bytes. Names that
//! depend on keys are made anew: chunks and contents get the names that the target would give them, and filemetas and
//! nodes, which name these, follow. Chunks are kept as they were cut. Between two repositories without keys every object
//! keeps its name and its bytes.
//!
//! The one invariant: a snapshot of the target that says what it was copied from has all that the original has, unless it
//! says that it is incomplete. So a snapshot with damaged files is not copied, or, if that was asked for, says so itself.
//!
//! A copy that was cut off leaves objects and no snapshot; the next one finds their contents, and does not read these
//! files again.

mod choose;
mod content;
mod nodes;
mod rename;
mod report;
mod run;
mod table;
mod target;
mod visits;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::lock::{LeaseWatch, LockLost};
use crate::midway::Midway;
use crate::object::{Hash, ObjectRef, Snapshot};
use crate::pack::PackMembers;
use crate::progress::{Phase, Progress};
use crate::repository::{NewSnapshot, Numbering, Repository, RepositoryError, SnapshotSelection, Written};
use crate::source::Warning;
use crate::tree::Cancelled;
use crate::warnings::Warnings;
use choose::{Choice, Chosen};
use run::{Copier, Done};
use target::Target;

pub use report::{CopyReport, CopyState, SnapshotCopy};

/// In the `meta` of a copy: the snapshot that was copied first, through all copies of copies, by the name that it had then.
pub const COPIED_FROM: &str = "copied_from";

/// In the `meta` of a copy: what tells that snapshot from others, whatever tags it gets.
pub const COPIED_IDENTITY: &str = "copied_identity";

/// In the `meta` of a copy that lacks damaged files of the original: how many entries it lacks at least.
pub const COPIED_INCOMPLETE: &str = "copied_incomplete";

/// What to copy, and how.
#[derive(Debug, Clone)]
pub struct CopyRequest {
    /// Which snapshots.
    pub selection: SnapshotSelection,
    /// Copy snapshots with damaged files too, without these.
    pub partial: bool,
    /// Say what would be copied, but write nothing.
    pub dry_run: bool,
    /// A shared lock of the repository that is read; [`LeaseWatch::not_needed`] for a dry run.
    pub from: LeaseWatch,
    /// A shared lock of the repository that is written; the same.
    pub to: LeaseWatch,
}

/// Why no more was copied. Snapshots that were copied before that stay.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// One of the repositories.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// One of the repository locks was lost.
    #[error(transparent)]
    LockLost(#[from] LockLost),
    /// Both are one.
    #[error("{store} holds both repositories: it is one and the same, and there is nothing to copy")]
    Same {
        /// The store.
        store: String,
    },
    /// Each snapshot is damaged.
    #[error("no snapshot was copied, because each has damage ({count}); the first: {first}")]
    AllDamaged {
        /// How many there are.
        count: usize,
        /// What is wrong with the first.
        first: String,
    },
    /// The system: threads, temporary files.
    #[error("the copy cannot work: {0}")]
    System(#[from] std::io::Error),
    /// Cancelled.
    #[error("the copy was cancelled; snapshots that were copied before that are there, and the next copy goes on")]
    Cancelled,
    /// One of these, after some snapshots were copied.
    #[error("{error}")]
    Midway {
        /// What was done. The snapshot at which it ended is not in it, nor are those after that.
        done: Box<CopyReport>,
        /// Why no more was.
        #[source]
        error: Box<CopyError>,
    },
}

/// Copies snapshots, oldest first. Those that the target has already are left alone; those with damage are warnings of
/// the report, and make the copy a partial one.
///
/// # Errors
/// When nothing more can be copied, and when every snapshot that was to be copied is damaged.
pub async fn copy(
    from: Arc<Repository>,
    to: Arc<Repository>,
    request: CopyRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<CopyReport, CopyError> {
    progress.phase(Phase::Opening);
    request.from.confirm().await?;
    request.to.confirm().await?;
    if from.store().describe() == to.store().describe() {
        return Err(CopyError::Same { store: to.store().describe() });
    }
    let Choice { chosen, unreadable } = choose::choose(&from, &to, &request).await?;
    let copier = Copier::new(from, to.marker().encrypted, Arc::clone(&progress), cancel.clone()).await?;
    let mut copying = Copying {
        to,
        request,
        copier: Some(copier),
        packs: Vec::new(),
        report: CopyReport::default(),
        warnings: Warnings::default(),
        progress,
        cancel,
    };
    unreadable.into_iter().for_each(|warning| copying.warn(warning));
    for snapshot in chosen {
        if let Err(error) = copying.one(snapshot).await {
            return Err(copying.stopped(error));
        }
    }
    copying.finish()
}

/// A copy under way.
struct Copying {
    to: Arc<Repository>,
    request: CopyRequest,
    /// Taken out while it works on a thread.
    copier: Option<Copier>,
    /// Of snapshots that turned out to be damaged: later ones use what is in them.
    packs: Vec<PackMembers>,
    report: CopyReport,
    warnings: Warnings,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
}

impl Copying {
    async fn one(&mut self, Chosen { reference, snapshot, present }: Chosen) -> Result<(), CopyError> {
        let mut copy =
            SnapshotCopy { source: reference, copy: None, seq: 0, state: CopyState::Present, other_tags: false };
        if let Some(present) = present {
            (copy.copy, copy.other_tags) = (Some(present.reference), present.other_tags);
            self.report.snapshots.push(copy);
            return Ok(());
        }
        let Some(created) = snapshot.created.moment() else {
            copy.state = CopyState::Damaged;
            self.report.snapshots.push(copy);
            let problem = format!("its time {:?} cannot be read, so it is not copied", snapshot.created.as_str());
            self.warn(Warning { path: reference.to_string(), problem });
            return Ok(());
        };
        let Done { root, written, problems, lacks, counts } = self.tree(&snapshot).await?;
        self.report.add(counts);
        self.packs.extend(written.packs);
        problems.into_iter().for_each(|problem| self.warn(problem));
        copy.state = match (lacks, self.request.partial, self.request.dry_run) {
            (0, _, true) => CopyState::WouldCopy,
            (0, _, false) => CopyState::Copied,
            (_, true, _) => CopyState::Incomplete,
            (_, false, _) => CopyState::Damaged,
        };
        if copy.state == CopyState::Damaged {
            let problem = "it is not copied, because of this damage; ask for a partial copy to get the rest of it";
            self.warn(Warning { path: reference.to_string(), problem: problem.to_owned() });
        } else if !self.request.dry_run {
            let new = NewSnapshot {
                created,
                root,
                source: snapshot.source.clone(),
                tags: snapshot.tags.clone(),
                exclude_hash: snapshot.exclude_hash.parse::<Hash>().ok(),
                change_token: snapshot.change_token.clone(),
                meta: meta(&reference, &snapshot, lacks),
                numbering: Numbering::ByTime,
            };
            let (made, seq) = self.commit(new).await?;
            (copy.copy, copy.seq) = (Some(made), seq);
        }
        self.report.snapshots.push(copy);
        Ok(())
    }

    /// Copies all that a snapshot needs.
    async fn tree(&mut self, snapshot: &Snapshot) -> Result<Done, CopyError> {
        let existing = self.to.existing().await?;
        let writer = (!self.request.dry_run).then(|| self.to.writer(existing.clone(), self.request.to.clone()));
        let target = Target::new(Arc::clone(&self.to), existing, writer, self.cancel.clone()).await?;
        let (root, partial) = (snapshot.root, self.request.partial);
        let Some(mut copier) = self.copier.take() else {
            return Err(CopyError::System(std::io::Error::other("it was given up before")));
        };
        let working = tokio::task::spawn_blocking(move || {
            let done = copier.snapshot(root, target, partial);
            (copier, done)
        });
        let (copier, done) = working.await.map_err(std::io::Error::other)?;
        self.copier = Some(copier);
        done
    }

    async fn commit(&mut self, new: NewSnapshot) -> Result<(ObjectRef, u64), CopyError> {
        self.progress.phase(Phase::Finishing);
        // While it held, no prune of the source took away what was not read yet.
        self.request.from.confirm().await?;
        let written = Written { packs: std::mem::take(&mut self.packs) };
        let cancel = self.cancel.clone();
        let may_commit = || if cancel.is_cancelled() { Err(CopyError::Cancelled) } else { Ok(()) };
        let (reference, snapshot) = self.to.commit(written, new, &self.request.to, may_commit).await?;
        Ok((reference, snapshot.seq))
    }

    fn warn(&mut self, warning: Warning) {
        self.progress.warning(&warning);
        self.warnings.push(warning);
    }

    /// What it ends with when it ends before its time.
    fn stopped(self, error: CopyError) -> CopyError {
        let done = self.into_report();
        let is_new = |copy: &SnapshotCopy| copy.copy.is_some() && copy.state != CopyState::Present;
        match done.snapshots.iter().any(is_new) {
            true => CopyError::Midway { done: done.into(), error: error.into() },
            false => error,
        }
    }

    fn into_report(self) -> CopyReport {
        let (warnings, warning_count) = self.warnings.into_parts();
        CopyReport { dry_run: self.request.dry_run, warnings, warning_count, ..self.report }
    }

    fn finish(self) -> Result<CopyReport, CopyError> {
        let report = self.into_report();
        let damaged = report.snapshots.iter().filter(|copy| copy.state == CopyState::Damaged).count();
        match report.warnings.first() {
            Some(first) if damaged > 0 && damaged == report.snapshots.len() => {
                let first = format!("{}: {}", first.path, first.problem);
                Err(CopyError::AllDamaged { count: damaged, first })
            }
            _ => Ok(report),
        }
    }
}

/// The free facts of a copy: those of the original, and what it is.
fn meta(reference: &ObjectRef, snapshot: &Snapshot, lacks: u64) -> BTreeMap<String, String> {
    let identity = choose::identity(reference, snapshot);
    let mut meta = snapshot.meta.clone();
    meta.insert(COPIED_IDENTITY.to_owned(), identity);
    meta.entry(COPIED_FROM.to_owned()).or_insert_with(|| reference.to_string());
    if lacks > 0 {
        meta.insert(COPIED_INCOMPLETE.to_owned(), lacks.to_string());
    }
    meta
}

impl From<Cancelled> for CopyError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

impl Midway for CopyError {
    type Report = CopyReport;

    fn into_done(self) -> (Self, Option<CopyReport>) {
        match self {
            Self::Midway { done, error } => (*error, Some(*done)),
            error => (error, None),
        }
    }
}
