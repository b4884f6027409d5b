//! Restores to a folder, and archives.

use std::borrow::Cow;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloudstic_proto::v1::{self, Overwrite};
use serde::Serialize;

use super::seconds;
use crate::output::json::not_utf8;
use crate::output::json::snapshot::Warning;

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

/// Paths inside a snapshot. If one of them is not UTF-8, the bytes of all are beside them, in the same order.
#[derive(Serialize)]
struct Paths<'a> {
    paths: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paths_b64: Option<Vec<String>>,
}

impl<'a> From<&'a [Vec<u8>]> for Paths<'a> {
    fn from(paths: &'a [Vec<u8>]) -> Self {
        let odd = paths.iter().any(|path| std::str::from_utf8(path).is_err());
        Self {
            paths: paths.iter().map(|path| String::from_utf8_lossy(path)).collect(),
            paths_b64: odd.then(|| paths.iter().map(|path| STANDARD.encode(path)).collect()),
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
    archive_bytes: u64,
    report: Report<'a>,
}

impl<'a> Archive<'a> {
    /// An archive that is complete: its job, where it was written (nowhere on a dry run), and its size in bytes.
    pub(crate) fn new(job_id: &'a str, archive: Option<&Path>, bytes: u64, report: &'a v1::RestoreReport) -> Self {
        let archive = archive.map(|path| path.to_string_lossy().into_owned());
        Self { job_id, archive, archive_bytes: bytes, report: report.into() }
    }
}
