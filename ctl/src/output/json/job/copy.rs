//! Copies.

use cloudstic_proto::v1;
use serde::Serialize;

use super::{Filter, seconds};
use crate::output::json::filled;
use crate::output::json::snapshot::Warning;

/// What was asked for.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    from: &'a str,
    to: &'a str,
    snapshots: &'a [String],
    filter: Option<Filter<'a>>,
    partial: bool,
    dry_run: bool,
    lock_wait: Option<f64>,
}

impl<'a> From<&'a v1::CopySpec> for Spec<'a> {
    fn from(spec: &'a v1::CopySpec) -> Self {
        Self {
            from: &spec.from,
            to: &spec.to,
            snapshots: &spec.snapshots,
            filter: spec.filter.as_ref().map(Filter::from),
            partial: spec.partial,
            dry_run: spec.dry_run,
            lock_wait: seconds(spec.lock_wait.as_ref()),
        }
    }
}

/// What it did.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    snapshots: Vec<Copied<'a>>,
    left_out: u64,
    copied: u64,
    present: u64,
    incomplete: u64,
    damaged: u64,
    files: u64,
    read_bytes: u64,
    added_bytes: u64,
    stored_bytes: u64,
    warning_count: u64,
    warnings: Vec<Warning<'a>>,
    dry_run: bool,
}

#[derive(Serialize)]
struct Copied<'a> {
    source: &'a str,
    copy: Option<&'a str>,
    seq: Option<u64>,
    state: &'a str,
    other_tags: bool,
}

impl<'a> From<&'a v1::CopyReport> for Report<'a> {
    fn from(report: &'a v1::CopyReport) -> Self {
        let copied = |copy: &'a v1::CopiedSnapshot| Copied {
            source: &copy.source,
            copy: filled(&copy.copy),
            seq: (copy.seq > 0).then_some(copy.seq),
            state: &copy.state,
            other_tags: copy.other_tags,
        };
        Self {
            snapshots: report.snapshots.iter().map(copied).collect(),
            left_out: report.left_out,
            copied: report.copied,
            present: report.present,
            incomplete: report.incomplete,
            damaged: report.damaged,
            files: report.files,
            read_bytes: report.read_bytes,
            added_bytes: report.added_bytes,
            stored_bytes: report.stored_bytes,
            warning_count: report.warning_count,
            warnings: report.warnings.iter().map(Warning::from).collect(),
            dry_run: report.dry_run,
        }
    }
}
