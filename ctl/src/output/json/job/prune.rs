//! Prunes.

use cloudstic_proto::v1;
use serde::Serialize;

use super::seconds;
use crate::output::json::snapshot::Warning;

/// What was asked for.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    repository: &'a str,
    dry_run: bool,
    max_waste_percent: Option<u32>,
    max_repack_bytes: Option<u64>,
    despite_unknown: bool,
    lock_wait: Option<f64>,
}

impl<'a> From<&'a v1::PruneSpec> for Spec<'a> {
    fn from(spec: &'a v1::PruneSpec) -> Self {
        Self {
            repository: &spec.repository,
            dry_run: spec.dry_run,
            max_waste_percent: spec.max_waste_percent,
            max_repack_bytes: spec.max_repack_bytes,
            despite_unknown: spec.despite_unknown,
            lock_wait: seconds(spec.lock_wait.as_ref()),
        }
    }
}

/// What it did.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    snapshots: u64,
    needed_objects: u64,
    packs_before: u64,
    packs_after: u64,
    packs_deleted: u64,
    packs_rewritten: u64,
    packs_written: u64,
    removed_objects: u64,
    deleted_bytes: u64,
    written_bytes: u64,
    freed_bytes: u64,
    unused_bytes: u64,
    unknown_packs: u64,
    unknown_bytes: u64,
    warning_count: u64,
    warnings: Vec<Warning<'a>>,
    dry_run: bool,
}

impl<'a> From<&'a v1::PruneReport> for Report<'a> {
    fn from(report: &'a v1::PruneReport) -> Self {
        Self {
            snapshots: report.snapshots,
            needed_objects: report.needed_objects,
            packs_before: report.packs_before,
            packs_after: report.packs_after,
            packs_deleted: report.packs_deleted,
            packs_rewritten: report.packs_rewritten,
            packs_written: report.packs_written,
            removed_objects: report.removed_objects,
            deleted_bytes: report.deleted_bytes,
            written_bytes: report.written_bytes,
            freed_bytes: report.freed_bytes,
            unused_bytes: report.unused_bytes,
            unknown_packs: report.unknown_packs,
            unknown_bytes: report.unknown_bytes,
            warning_count: report.warning_count,
            warnings: report.warnings.iter().map(Warning::from).collect(),
            dry_run: report.dry_run,
        }
    }
}
