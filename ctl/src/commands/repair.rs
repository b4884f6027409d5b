//! `repair`: a job that puts a repository in order.

use cloudstic_proto::v1::{JobSpec, RepairSpec, job_spec::Operation};

use crate::cli::{self, Global};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Repair) -> Result<Exit, Error> {
    let spec = RepairSpec {
        repository: args.repository,
        dry_run: args.dry_run,
        read_data: args.read_data,
        forget_damaged: args.forget_damaged,
        lock_wait: args.lock_wait.wait(),
    };
    wait::submit(global, out, JobSpec { operation: Some(Operation::Repair(spec)) }, args.waiting.wait()).await
}
