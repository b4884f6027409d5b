//! Following a job to its end, and what that end means for the program.
//!
//! The invariant: a job is only told to have ended when the daemon said so. A lost connection is an error, never an
//! outcome.

use cloudstic_proto::v1::job::Report;
use cloudstic_proto::v1::{CancelJobRequest, Job, JobEvent, JobSpec, JobState, SubmitRequest, WatchJobRequest};
use tonic::{Status, Streaming};

use crate::cli::Global;
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, json, report};
use crate::progress::Display;
use crate::signals::Interrupts;

/// Submits a job, and if wanted stays until it has ended.
///
/// The first interrupt while waiting cancels the job and waits on; the second one leaves at once.
pub(crate) async fn submit(global: &Global, out: &mut Output, spec: JobSpec, wait: bool) -> Result<Exit, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let mut jobs = daemon.jobs();
    let submit = jobs.submit(SubmitRequest { spec: Some(spec) });
    if !wait {
        return submitted(out, &submit.await?.into_inner());
    }
    // Before there is a job, so that there is none that an interrupt leaves behind.
    let mut interrupts = Interrupts::listen()?;
    let job = tokio::select! {
        job = submit => job?.into_inner(),
        () = interrupts.next() => {
            return Err(Error::Interrupted("the daemon had not answered: see `cloudsticctl job list`".to_owned()));
        }
    };
    let mut display = Display::new(global);
    display.update(&job);
    let ended = until_end(&daemon, &job.id, &mut display, &mut interrupts).await;
    display.finish();
    let job = ended?;
    // Also after an interrupt: a job may have come to its end before it was asked to stop.
    let exit = Exit::of_job(&job);
    outcome(out, &job, exit)
}

/// The id alone, for scripts; what to do with it goes to standard error.
fn submitted(out: &mut Output, job: &Job) -> Result<Exit, Error> {
    out.last(Exit::Success, |out| {
        if out.json {
            return out.document(&json::Job::from(job));
        }
        if !out.quiet {
            out.note(format!("{}; follow it with `cloudsticctl job watch {}`", report::one_line(job), job.id));
        }
        out.text(format_args!("{}\n", job.id))
    })
}

/// Watches until the terminal state.
async fn until_end(
    daemon: &Daemon,
    id: &str,
    display: &mut Display,
    interrupts: &mut Interrupts,
) -> Result<Job, Error> {
    let mut watcher = daemon.jobs();
    let watch = watcher.watch(WatchJobRequest { id: id.to_owned() });
    tokio::pin!(watch);
    let mut events = None;
    let mut cancelling = false;
    let mut jobs = daemon.jobs();
    let cancel = jobs.cancel(CancelJobRequest { id: id.to_owned() });
    tokio::pin!(cancel);
    let mut answered = false;
    loop {
        tokio::select! {
            stream = &mut watch, if events.is_none() => events = Some(stream?.into_inner()),
            event = next(&mut events) => {
                let job = event?.and_then(|event| event.job).ok_or_else(|| unfinished(id))?;
                display.update(&job);
                if ended(job.state()) {
                    return Ok(job);
                }
            }
            () = interrupts.next() => {
                if cancelling {
                    return Err(Error::Interrupted(format!("job {id} is still being cancelled")));
                }
                cancelling = true;
                display.say(&format!("cancelling job {id}; interrupt again to leave it alone"));
            }
            answer = &mut cancel, if cancelling && !answered => {
                answered = true;
                answer?;
            }
        }
    }
}

/// The next event; nothing while there is no stream yet.
async fn next(events: &mut Option<Streaming<JobEvent>>) -> Result<Option<JobEvent>, Status> {
    match events {
        Some(events) => events.message().await,
        None => std::future::pending().await,
    }
}

/// The stream of a job's events ended before the job did.
pub(crate) fn unfinished(id: &str) -> Error {
    Error::ConnectionLost(format!("job {id} had not ended"))
}

/// Whether a state is terminal.
pub(crate) const fn ended(state: JobState) -> bool {
    !matches!(state, JobState::Unspecified | JobState::Queued | JobState::Running)
}

/// Tells how a job ended: the summary or document, then what was left out or went wrong.
pub(crate) fn outcome(out: &mut Output, job: &Job, exit: Exit) -> Result<Exit, Error> {
    out.last(exit, |out| {
        if out.json {
            out.document(&json::Job::from(job))
        } else if let (true, Some(Report::Check(report))) = (out.quiet, &job.report) {
            // What was asked for, and no summary.
            out.text(report::check::faults(report))
        } else if out.quiet || (matches!(job.state(), JobState::Failed) && job.report.is_none()) {
            Ok(())
        } else {
            out.text(report::ended(job))
        }
    })?;
    tell(out, job);
    Ok(exit)
}

/// On standard error: warnings, the failure, and plainly that a job is partial or was stopped.
fn tell(out: &Output, job: &Job) {
    let (warnings, count) = report::warnings(job);
    out.warnings(warnings);
    if let Some(note) = report::shortened(job) {
        out.note(note);
    }
    match job.state() {
        JobState::Partial if matches!(job.report, Some(Report::Repair(_))) => out.note(report::repair::PARTIAL),
        JobState::Partial => out.note(report::partial(count)),
        JobState::Cancelled if job.report.is_some() => {
            let message = format!("job {} was cancelled; what it had done by then stays: see its report", job.id);
            out.failure("CANCELLED", &message);
        }
        JobState::Cancelled => out.failure("CANCELLED", &format!("job {} was cancelled", job.id)),
        JobState::Interrupted => out.failure(
            "INTERRUPTED",
            &format!("job {} was interrupted: the daemon stopped before it had ended; start it again", job.id),
        ),
        JobState::Skipped => {
            let reason = job.failure.as_ref().map_or("another job did its work", |failure| &failure.message);
            out.note(format!("warning: job {} was skipped: {reason}", job.id));
        }
        JobState::Failed => match &job.failure {
            Some(failure) => out.failure(&failure.reason, &failure.message),
            None => out.failure("INTERNAL", &format!("job {} failed; see `cloudsticctl job logs {}`", job.id, job.id)),
        },
        _ => {}
    }
}
