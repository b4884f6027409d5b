//! Copies. What they write is the other repository's, and they can fill any: only who has the daemon's rights may.

use cloudstic_engine::lock::Kind;
use cloudstic_proto::v1;
use v1::job_spec::Operation;

use super::{check_snapshot, denied, not_both, repository, submission};
use crate::access::{Access, Caller};
use crate::config::Config;
use crate::failure::Failure;
use crate::supervisor::{Needs, Submission};

pub(super) fn admit(
    spec: v1::CopySpec,
    caller: &Caller,
    access: &Access,
    config: &Config,
) -> Result<Submission, Failure> {
    if !access.is_master(caller) {
        return Err(denied("only root and the daemon's own user may copy snapshots into another repository"));
    }
    let (from, to) = (repository(&spec.from, config)?, repository(&spec.to, config)?);
    if from == to {
        return Err(Failure::bad_request("snapshots are copied from one repository to another: name two"));
    }
    spec.snapshots.iter().try_for_each(|name| check_snapshot(name))?;
    not_both(&spec.snapshots, spec.filter.as_ref())?;
    let lock = if spec.dry_run { None } else { Some(Kind::Shared) };
    let needs = Needs { repository: to, second: Some(from), lock, ..Needs::default() };
    Ok(submission(Operation::Copy(spec), needs, caller))
}
