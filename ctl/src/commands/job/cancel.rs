//! `job cancel`: asks a job to stop at the next safe point. That it was asked is success; how it ends is another matter.

use cloudstic_proto::v1::CancelJobRequest;

use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, escape, json};
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::JobId) -> Result<Exit, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let job = daemon.jobs().cancel(CancelJobRequest { id: args.id }).await?.into_inner();
    if out.json {
        out.document(&json::Job::from(&job))?;
    } else if !out.quiet {
        let id = escape::text(&job.id);
        if wait::ended(job.state()) {
            out.text(format_args!("job {id} {}\n", json::state(job.state())))?;
        } else {
            out.text(format_args!("job {id} was asked to stop\n"))?;
        }
    }
    Ok(Exit::Success)
}
