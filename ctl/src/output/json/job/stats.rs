//! Stats.

use cloudstic_proto::v1;
use serde::Serialize;

use super::{Filter, seconds};
use crate::output::human::ratio;
use crate::output::json::snapshot::Warning;
use crate::output::json::{Time, filled};

/// What was asked for.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    repository: &'a str,
    snapshots: &'a [String],
    filter: Option<Filter<'a>>,
    lock_wait: Option<f64>,
}

impl<'a> From<&'a v1::StatsSpec> for Spec<'a> {
    fn from(spec: &'a v1::StatsSpec) -> Self {
        Self {
            repository: &spec.repository,
            snapshots: &spec.snapshots,
            filter: spec.filter.as_ref().map(Filter::from),
            lock_wait: seconds(spec.lock_wait.as_ref()),
        }
    }
}

/// What was counted.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    snapshots: Vec<Snapshot<'a>>,
    left_out: u64,
    total: Totals,
    repository: Repository,
    warning_count: u64,
    warnings: Vec<Warning<'a>>,
}

#[derive(Serialize)]
struct Snapshot<'a> {
    r#ref: &'a str,
    seq: u64,
    created: Time<'a>,
    path: Option<&'a str>,
    files: u64,
    folders: u64,
    others: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    unique_bytes: u64,
}

#[derive(Serialize)]
struct Totals {
    files: u64,
    folders: u64,
    others: u64,
    raw_bytes: u64,
    distinct_bytes: u64,
    data_stored_bytes: u64,
    metadata_stored_bytes: u64,
    dedup_ratio: Option<f64>,
    compression_ratio: Option<f64>,
}

#[derive(Serialize)]
struct Repository {
    snapshots: u64,
    packs: u64,
    pack_bytes: u64,
    single_bytes: u64,
    unreferenced_bytes: u64,
    overhead_bytes: u64,
    catalog_bytes: u64,
    index_bytes: u64,
}

impl<'a> From<&'a v1::StatsReport> for Report<'a> {
    fn from(report: &'a v1::StatsReport) -> Self {
        let snapshot = |snapshot: &'a v1::SnapshotStats| Snapshot {
            r#ref: &snapshot.r#ref,
            seq: snapshot.seq,
            created: Time(snapshot.created.as_ref()),
            path: filled(&snapshot.path),
            files: snapshot.files,
            folders: snapshot.folders,
            others: snapshot.others,
            raw_bytes: snapshot.raw_bytes,
            stored_bytes: snapshot.stored_bytes,
            unique_bytes: snapshot.unique_bytes,
        };
        let (total, repository) = (report.total.unwrap_or_default(), report.repository.unwrap_or_default());
        Self {
            snapshots: report.snapshots.iter().map(snapshot).collect(),
            left_out: report.left_out,
            total: Totals {
                files: total.files,
                folders: total.folders,
                others: total.others,
                raw_bytes: total.raw_bytes,
                distinct_bytes: total.distinct_bytes,
                data_stored_bytes: total.data_stored_bytes,
                metadata_stored_bytes: total.metadata_stored_bytes,
                dedup_ratio: ratio(total.raw_bytes, total.distinct_bytes),
                compression_ratio: ratio(total.distinct_bytes, total.data_stored_bytes),
            },
            repository: Repository {
                snapshots: repository.snapshots,
                packs: repository.packs,
                pack_bytes: repository.pack_bytes,
                single_bytes: repository.single_bytes,
                unreferenced_bytes: repository.unreferenced_bytes,
                overhead_bytes: repository.overhead_bytes,
                catalog_bytes: repository.catalog_bytes,
                index_bytes: repository.index_bytes,
            },
            warning_count: report.warning_count,
            warnings: report.warnings.iter().map(Warning::from).collect(),
        }
    }
}
