//! `stats`: a job that counts what snapshots hold and take.

use cloudstic_proto::v1::{JobSpec, StatsSpec, job_spec::Operation};

use super::filter::snapshot_filter;
use crate::cli::{self, Global};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Stats) -> Result<Exit, Error> {
    let spec = StatsSpec {
        repository: args.repository,
        snapshots: args.snapshots,
        filter: snapshot_filter(args.filter)?,
        lock_wait: args.lock_wait.wait(),
    };
    wait::submit(global, out, JobSpec { operation: Some(Operation::Stats(spec)) }, args.waiting.wait()).await
}
