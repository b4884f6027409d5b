//! Changing tags.

use cloudstic_engine::lock::Kind;
use cloudstic_proto::v1;
use v1::job_spec::Operation;

use super::{check_snapshot, denied, repository, submission};
use crate::access::{Access, Caller};
use crate::config::Config;
use crate::failure::Failure;
use crate::operations::parse_change;
use crate::supervisor::{Needs, Submission};

pub(super) fn admit(
    spec: v1::TagSpec,
    caller: &Caller,
    access: &Access,
    config: &Config,
) -> Result<Submission, Failure> {
    let repository = repository(&spec.repository, config)?;
    if !spec.dry_run && !access.is_master(caller) {
        return Err(denied(
            "only root and the daemon's own user may change tags, for a policy may keep snapshots by them",
        ));
    }
    parse_change(&spec)?;
    let asks = |filter: &v1::SnapshotFilter| *filter != v1::SnapshotFilter::default();
    match (&spec.filter, spec.snapshots.is_empty()) {
        (None, false) => spec.snapshots.iter().try_for_each(|name| check_snapshot(name))?,
        (Some(filter), true) if asks(filter) => {}
        (Some(_), false) => return Err(Failure::bad_request("name snapshots, or give a filter, not both")),
        _ => return Err(Failure::bad_request("name the snapshots to tag, or say which by a filter")),
    }
    let lock = (!spec.dry_run).then_some(Kind::Exclusive);
    let needs = Needs { repository, lock, ..Needs::default() };
    Ok(submission(Operation::Tag(spec), needs, caller))
}
