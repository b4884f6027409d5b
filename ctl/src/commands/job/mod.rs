//! `job`: looking at jobs, following and cancelling them.

mod cancel;
mod findings;
mod list;
mod logs;
mod show;
mod watch;

use cloudstic_proto::v1::{Job, JobSpec};

pub(crate) use findings::lost_of;

use crate::cli::{self, Global};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::table::{Align, Table};
use crate::output::{Output, human, json};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Job) -> Result<Exit, Error> {
    match args {
        cli::Job::List(args) => list::run(global, out, args).await,
        cli::Job::Show(args) => show::run(global, out, args).await,
        cli::Job::Watch(args) => watch::run(global, out, args).await,
        cli::Job::Cancel(args) => cancel::run(global, out, args).await,
        cli::Job::Logs(args) => logs::run(global, out, args).await,
        cli::Job::Findings(args) => findings::run(global, out, args).await,
    }
}

/// Jobs, one a row.
pub(crate) fn table(jobs: &[Job]) -> Table<7> {
    let mut table = Table::new([
        ("JOB", Align::Left),
        ("OPERATION", Align::Left),
        ("REPOSITORY", Align::Left),
        ("PROFILE", Align::Left),
        ("STATE", Align::Left),
        ("SUBMITTED", Align::Left),
        ("TOOK", Align::Right),
    ]);
    for job in jobs {
        let took = human::seconds_between(job.started_at.as_ref(), job.ended_at.as_ref());
        table.row([
            job.id.clone(),
            job.spec.as_ref().and_then(JobSpec::word).unwrap_or("unknown").to_owned(),
            job.repository.clone(),
            job.profile.clone(),
            json::state(job.state()).to_owned(),
            human::time(job.submitted_at.as_ref()),
            took.map_or_else(|| human::NOTHING.to_owned(), human::duration),
        ]);
    }
    table
}
