//! `job logs`: what a job logged, line by line as it comes.

use cloudstic_proto::v1::{JobLogsRequest, LogLine};

use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, escape, human, json};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::JobLogs) -> Result<Exit, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let request = JobLogsRequest { id: args.id, follow: args.follow };
    let mut lines = daemon.jobs().logs(request).await?.into_inner();
    while let Some(line) = lines.message().await? {
        if out.json {
            out.document(&json::LogLine::from(&line))?;
        } else {
            out.text(text(&line))?;
        }
        out.flush()?;
    }
    Ok(Exit::Success)
}

fn text(line: &LogLine) -> String {
    let text = format!("{} {:<7} {}", human::time(line.time.as_ref()), line.level, line.message);
    escape::text(&text).into_owned() + "\n"
}
