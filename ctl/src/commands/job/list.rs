//! `job list`: the newest jobs.

use cloudstic_proto::v1::ListJobsRequest;

use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, json};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::JobList) -> Result<Exit, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let request = ListJobsRequest { limit: args.limit, repository: args.repository.unwrap_or_default() };
    let jobs = daemon.jobs().list(request).await?.into_inner().jobs;
    if out.json {
        out.document(&json::Jobs::from(jobs.as_slice()))?;
    } else if !jobs.is_empty() {
        out.text(super::table(&jobs))?;
    } else if !out.quiet {
        out.text("no jobs\n")?;
    }
    Ok(Exit::Success)
}
