//! Where text goes: data to standard output, everything else to standard error.
//!
//! The invariant: in JSON mode standard output holds only JSON documents, and standard error only JSON errors. Text
//! that came from outside goes through [`escape`] before it reaches a terminal.

pub(crate) mod escape;
pub(crate) mod human;
pub(crate) mod json;
pub(crate) mod pretty;
pub(crate) mod report;
pub(crate) mod table;

use std::fmt::Display;
use std::io::{self, BufWriter, Stdout, Write};

use cloudstic_proto::v1::Warning;
use serde::Serialize;

use crate::cli::Global;
use crate::error::{self, Error};
use crate::exit::Exit;

/// The two standard streams, and how the user wants to be told things.
pub(crate) struct Output {
    /// JSON instead of text.
    pub(crate) json: bool,
    /// No summaries.
    pub(crate) quiet: bool,
    stdout: BufWriter<Stdout>,
}

impl Output {
    /// Output as the command line wants it.
    pub(crate) fn new(global: &Global) -> Self {
        Self { json: global.json, quiet: global.quiet, stdout: BufWriter::new(io::stdout()) }
    }

    /// Data as it is.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stdout.write_all(bytes).map_err(Error::Output)
    }

    /// Text that is data; it brings its own newline.
    pub(crate) fn text(&mut self, text: impl Display) -> Result<(), Error> {
        write!(self.stdout, "{text}").map_err(Error::Output)
    }

    /// One JSON document on one line.
    pub(crate) fn document(&mut self, document: &impl Serialize) -> Result<(), Error> {
        serde_json::to_writer(&mut self.stdout, document).map_err(|error| Error::Output(error.into()))?;
        self.bytes(b"\n")
    }

    /// Makes what was written visible; streaming commands do that after each message.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.stdout.flush().map_err(Error::Output)
    }

    /// The last words of a command whose exit code is decided: if nobody reads them, the code stands.
    pub(crate) fn last(
        &mut self,
        exit: Exit,
        write: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<Exit, Error> {
        match write(self).and_then(|()| self.flush()) {
            Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(exit),
            result => result.map(|()| exit),
        }
    }

    /// A line on standard error; silent in JSON mode.
    pub(crate) fn note(&self, text: impl Display) {
        if !self.json {
            stderr(&format!("cloudsticctl: {}", escape::text(&text.to_string())));
        }
    }

    /// What was left out, on standard error; silent in JSON mode, where it is part of the data.
    pub(crate) fn warnings(&self, warnings: &[Warning]) {
        for warning in warnings {
            self.note(report::warning(warning));
        }
    }

    /// The error that ends the command.
    pub(crate) fn error(&self, error: &Error) {
        tell(error, self.json);
    }

    /// The same for a failure that a job reports.
    pub(crate) fn failure(&self, reason: &str, message: &str) {
        stderr(&error::line(reason, message, self.json));
    }
}

/// Says why the command failed, for whoever has no output at hand.
pub(crate) fn tell(error: &Error, as_json: bool) {
    stderr(&error::line(error.reason(), &error.to_string(), as_json));
}

/// There is nobody left to tell if standard error cannot be written.
fn stderr(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
