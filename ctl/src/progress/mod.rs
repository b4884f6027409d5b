//! Shows how a job goes on, on standard error: a bar on a terminal, a few lines elsewhere, or nothing.

mod bar;
mod lines;

use std::io::{self, IsTerminal};

use cloudstic_proto::v1::{Job, QueryProgress};

use self::bar::Bar;
use self::lines::Lines;
use crate::cli::Global;

/// Who shows it.
pub(crate) enum Display {
    /// Nobody.
    None,
    /// A bar that is drawn again and again.
    Bar(Bar),
    /// A line for each change of state.
    Lines(Lines),
}

impl Display {
    /// What fits the command line and standard error.
    pub(crate) fn new(global: &Global) -> Self {
        if global.json || global.quiet || global.no_progress {
            Self::None
        } else if io::stderr().is_terminal() {
            Self::Bar(Bar::new())
        } else {
            Self::Lines(Lines::default())
        }
    }

    /// The same for a question: there are no states to tell, so without a terminal nobody is told.
    pub(crate) fn of_question(global: &Global) -> Self {
        if global.json || global.quiet || global.no_progress || !io::stderr().is_terminal() {
            Self::None
        } else {
            Self::Bar(Bar::unseen())
        }
    }

    /// Shows how far the answer to a question is.
    pub(crate) fn answering(&mut self, progress: &QueryProgress) {
        if let Self::Bar(bar) = self {
            bar.answering(progress);
        }
    }

    /// Shows the job as it is now.
    pub(crate) fn update(&mut self, job: &Job) {
        match self {
            Self::None => {}
            Self::Bar(bar) => bar.update(job),
            Self::Lines(lines) => {
                if let Some(line) = lines.update(job) {
                    self.say(&line);
                }
            }
        }
    }

    /// Says a line in between, without disturbing the bar.
    pub(crate) fn say(&self, line: &str) {
        match self {
            Self::None => {}
            Self::Bar(bar) => bar.say(line),
            Self::Lines(_) => lines::write(line),
        }
    }

    /// Takes the bar away, so that what follows starts on a line of its own.
    pub(crate) fn finish(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish();
        }
    }
}
