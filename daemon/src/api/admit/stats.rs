//! Stats: whoever may see the snapshots may know how large they are.

use cloudstic_engine::lock::Kind;
use cloudstic_proto::v1;
use v1::job_spec::Operation;

use super::{check_snapshot, not_both, repository, submission};
use crate::access::Caller;
use crate::config::Config;
use crate::failure::Failure;
use crate::supervisor::{Needs, Submission};

pub(super) fn admit(spec: v1::StatsSpec, caller: &Caller, config: &Config) -> Result<Submission, Failure> {
    let repository = repository(&spec.repository, config)?;
    spec.snapshots.iter().try_for_each(|name| check_snapshot(name))?;
    not_both(&spec.snapshots, spec.filter.as_ref())?;
    let needs = Needs { repository, lock: Some(Kind::Shared), ..Needs::default() };
    Ok(submission(Operation::Stats(spec), needs, caller))
}
