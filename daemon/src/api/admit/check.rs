//! Checks, which only read: for everybody who may call.

use cloudstic_engine::check::Subset;
use cloudstic_engine::lock::Kind;
use cloudstic_proto::v1;
use v1::job_spec::Operation;

use super::{repository, submission};
use crate::access::Caller;
use crate::config::Config;
use crate::failure::Failure;
use crate::supervisor::{Needs, Submission};

pub(super) fn admit(spec: v1::CheckSpec, caller: &Caller, config: &Config) -> Result<Submission, Failure> {
    let repository = repository(&spec.repository, config)?;
    if !spec.read_data_subset.is_empty() {
        if spec.read_data {
            return Err(Failure::bad_request("read either all data or a part of it"));
        }
        let subset = spec.read_data_subset.parse::<Subset>().map_err(|why| Failure::bad_request(why.to_string()))?;
        if !spec.snapshot.is_empty() && !matches!(subset, Subset::Numbered { .. }) {
            return Err(Failure::bad_request(
                "a part that goes on where the last one ended is one of the whole repository: of one snapshot, read all \
                 data, or parts by their numbers, as in 1/10",
            ));
        }
    }
    let needs = Needs { repository, lock: Some(Kind::Shared), ..Needs::default() };
    Ok(submission(Operation::Check(spec), needs, caller))
}
