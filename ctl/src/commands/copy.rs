//! `copy`: a job that takes snapshots to another repository.

use cloudstic_proto::v1::{CopySpec, JobSpec, job_spec::Operation};

use super::filter::snapshot_filter;
use crate::cli::{self, Global};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Copy) -> Result<Exit, Error> {
    let spec = CopySpec {
        from: args.from,
        to: args.to,
        snapshots: args.snapshots,
        filter: snapshot_filter(args.filter)?,
        partial: args.partial,
        dry_run: args.dry_run,
        lock_wait: args.lock_wait.wait(),
    };
    wait::submit(global, out, JobSpec { operation: Some(Operation::Copy(spec)) }, args.waiting.wait()).await
}
