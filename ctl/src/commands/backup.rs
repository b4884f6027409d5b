//! `backup`: a job that writes a snapshot.

use std::path::Path;

use cloudstic_proto::v1::{BackupSpec, JobSpec, job_spec::Operation};

use super::path;
use crate::cli::{self, Global};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Backup) -> Result<Exit, Error> {
    let waits = args.waiting.wait();
    let spec = JobSpec { operation: Some(Operation::Backup(spec(args)?)) };
    wait::submit(global, out, spec, waits).await
}

fn spec(args: cli::Backup) -> Result<BackupSpec, Error> {
    let (profile, repository, path) = match args.repository {
        None => (path::text(args.what)?, String::new(), Vec::new()),
        Some(repository) => (String::new(), repository, path::absolute(Path::new(&args.what))?),
    };
    Ok(BackupSpec {
        profile,
        repository,
        path,
        tags: args.tag,
        excludes: args.exclude,
        dry_run: args.dry_run,
        read_all: args.read_all,
        skip_if_busy: args.skip_if_busy,
        lock_wait: args.lock_wait.wait(),
    })
}
