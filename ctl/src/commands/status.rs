//! `status`: the daemon, its active jobs, and each repository's last backup.

use std::fmt::Write;

use chrono::Utc;
use cloudstic_proto::v1::{Job, StatusRequest, StatusResponse};

use crate::cli::Global;
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::table::{Align, Table};
use crate::output::{Output, escape, human, json};

pub(crate) async fn run(global: &Global, out: &mut Output) -> Result<Exit, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let status = daemon.daemon().status(StatusRequest {}).await?.into_inner();
    if out.json {
        out.document(&json::Status::from(&status))?;
    } else {
        out.text(text(&status))?;
    }
    Ok(Exit::Success)
}

fn text(status: &StatusResponse) -> String {
    let mut text = format!("cloudsticd {}, process {}", status.version, status.pid);
    if let Some(started) = human::utc(status.started_at.as_ref()) {
        let up = (Utc::now() - started).as_seconds_f64().max(0.0);
        let _ = write!(text, ", up {}", human::duration(up));
    }
    let mut text = escape::text(&text).into_owned();
    let _ = write!(text, "\nconfiguration: {}\n\n", escape::text(&status.config_path));
    text += &active(&status.active_jobs);
    text.push('\n');
    text += &repositories(status);
    text
}

fn active(jobs: &[Job]) -> String {
    if jobs.is_empty() {
        return "no active jobs\n".to_owned();
    }
    super::job::table(jobs).to_string()
}

fn repositories(status: &StatusResponse) -> String {
    if status.repositories.is_empty() {
        return "no repositories are configured\n".to_owned();
    }
    let mut table = Table::new([
        ("REPOSITORY", Align::Left),
        ("STORE", Align::Left),
        ("LAST BACKUP", Align::Left),
        ("OUTCOME", Align::Left),
    ]);
    for repository in &status.repositories {
        let last = repository.last_backup.as_ref();
        table.row([
            repository.name.clone(),
            repository.store.clone(),
            human::time(last.and_then(|job| job.ended_at.as_ref())),
            last.map_or(human::NOTHING, |job| json::state(job.state())).to_owned(),
        ]);
    }
    table.to_string()
}
