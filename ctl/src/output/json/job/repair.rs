//! Repairs.

use cloudstic_proto::v1;
use serde::Serialize;

use super::check::Fault;
use super::seconds;
use crate::output::json::{Path, filled};

/// What was asked for.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    repository: &'a str,
    dry_run: bool,
    read_data: bool,
    forget_damaged: bool,
    lock_wait: Option<f64>,
}

impl<'a> From<&'a v1::RepairSpec> for Spec<'a> {
    fn from(spec: &'a v1::RepairSpec) -> Self {
        Self {
            repository: &spec.repository,
            dry_run: spec.dry_run,
            read_data: spec.read_data,
            forget_damaged: spec.forget_damaged,
            lock_wait: seconds(spec.lock_wait.as_ref()),
        }
    }
}

/// What it did.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    dry_run: bool,
    fault_count: u64,
    catalog: Catalog,
    indexes: bool,
    snapshots: Vec<Snapshot<'a>>,
    removed_objects: u64,
    damaged_objects: u64,
    beyond_repair: Vec<Fault<'a>>,
    left_out: u64,
}

impl<'a> From<&'a v1::RepairReport> for Report<'a> {
    fn from(report: &'a v1::RepairReport) -> Self {
        let catalog = report.catalog.unwrap_or_default();
        Self {
            dry_run: report.dry_run,
            fault_count: report.fault_count,
            catalog: Catalog {
                rewritten: catalog.rewritten,
                dropped: catalog.dropped,
                recovered: catalog.recovered,
                salvaged: catalog.salvaged,
            },
            indexes: report.indexes,
            snapshots: report.snapshots.iter().map(Snapshot::from).collect(),
            removed_objects: report.removed_objects,
            damaged_objects: report.damaged_objects,
            beyond_repair: report.beyond_repair.iter().map(Fault::from).collect(),
            left_out: report.left_out,
        }
    }
}

#[derive(Serialize)]
struct Catalog {
    rewritten: bool,
    dropped: u64,
    recovered: u64,
    salvaged: u64,
}

#[derive(Serialize)]
struct Snapshot<'a> {
    old: &'a str,
    new: Option<&'a str>,
    kept: u64,
    lost_count: u64,
    lost: Vec<Lost<'a>>,
    unknown: bool,
    remade_folders: u64,
    removed: bool,
    problem: Option<&'a str>,
}

impl<'a> From<&'a v1::SnapshotRepair> for Snapshot<'a> {
    fn from(snapshot: &'a v1::SnapshotRepair) -> Self {
        Self {
            old: &snapshot.old,
            new: filled(&snapshot.new),
            kept: snapshot.kept,
            lost_count: snapshot.lost_count,
            lost: snapshot.lost.iter().map(Lost::from).collect(),
            unknown: snapshot.unknown,
            remade_folders: snapshot.remade_folders,
            removed: snapshot.removed,
            problem: filled(&snapshot.problem),
        }
    }
}

#[derive(Serialize)]
struct Lost<'a> {
    #[serde(flatten)]
    path: Path<'a>,
    object: &'a str,
}

impl<'a> From<&'a v1::LostPath> for Lost<'a> {
    fn from(lost: &'a v1::LostPath) -> Self {
        Self { path: Path::new(Some(&lost.path)), object: &lost.object }
    }
}
