//! Prunes.

use cloudstic_engine::lock::Kind;
use cloudstic_proto::v1;
use v1::job_spec::Operation;

use super::{denied, repository, submission};
use crate::access::{Access, Caller};
use crate::config::Config;
use crate::failure::Failure;
use crate::supervisor::{Needs, Submission};

pub(super) fn admit(
    spec: v1::PruneSpec,
    caller: &Caller,
    access: &Access,
    config: &Config,
) -> Result<Submission, Failure> {
    if !access.is_master(caller) {
        return Err(denied("only root and the daemon's own user may prune a repository"));
    }
    check_waste(spec.max_waste_percent)?;
    let repository = repository(&spec.repository, config)?;
    // What a dry run reads must not be deleted meanwhile; others may write.
    let lock = if spec.dry_run { Kind::Shared } else { Kind::Exclusive };
    let needs = Needs { repository, lock: Some(lock), ..Needs::default() };
    Ok(submission(Operation::Prune(spec), needs, caller))
}

/// Whether so much waste is a percentage.
pub(super) fn check_waste(percent: Option<u32>) -> Result<(), Failure> {
    match percent {
        Some(101..) => Err(Failure::bad_request("the waste that a pack may have is a percentage, from 0 to 100")),
        _ => Ok(()),
    }
}
