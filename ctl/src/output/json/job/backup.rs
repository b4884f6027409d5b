//! Backups.

use std::borrow::Cow;

use cloudstic_proto::v1;
use serde::Serialize;

use super::seconds;
use crate::output::json::snapshot::Warning;
use crate::output::json::{filled, not_utf8};

/// What was asked for.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    profile: Option<&'a str>,
    repository: Option<&'a str>,
    path: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_b64: Option<String>,
    tags: &'a [String],
    excludes: &'a [String],
    dry_run: bool,
    read_all: bool,
    skip_if_busy: bool,
    lock_wait: Option<f64>,
}

impl<'a> From<&'a v1::BackupSpec> for Spec<'a> {
    fn from(spec: &'a v1::BackupSpec) -> Self {
        Self {
            profile: filled(&spec.profile),
            repository: filled(&spec.repository),
            path: (!spec.path.is_empty()).then(|| String::from_utf8_lossy(&spec.path)),
            path_b64: not_utf8(&spec.path),
            tags: &spec.tags,
            excludes: &spec.excludes,
            dry_run: spec.dry_run,
            read_all: spec.read_all,
            skip_if_busy: spec.skip_if_busy,
            lock_wait: seconds(spec.lock_wait.as_ref()),
        }
    }
}

/// What it did.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    snapshot: Option<&'a str>,
    root: Option<&'a str>,
    seq: u64,
    files: Counts,
    folders: Counts,
    total_bytes: u64,
    read_bytes: u64,
    added_bytes: u64,
    stored_bytes: u64,
    warning_count: u64,
    warnings: Vec<Warning<'a>>,
    dry_run: bool,
}

#[derive(Serialize, Default)]
struct Counts {
    new: u64,
    changed: u64,
    unmodified: u64,
    removed: u64,
}

impl From<&v1::Counts> for Counts {
    fn from(counts: &v1::Counts) -> Self {
        Self { new: counts.new, changed: counts.changed, unmodified: counts.unmodified, removed: counts.removed }
    }
}

impl<'a> From<&'a v1::BackupReport> for Report<'a> {
    fn from(report: &'a v1::BackupReport) -> Self {
        Self {
            snapshot: filled(&report.snapshot),
            root: filled(&report.root),
            seq: report.seq,
            files: report.files.as_ref().map(Counts::from).unwrap_or_default(),
            folders: report.folders.as_ref().map(Counts::from).unwrap_or_default(),
            total_bytes: report.total_bytes,
            read_bytes: report.read_bytes,
            added_bytes: report.added_bytes,
            stored_bytes: report.stored_bytes,
            warning_count: report.warning_count,
            warnings: report.warnings.iter().map(Warning::from).collect(),
            dry_run: report.dry_run,
        }
    }
}
