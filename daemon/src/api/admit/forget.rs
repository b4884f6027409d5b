//! Forgetting snapshots.

use cloudstic_engine::lock::Kind;
use cloudstic_proto::v1;
use v1::job_spec::Operation;

use super::prune::check_waste;
use super::{check_snapshot, denied, repository, submission};
use crate::access::{Access, Caller};
use crate::config::Config;
use crate::failure::Failure;
use crate::operations::parse_policy;
use crate::supervisor::{Needs, Submission};

pub(super) fn admit(
    spec: v1::ForgetSpec,
    caller: &Caller,
    access: &Access,
    config: &Config,
) -> Result<Submission, Failure> {
    let repository = repository(&spec.repository, config)?;
    if !spec.dry_run && !access.is_master(caller) {
        return Err(denied(
            "only root and the daemon's own user may forget snapshots, for they are everybody's backups; a dry run \
             shows what would go",
        ));
    }
    if spec.prune && !access.is_master(caller) {
        return Err(denied("only root and the daemon's own user may prune, or see what a prune would do"));
    }
    let is_of_prune = spec.max_waste_percent.is_some() || spec.max_repack_bytes.is_some() || spec.despite_unknown;
    if is_of_prune && !spec.prune {
        return Err(Failure::bad_request("how to prune goes with a prune: ask for one, too"));
    }
    check_waste(spec.max_waste_percent)?;
    match &spec.policy {
        Some(_) if !spec.snapshots.is_empty() => {
            return Err(Failure::bad_request("name snapshots, or give a policy of what to keep, not both"));
        }
        Some(policy) if parse_policy(policy)?.is_empty() => {
            return Err(Failure::bad_request("a policy that keeps nothing is refused: say how many snapshots to keep"));
        }
        Some(_) => {}
        None if spec.snapshots.is_empty() => {
            return Err(Failure::bad_request("name the snapshots to forget, or say what to keep"));
        }
        None if spec.filter.is_some() => {
            return Err(Failure::bad_request("a filter goes with a policy, not with names of snapshots"));
        }
        None => spec.snapshots.iter().try_for_each(|name| check_snapshot(name))?,
    }
    let lock = match (spec.dry_run, spec.prune) {
        (false, _) => Some(Kind::Exclusive),
        (true, true) => Some(Kind::Shared),
        (true, false) => None,
    };
    let needs = Needs { repository, lock, ..Needs::default() };
    Ok(submission(Operation::Forget(spec), needs, caller))
}
