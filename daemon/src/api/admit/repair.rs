//! Repairs, which change what others rely on: for root and the daemon's own user.

use cloudstic_engine::lock::Kind;
use cloudstic_proto::v1;
use v1::job_spec::Operation;

use super::{denied, repository, submission};
use crate::access::{Access, Caller};
use crate::config::Config;
use crate::failure::Failure;
use crate::supervisor::{Needs, Submission};

pub(super) fn admit(
    spec: v1::RepairSpec,
    caller: &Caller,
    access: &Access,
    config: &Config,
) -> Result<Submission, Failure> {
    let repository = repository(&spec.repository, config)?;
    if !access.is_master(caller) {
        return Err(denied("only root and the daemon's own user may repair a repository"));
    }
    let lock = Some(if spec.dry_run { Kind::Shared } else { Kind::Exclusive });
    Ok(submission(Operation::Repair(spec), Needs { repository, lock, ..Needs::default() }, caller))
}
