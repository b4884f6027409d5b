//! Checks.

use cloudstic_proto::v1;
use serde::Serialize;

use super::seconds;
use crate::output::escape::undone;
use crate::output::json::{Paths, filled};

/// What was asked for.
#[derive(Serialize)]
pub(super) struct Spec<'a> {
    repository: &'a str,
    snapshot: Option<&'a str>,
    read_data: bool,
    read_data_subset: Option<&'a str>,
    lock_wait: Option<f64>,
}

impl<'a> From<&'a v1::CheckSpec> for Spec<'a> {
    fn from(spec: &'a v1::CheckSpec) -> Self {
        Self {
            repository: &spec.repository,
            snapshot: filled(&spec.snapshot),
            read_data: spec.read_data,
            read_data_subset: filled(&spec.read_data_subset),
            lock_wait: seconds(spec.lock_wait.as_ref()),
        }
    }
}

/// What it found.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    snapshots: u64,
    objects: u64,
    unreferenced_objects: u64,
    unneeded_packs: u64,
    packs: u64,
    data: Option<DataRead>,
    fault_count: u64,
    faults: Vec<Fault<'a>>,
    remark_count: u64,
    remarks: Vec<Remark<'a>>,
    damaged_snapshots: u64,
}

impl<'a> From<&'a v1::CheckReport> for Report<'a> {
    fn from(report: &'a v1::CheckReport) -> Self {
        Self {
            snapshots: report.snapshots,
            objects: report.objects,
            unreferenced_objects: report.unreferenced_objects,
            unneeded_packs: report.unneeded_packs,
            packs: report.packs,
            data: report.data.as_ref().map(DataRead::from),
            fault_count: report.fault_count,
            faults: report.faults.iter().map(Fault::from).collect(),
            remark_count: report.remark_count,
            remarks: report.remarks.iter().map(|it| Remark { object: &it.object, text: &it.text }).collect(),
            damaged_snapshots: report.damaged_snapshots,
        }
    }
}

#[derive(Serialize)]
struct DataRead {
    contents: u64,
    bytes: u64,
    packs: u64,
    complete: bool,
}

impl From<&v1::DataRead> for DataRead {
    fn from(data: &v1::DataRead) -> Self {
        Self { contents: data.contents, bytes: data.bytes, packs: data.packs, complete: data.complete }
    }
}

/// One thing that is wrong.
#[derive(Serialize)]
pub(super) struct Fault<'a> {
    object: &'a str,
    pack: Option<&'a str>,
    kind: &'a str,
    problem: &'a str,
    lost_objects: u64,
    snapshots: u64,
    harm: Vec<Harm<'a>>,
}

impl<'a> From<&'a v1::Fault> for Fault<'a> {
    fn from(fault: &'a v1::Fault) -> Self {
        Self {
            object: &fault.object,
            pack: filled(&fault.pack),
            kind: &fault.kind,
            problem: &fault.problem,
            lost_objects: fault.lost_objects,
            snapshots: fault.snapshots,
            harm: fault.harm.iter().map(Harm::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct Harm<'a> {
    snapshot: &'a str,
    path_count: u64,
    #[serde(flatten)]
    paths: Paths<'a>,
    unknown: bool,
}

impl<'a> From<&'a v1::Harm> for Harm<'a> {
    fn from(harm: &'a v1::Harm) -> Self {
        let paths = Paths::new(harm.paths.iter().map(|path| undone(path)).collect());
        Self { snapshot: &harm.snapshot, path_count: harm.path_count, paths, unknown: harm.unknown }
    }
}

#[derive(Serialize)]
struct Remark<'a> {
    object: &'a str,
    text: &'a str,
}
