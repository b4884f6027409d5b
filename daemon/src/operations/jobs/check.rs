//! `check`.

use cloudstic_engine::check::{self, CheckReport, CheckRequest, Fault, Harm, ReadData, Subset};
use cloudstic_engine::lock::Kind;
use cloudstic_proto::v1;
use v1::job::Report;

use crate::failure::Failure;
use crate::operations::Engine;
use crate::operations::leases::Wanted;
use crate::supervisor::{JobContext, JobError};

impl Engine {
    pub(super) async fn check(&self, spec: v1::CheckSpec, context: JobContext) -> Result<Report, JobError> {
        let name = &spec.repository;
        let repository = self.open_for(name, &context).await?;
        // A name may be given to another repository, and what was read of this one says nothing of that.
        let fingerprint = repository.fingerprint();
        let data = if spec.read_data {
            ReadData::All
        } else if spec.read_data_subset.is_empty() {
            ReadData::No
        } else {
            let subset = spec.read_data_subset.parse::<Subset>();
            let subset = subset.map_err(|why| Failure::bad_request(why.to_string()))?;
            ReadData::Part { subset, from: context.state.next_read(&fingerprint).await.map_err(Failure::from)? }
        };
        let snapshot = Some(spec.snapshot.clone()).filter(|name| !name.is_empty());
        let all = snapshot.is_none();
        let request = |lease| CheckRequest { snapshot, data, lease };
        let work = |lease, cancel| check::check(repository.clone(), request(lease), context.progress.clone(), cancel);
        let wanted = Wanted {
            name,
            repository: &repository,
            kind: Kind::Shared,
            operation: "check",
            wait: spec.lock_wait,
            only_reads: true,
        };
        let report = self.under_lock(wanted, &context, work).await?;
        if let Some(next) = report.data.and_then(|data| data.next).filter(|_| all) {
            context.state.read_up_to(&fingerprint, next).await.map_err(Failure::from)?;
        }
        let full = all && report.data.is_some_and(|data| data.complete) && report.fault_count == 0;
        let verified = report.data.map_or(0, |data| data.bytes);
        self.metrics.checked(name, report.fault_count, verified);
        if full {
            let now = cloudstic_engine::clock::system().now();
            self.metrics.checked_whole(name, &fingerprint, now);
            context.state.checked_whole(&fingerprint, now).await.map_err(Failure::from)?;
        }
        Ok(Report::Check(message(report)))
    }
}

fn message(report: CheckReport) -> v1::CheckReport {
    v1::CheckReport {
        snapshots: report.snapshots,
        objects: report.objects,
        unreferenced_objects: report.unreferenced,
        unneeded_packs: report.unneeded_packs,
        packs: report.packs,
        data: report.data.map(|data| v1::DataRead {
            contents: data.contents,
            bytes: data.bytes,
            packs: data.packs,
            complete: data.complete,
        }),
        faults: report.faults.iter().map(fault).collect(),
        fault_count: report.fault_count,
        remarks: report.remarks.into_iter().map(|it| v1::Remark { object: it.object, text: it.text }).collect(),
        remark_count: report.remark_count,
        damaged_snapshots: report.damaged_snapshots,
    }
}

/// As the API has it.
pub(super) fn fault(fault: &Fault) -> v1::Fault {
    v1::Fault {
        object: fault.object.clone(),
        pack: fault.pack.clone().unwrap_or_default(),
        kind: fault.problem.code().to_owned(),
        problem: fault.problem.to_string(),
        lost_objects: fault.lost,
        harm: fault.harm.iter().map(harm).collect(),
        snapshots: fault.snapshots,
    }
}

fn harm(harm: &Harm) -> v1::Harm {
    v1::Harm {
        snapshot: harm.snapshot.to_string(),
        paths: harm.paths.clone(),
        path_count: harm.path_count,
        unknown: harm.unknown,
    }
}
