//! `forget`: a job that removes snapshots.

use cloudstic_proto::v1::{ForgetSpec, GroupBy, JobSpec, RetentionPolicy, job_spec::Operation};

use super::filter::snapshot_filter;
use crate::cli::{self, Global};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Forget) -> Result<Exit, Error> {
    let waits = args.waiting.wait();
    let spec = JobSpec { operation: Some(Operation::Forget(spec(args)?)) };
    wait::submit(global, out, spec, waits).await
}

fn spec(args: cli::Forget) -> Result<ForgetSpec, Error> {
    let cli::GroupBy { source, account, path, tags } = args.group_by;
    let policy = RetentionPolicy {
        last: args.keep_last.unwrap_or_default(),
        hourly: args.keep_hourly.unwrap_or_default(),
        daily: args.keep_daily.unwrap_or_default(),
        weekly: args.keep_weekly.unwrap_or_default(),
        monthly: args.keep_monthly.unwrap_or_default(),
        yearly: args.keep_yearly.unwrap_or_default(),
        within: args.keep_within.unwrap_or_default(),
        tags: args.keep_tag,
    };
    let by_policy = args.snapshots.is_empty();
    Ok(ForgetSpec {
        repository: args.repository,
        snapshots: args.snapshots,
        policy: by_policy.then_some(policy),
        filter: snapshot_filter(args.filter)?,
        group_by: Some(GroupBy { source, account, path, tags }),
        remove_last: args.remove_last,
        dry_run: args.dry_run,
        prune: args.prune,
        max_waste_percent: args.pruning.max_waste,
        max_repack_bytes: args.pruning.max_repack_size,
        despite_unknown: args.pruning.despite_unknown_packs,
        lock_wait: args.lock_wait.wait(),
    })
}
