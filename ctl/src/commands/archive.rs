//! `restore --zip`: writes the daemon's archive stream with the caller's own rights.
//!
//! The invariant: success means that the daemon's closing report came. Without it a file does not appear, and standard
//! output ends with an error, so that a pipeline can tell half an archive from a whole one.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use cloudstic_proto::v1::archive_part::Part;
use cloudstic_proto::v1::{ArchivePart, ArchiveSpec, JobEvent, RestoreReport, WatchJobRequest};
use tonic::Streaming;

use super::sink::Sink;
use crate::cli::Global;
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, human, json, report};
use crate::progress::Display;
use crate::signals::Interrupts;

pub(crate) async fn run(
    global: &Global,
    out: &mut Output,
    spec: ArchiveSpec,
    file: &Path,
    replace: bool,
) -> Result<Exit, Error> {
    let to_stdout = file == Path::new("-");
    if to_stdout && !spec.dry_run && io::stdout().is_terminal() {
        return Err(Error::Arguments("an archive is no text: redirect standard output, or name a file".to_owned()));
    }
    let mut interrupts = Interrupts::listen()?;
    let sink = match (spec.dry_run, to_stdout) {
        (true, _) => None,
        (false, true) => Some(Sink::stdout()?),
        (false, false) => Some(Sink::file(file, replace)?),
    };
    let mut display = Display::new(global);
    let transferred = tokio::select! {
        transferred = transfer(global, spec, sink, &mut display) => transferred,
        // Dropping the stream is what cancels the job.
        () = interrupts.next() => Err(Error::Interrupted("the archive is not complete".to_owned())),
    };
    display.finish();
    let done = transferred?;
    tell(out, &done, if done.report.dry_run { None } else { Some(file) }, to_stdout)
}

/// A complete archive.
struct Done {
    job_id: String,
    bytes: u64,
    report: RestoreReport,
}

async fn transfer(
    global: &Global,
    spec: ArchiveSpec,
    sink: Option<Sink>,
    display: &mut Display,
) -> Result<Done, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let mut parts = daemon.repositories().restore_archive(spec).await?.into_inner();
    let mut done = Done { job_id: String::new(), bytes: 0, report: RestoreReport::default() };
    let received = receive(&daemon, &mut parts, sink.as_ref(), display, &mut done.job_id).await;
    let complete = matches!(received, Ok(Some(_)));
    if let Some(sink) = sink {
        // What kept the writer from going on is the reason, not the stream that was given up for it.
        done.bytes = sink.finish(complete).await?;
    }
    done.report = received?.ok_or(Error::Incomplete("the archive"))?;
    Ok(done)
}

/// Takes parts until the stream ends; the report is there only if the archive is complete.
async fn receive(
    daemon: &Daemon,
    parts: &mut Streaming<ArchivePart>,
    sink: Option<&Sink>,
    display: &mut Display,
    job_id: &mut String,
) -> Result<Option<RestoreReport>, Error> {
    let mut events = None;
    let mut report = None;
    loop {
        tokio::select! {
            part = parts.message() => match part?.map(|part| part.part) {
                None => return Ok(report),
                Some(Some(Part::JobId(id))) => {
                    events = watch(daemon, &id, display).await;
                    *job_id = id;
                }
                Some(Some(Part::Data(bytes))) => {
                    if let Some(sink) = sink && !sink.write(bytes).await {
                        return Ok(None);
                    }
                }
                Some(Some(Part::Report(last))) => report = Some(last),
                // A part that this version does not know.
                Some(None) => {}
            },
            event = next(&mut events) => match event {
                Some(job) => display.update(&job),
                None => events = None,
            },
        }
    }
}

/// The job's progress, if somebody looks. Not seeing it is no reason to fail.
async fn watch(daemon: &Daemon, id: &str, display: &Display) -> Option<Streaming<JobEvent>> {
    if matches!(display, Display::None) {
        return None;
    }
    let request = WatchJobRequest { id: id.to_owned() };
    daemon.jobs().watch(request).await.ok().map(tonic::Response::into_inner)
}

/// The next event; `None` at the end, and never anything without a stream.
async fn next(events: &mut Option<Streaming<JobEvent>>) -> Option<cloudstic_proto::v1::Job> {
    match events {
        Some(events) => events.message().await.ok().flatten().and_then(|event| event.job),
        None => std::future::pending().await,
    }
}

fn tell(out: &mut Output, done: &Done, file: Option<&Path>, to_stdout: bool) -> Result<Exit, Error> {
    let report = &done.report;
    let exit = if report.warning_count > 0 { Exit::Partial } else { Exit::Success };
    if out.json {
        let document = json::Archive::new(&done.job_id, file, done.bytes, report);
        if to_stdout {
            // Standard output is the archive, so the document goes to the other stream.
            let text = serde_json::to_string(&document).unwrap_or_default();
            let _ = writeln!(io::stderr().lock(), "{text}");
            return Ok(exit);
        }
        return out.last(exit, |out| out.document(&document));
    }
    if !out.quiet {
        let mut text = report::restore(report);
        if let Some(file) = file.filter(|_| !to_stdout) {
            text += &format!("archive {}: {}\n", file.display(), human::size(done.bytes));
        }
        if to_stdout {
            text.lines().for_each(|line| out.note(line));
        } else {
            out.last(exit, |out| out.text(text))?;
        }
    }
    out.warnings(&report.warnings);
    let more = report.warning_count.saturating_sub(report.warnings.len() as u64);
    if more > 0 {
        out.note(format!("warning: and {more} more: see `cloudsticctl job logs {}`", done.job_id));
    }
    if exit == Exit::Partial {
        out.note(report::partial(report.warning_count));
    }
    Ok(exit)
}
