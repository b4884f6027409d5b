//! `dump`: the bytes of one file.
//!
//! The invariant: success means that the daemon's closing message came. Without it FILE does not appear, and standard
//! output ends with an error. Whoever reads standard output may leave when it has enough.

use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use cloudstic_proto::v1::file_part::Part;
use cloudstic_proto::v1::{FileEnd, FileHead, ReadFileRequest};

use super::sink::Sink;
use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, json, report};
use crate::signals::Interrupts;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Dump) -> Result<Exit, Error> {
    let request = ReadFileRequest {
        repository: args.repository,
        snapshot: args.snapshot,
        path: args.path.into_vec(),
        offset: args.offset,
        length: args.length,
    };
    let file = args.output.filter(|file| file != Path::new("-"));
    let mut interrupts = Interrupts::listen()?;
    let path = request.path.clone();
    let transferred = tokio::select! {
        transferred = transfer(global, request, file.as_deref(), args.force) => transferred,
        () = interrupts.next() => Err(Error::Interrupted("the file is not complete".to_owned())),
    };
    let done = transferred.map_err(|error| of_stdout(error, file.as_ref()))?;
    tell(out, &path, &done, file.as_deref())
}

/// A pipe that nobody reads is the end of it, not a failure: see `main`.
fn of_stdout(error: Error, file: Option<&PathBuf>) -> Error {
    match error {
        Error::File { source, .. } if file.is_none() => Error::Output(source),
        error => error,
    }
}

/// All that was asked for.
struct Done {
    head: FileHead,
    end: FileEnd,
    bytes: u64,
}

async fn transfer(
    global: &Global,
    request: ReadFileRequest,
    file: Option<&Path>,
    replace: bool,
) -> Result<Done, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let mut parts = daemon.repositories().read_file(request).await?.into_inner();
    let sink = match file {
        Some(file) => Sink::file(file, replace)?,
        None => Sink::stdout()?,
    };
    let mut head = FileHead::default();
    let received: Result<_, Error> = loop {
        match parts.message().await.map(|part| part.map(|part| part.part)) {
            Err(status) => break Err(status.into()),
            Ok(None) => break Ok(None),
            Ok(Some(Some(Part::Head(first)))) => head = first,
            Ok(Some(Some(Part::Data(bytes)))) => {
                if !sink.write(bytes).await {
                    break Ok(None);
                }
            }
            Ok(Some(Some(Part::End(last)))) => break Ok(Some(last)),
            // A part that this version does not know.
            Ok(Some(None)) => {}
        }
    };
    // What kept the writer from going on is the reason, not the stream that was given up for it.
    let bytes = sink.finish(matches!(received, Ok(Some(_)))).await?;
    let end = received?.ok_or(Error::Incomplete("the file"))?;
    Ok(Done { head, end, bytes })
}

fn tell(out: &mut Output, path: &[u8], done: &Done, file: Option<&Path>) -> Result<Exit, Error> {
    let warnings = &done.end.warnings;
    let exit = if warnings.is_empty() { Exit::Success } else { Exit::Partial };
    if out.json {
        let document = json::Dump::new(path, &done.head, done.bytes, file, warnings);
        if file.is_none() {
            // Standard output is the file, so the document goes to the other stream.
            let text = serde_json::to_string(&document).unwrap_or_default();
            let _ = writeln!(io::stderr().lock(), "{text}");
            return Ok(exit);
        }
        return out.last(exit, |out| out.document(&document));
    }
    out.warnings(warnings);
    if exit == Exit::Partial {
        out.note(report::partial(warnings.len() as u64));
    }
    Ok(exit)
}
