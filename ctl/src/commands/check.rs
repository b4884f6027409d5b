//! `check`: a job that looks for faults.

use cloudstic_proto::v1::{CheckSpec, JobSpec, job_spec::Operation};

use crate::cli::{self, Global};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Check) -> Result<Exit, Error> {
    if let (Some(_), Some(part)) = (&args.snapshot, &args.read_data_subset)
        && !part.contains('/')
    {
        return Err(Error::Arguments(format!(
            "{part:?} is a part of the whole repository that goes on where the last one ended: of one snapshot, take \
             --read-data, or parts by their numbers, as in --read-data-subset 1/10"
        )));
    }
    let spec = CheckSpec {
        repository: args.repository,
        snapshot: args.snapshot.unwrap_or_default(),
        read_data: args.read_data,
        read_data_subset: args.read_data_subset.unwrap_or_default(),
        lock_wait: args.lock_wait.wait(),
    };
    wait::submit(global, out, JobSpec { operation: Some(Operation::Check(spec)) }, args.waiting.wait()).await
}
