//! The user's terminal, for what nobody else may see: recovery words never go into a pipe or a file.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};

use crate::error::Error;

/// Where the user sits.
#[derive(Debug)]
pub(super) enum Terminal {
    /// The terminal of this process, wherever its output goes.
    Own(File),
    /// Standard output, which is a terminal that is not this process's own.
    Output,
}

impl Terminal {
    /// Finds it. `json`: standard output is for a document.
    pub(super) fn find(json: bool) -> Result<Self, Error> {
        match OpenOptions::new().write(true).open("/dev/tty") {
            Ok(own) if own.is_terminal() => Ok(Self::Own(own)),
            _ if !json && io::stdout().is_terminal() => Ok(Self::Output),
            _ => Err(Error::Arguments(
                "the recovery words are shown once, on a terminal, and here is none: run this on one; nothing was changed"
                    .to_owned(),
            )),
        }
    }

    /// Shows a text, all of it.
    pub(super) fn show(self, text: &str) -> io::Result<()> {
        match self {
            Self::Own(mut own) => own.write_all(text.as_bytes()),
            Self::Output => {
                let mut output = io::stdout();
                output.write_all(text.as_bytes()).and_then(|()| output.flush())
            }
        }
    }
}
