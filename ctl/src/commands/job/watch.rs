//! `job watch`: follows a job to its end and exits with its outcome. Interrupting it leaves the job alone.

use cloudstic_proto::v1::WatchJobRequest;

use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, json};
use crate::progress::Display;
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::JobId) -> Result<Exit, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let mut events = daemon.jobs().watch(WatchJobRequest { id: args.id.clone() }).await?.into_inner();
    let mut display = Display::new(global);
    loop {
        let event = events
            .message()
            .await
            .map_err(Error::from)
            .and_then(|event| event.and_then(|event| event.job).ok_or_else(|| wait::unfinished(&args.id)));
        let job = match event {
            Ok(job) => job,
            Err(error) => {
                display.finish();
                return Err(error);
            }
        };
        display.update(&job);
        if wait::ended(job.state()) {
            display.finish();
            return wait::outcome(out, &job, Exit::of_job(&job));
        }
        if out.json {
            out.document(&json::Job::from(&job))?;
            out.flush()?;
        }
    }
}
