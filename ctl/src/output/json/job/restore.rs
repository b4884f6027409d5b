//! Restores to a folder, and archives.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cloudstic_proto::v1::{self, Overwrite};
use serde::Serialize;

use super::seconds;
use crate::output::json::snapshot::Warning;
use crate::output::json::{Paths, not_utf8};

/// What was asked for.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    repository: &'a str,
    snapshot: &'a str,
    #[serde(flatten)]
    paths: Paths<'a>,
    target: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_b64: Option<String>,
    overwrite: &'static str,
    dry_run: bool,
    lock_wait: Option<f64>,
}

impl<'a> From<&'a v1::RestoreSpec> for Spec<'a> {
    fn from(spec: &'a v1::RestoreSpec) -> Self {
        Self {
            repository: &spec.repository,
            snapshot: &spec.snapshot,
            paths: Paths::from(&*spec.paths),
            target: String::from_utf8_lossy(&spec.target),
            target_b64: not_utf8(&spec.target),
            overwrite: match spec.overwrite() {
                Overwrite::Never => "never",
                Overwrite::IfChanged | Overwrite::Unspecified => "if-changed",
                Overwrite::Always => "always",
            },
            dry_run: spec.dry_run,
            lock_wait: seconds(spec.lock_wait.as_ref()),
        }
    }
}

/// What was asked for.
#[derive(Serialize)]
pub(super) struct ArchiveSpec<'a> {
    repository: &'a str,
    snapshot: &'a str,
    #[serde(flatten)]
    paths: Paths<'a>,
    dry_run: bool,
    lock_wait: Option<f64>,
}

impl<'a> From<&'a v1::ArchiveSpec> for ArchiveSpec<'a> {
    fn from(spec: &'a v1::ArchiveSpec) -> Self {
        Self {
            repository: &spec.repository,
            snapshot: &spec.snapshot,
            paths: Paths::from(&*spec.paths),
            dry_run: spec.dry_run,
            lock_wait: seconds(spec.lock_wait.as_ref()),
        }
    }
}

/// What it did.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    snapshot: &'a str,
    files: u64,
    folders: u64,
    others: u64,
    bytes: u64,
    skipped: u64,
    warning_count: u64,
    warnings: Vec<Warning<'a>>,
    dry_run: bool,
}

impl<'a> From<&'a v1::RestoreReport> for Report<'a> {
    fn from(report: &'a v1::RestoreReport) -> Self {
        Self {
            snapshot: &report.snapshot,
            files: report.files,
            folders: report.folders,
            others: report.others,
            bytes: report.bytes,
            skipped: report.skipped,
            warning_count: report.warning_count,
            warnings: report.warnings.iter().map(Warning::from).collect(),
            dry_run: report.dry_run,
        }
    }
}

/// `restore --zip`.
#[derive(Serialize)]
pub(crate) struct Archive<'a> {
    job_id: &'a str,
    archive: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive_b64: Option<String>,
    archive_bytes: u64,
    report: Report<'a>,
}

impl<'a> Archive<'a> {
    /// An archive that is complete: its job, where it was written (nowhere on a dry run), and its size in bytes.
    pub(crate) fn new(job_id: &'a str, archive: Option<&Path>, bytes: u64, report: &'a v1::RestoreReport) -> Self {
        let archive_b64 = archive.and_then(|path| not_utf8(path.as_os_str().as_bytes()));
        let archive = archive.map(|path| path.to_string_lossy().into_owned());
        Self { job_id, archive, archive_b64, archive_bytes: bytes, report: report.into() }
    }
}
