//! What a restore has done so far: counts, warnings, and whether it has to stop. Shared by all its threads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::{RestoreError, RestoreReport};
use crate::object::ObjectRef;
use crate::progress::Progress;
use crate::repository::{ReadError, RepositoryError};
use crate::source::Warning;
use crate::store::StoreErrorKind;

/// How many warnings are kept in full.
const KEPT: usize = 1000;
/// After so many failures of the store itself, the rest would fail as well.
const STORE_FAILURES: u64 = 100;

/// What the target or its user cannot take: one warning in all, however many entries it concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Limit {
    /// Owners can be given by root alone.
    Owner,
    /// Not even by root, for reasons of the target.
    OwnerByRoot,
    /// Inode flags.
    Flags,
    /// Extended attributes: outside `user.` for other users than root, all where the file system has none.
    Xattrs,
}

impl Limit {
    fn describe(self, count: u64) -> String {
        let what = match self {
            Self::Owner => "did not get their owner, group, or set-id bits: only root can give files to others",
            Self::OwnerByRoot => {
                "did not get their owner, group, or set-id bits: they are immutable, or the file system or the container \
                 does not allow it"
            }
            Self::Flags => "did not get their inode flags: the file system or the rights of the user do not allow them",
            Self::Xattrs => {
                "did not get all extended attributes: the file system or the rights of the user do not allow them"
            }
        };
        format!("{count} entries {what}")
    }
}

pub(super) struct Tally<'a> {
    pub(super) progress: &'a dyn Progress,
    cancel: &'a CancellationToken,
    pub(super) files: AtomicU64,
    pub(super) folders: AtomicU64,
    pub(super) others: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) skipped: AtomicU64,
    warnings: Mutex<(Vec<Warning>, u64)>,
    limits: Mutex<BTreeMap<Limit, u64>>,
    failure: Mutex<Option<RestoreError>>,
    store_failures: AtomicU64,
    stop: AtomicBool,
}

impl<'a> Tally<'a> {
    pub(super) fn new(progress: &'a dyn Progress, cancel: &'a CancellationToken) -> Self {
        Self {
            progress,
            cancel,
            files: AtomicU64::new(0),
            folders: AtomicU64::new(0),
            others: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            warnings: Mutex::default(),
            limits: Mutex::default(),
            failure: Mutex::default(),
            store_failures: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        }
    }

    /// Something is not, or not wholly, restored; the rest goes on.
    pub(super) fn warn(&self, path: String, problem: String) {
        let warning = Warning { path, problem };
        self.progress.warning(&warning);
        let mut warnings = lock(&self.warnings);
        warnings.1 += 1;
        if warnings.0.len() < KEPT {
            warnings.0.push(warning);
        }
    }

    /// What was found only on a second try, in a part of the repository that is damaged.
    pub(super) fn warn_all(&self, warnings: Vec<Warning>) {
        for Warning { path, problem } in warnings {
            self.warn(path, problem);
        }
    }

    /// Warnings of which only the number is known.
    pub(super) fn warn_uncounted(&self, count: u64) {
        lock(&self.warnings).1 += count;
    }

    pub(super) fn limited(&self, limit: Limit) {
        *lock(&self.limits).entry(limit).or_default() += 1;
    }

    /// The whole restore cannot go on. The first reason stays.
    pub(super) fn fail(&self, why: RestoreError) {
        lock(&self.failure).get_or_insert(why);
        self.stop.store(true, Ordering::Relaxed);
    }

    /// An object could not be read. One that is lost or damaged concerns its file; a store that is gone concerns all.
    pub(super) fn unread(&self, why: &ReadError) {
        let ReadError::Store(error) = why else { return };
        let single = matches!(error.kind, StoreErrorKind::NotFound | StoreErrorKind::Corrupt);
        if !single && self.store_failures.fetch_add(1, Ordering::Relaxed) + 1 == STORE_FAILURES {
            self.fail(RepositoryError::Read(why.clone()).into());
        }
    }

    /// Whether all threads have to end.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.cancel.is_cancelled()
    }

    pub(super) fn add(&self, counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    /// The report, or why there is none.
    pub(super) fn finish(self, snapshot: ObjectRef, place: &str) -> Result<RestoreReport, RestoreError> {
        for (limit, count) in std::mem::take(&mut *lock(&self.limits)) {
            self.warn(place.to_owned(), limit.describe(count));
        }
        if let Some(why) = lock(&self.failure).take() {
            return Err(why);
        }
        if self.cancel.is_cancelled() {
            return Err(RestoreError::Cancelled);
        }
        let (warnings, warning_count) = std::mem::take(&mut *lock(&self.warnings));
        Ok(RestoreReport {
            snapshot: Some(snapshot),
            files: self.files.into_inner(),
            folders: self.folders.into_inner(),
            others: self.others.into_inner(),
            bytes: self.bytes.into_inner(),
            skipped: self.skipped.into_inner(),
            warnings,
            warning_count,
        })
    }
}

/// Locks; what a panicked thread left behind is still counts and warnings.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
