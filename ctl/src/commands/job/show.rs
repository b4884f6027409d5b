//! `job show`: one job, as it is now.

use std::fmt::Write;

use cloudstic_proto::v1::{GetJobRequest, Job, JobSpec};

use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, escape, human, json, report};
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::JobId) -> Result<Exit, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let job = daemon.jobs().get(GetJobRequest { id: args.id }).await?.into_inner();
    if out.json {
        out.document(&json::Job::from(&job))?;
    } else {
        out.text(text(&job))?;
    }
    Ok(Exit::Success)
}

fn text(job: &Job) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: &str| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{:<11} {}", format!("{name}:"), escape::text(value));
    };
    field("job", &job.id);
    field("operation", job.spec.as_ref().and_then(JobSpec::word).unwrap_or("unknown"));
    field("repository", &job.repository);
    if !job.profile.is_empty() {
        field("profile", &job.profile);
    }
    field("state", json::state(job.state()));
    field("user", &job.uid.to_string());
    field("submitted", &human::time(job.submitted_at.as_ref()));
    field("started", &human::time(job.started_at.as_ref()));
    field("ended", &human::time(job.ended_at.as_ref()));
    if let Some(failure) = &job.failure {
        field("failure", &format!("{} ({})", failure.message, failure.reason));
    }
    if wait::ended(job.state()) {
        let (warnings, _) = report::warnings(job);
        text.push('\n');
        text += &report::ended(job);
        for warning in warnings {
            let _ = writeln!(text, "{}", escape::text(&report::warning(warning)));
        }
        if let Some(note) = report::shortened(job) {
            let _ = writeln!(text, "{}", escape::text(&note));
        }
    } else if let Some(progress) = &job.progress {
        field("doing", &format!("{} {}", progress.phase, progress.path));
        field("files", &amount(progress.files_done, progress.files_total, |files| files.to_string()));
        field("bytes", &amount(progress.bytes_done, progress.bytes_total, human::size));
    }
    text
}

fn amount(done: u64, total: u64, show: impl Fn(u64) -> String) -> String {
    if total == 0 { show(done) } else { format!("{} of {}", show(done), show(total)) }
}
