//! `prune`: a job that removes what no snapshot needs.

use cloudstic_proto::v1::{JobSpec, PruneSpec, job_spec::Operation};

use crate::cli::{self, Global};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Prune) -> Result<Exit, Error> {
    let spec = PruneSpec {
        repository: args.repository,
        dry_run: args.dry_run,
        max_waste_percent: args.pruning.max_waste,
        max_repack_bytes: args.pruning.max_repack_size,
        despite_unknown: args.pruning.despite_unknown_packs,
        lock_wait: args.lock_wait.wait(),
    };
    wait::submit(global, out, JobSpec { operation: Some(Operation::Prune(spec)) }, args.waiting.wait()).await
}
