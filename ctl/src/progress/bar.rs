//! Progress on a terminal: a bar once the totals are known, a spinner until then.

use std::time::Duration;

use cloudstic_proto::v1::{Job, JobState, Progress, QueryProgress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::escape;
use crate::wait::ended;

/// The path has a line of its own: beside the numbers it would be cut to nothing.
const SPINNER: &str = "{spinner} {prefix} {binary_bytes} {binary_bytes_per_sec}\n  {wide_msg}";
const BAR: &str = "{spinner} {prefix} [{wide_bar}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} ETA {eta}\n  {wide_msg}";

/// The bar on standard error.
pub(crate) struct Bar {
    bar: ProgressBar,
    /// The phase whose rate is measured now.
    phase: String,
    /// Whether the total is shown.
    total: bool,
}

impl Bar {
    /// A spinner, until there is news.
    pub(crate) fn new() -> Self {
        let bar = Self::unseen();
        bar.spin();
        bar
    }

    /// Nothing, until there is news: nobody sees what is over at once.
    pub(crate) fn unseen() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style(SPINNER));
        Self { bar, phase: String::new(), total: false }
    }

    fn spin(&self) {
        self.bar.enable_steady_tick(Duration::from_millis(200));
    }

    /// Draws the job as it is now. Its end is not drawn: the summary is printed.
    pub(crate) fn update(&mut self, job: &Job) {
        if ended(job.state()) {
            return;
        }
        let progress = job.progress.as_ref();
        self.bar.set_prefix(prefix(job.state(), progress));
        let bytes_total = progress.map_or(0, |progress| progress.bytes_total);
        if (bytes_total > 0) != self.total {
            self.total = bytes_total > 0;
            self.bar.set_style(style(if self.total { BAR } else { SPINNER }));
        }
        if let Some(progress) = progress {
            if progress.phase != self.phase {
                self.phase.clone_from(&progress.phase);
                // The rate of scanning says nothing about that of reading.
                self.bar.reset_eta();
            }
            if self.total {
                self.bar.set_length(bytes_total);
            }
            self.bar.set_position(progress.bytes_done);
            self.bar.set_message(escape::text(&progress.path).into_owned());
        }
    }

    /// Draws how far the answer to a question is.
    pub(crate) fn answering(&mut self, progress: &QueryProgress) {
        self.bar.set_prefix(question(progress));
        self.bar.set_position(progress.bytes_done);
        if self.phase.is_empty() {
            self.spin();
        }
        self.phase.clone_from(&progress.phase);
    }

    /// A line above the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.println(format!("cloudsticctl: {}", escape::text(line)));
    }

    /// Takes it away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// What it does, and the files: `reading · 12/34 files · 1 warning`.
fn prefix(state: JobState, progress: Option<&Progress>) -> String {
    let Some(progress) = progress.filter(|_| state != JobState::Queued) else {
        return if state == JobState::Queued { "queued" } else { "starting" }.to_owned();
    };
    let mut text = escape::text(&progress.phase).into_owned();
    match (progress.files_done, progress.files_total) {
        (0, 0) => {}
        (done, 0) => text += &format!(" · {done} files"),
        (done, total) => text += &format!(" · {done}/{total} files"),
    }
    match progress.warnings {
        0 => {}
        1 => text += " · 1 warning",
        many => text += &format!(" · {many} warnings"),
    }
    text
}

/// What is done for a question: `listing · snapshot 3/12 · 4567 objects`.
fn question(progress: &QueryProgress) -> String {
    let mut text = escape::text(&progress.phase).into_owned();
    if progress.snapshots > 0 {
        text += &format!(" · snapshot {}/{}", progress.snapshot, progress.snapshots);
    }
    match (progress.objects_done, progress.objects_total) {
        (0, 0) => {}
        // Some are read again to tell what moved.
        (done, total) if done > total => text += &format!(" · {done} objects"),
        (done, total) => text += &format!(" · {done}/{total} objects"),
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn templates_are_valid() {
        ProgressStyle::with_template(SPINNER).unwrap();
        ProgressStyle::with_template(BAR).unwrap();
    }

    #[test]
    fn a_question_shows_what_is_known_of_it() {
        let mut progress = QueryProgress { phase: "opening".to_owned(), ..QueryProgress::default() };
        assert_eq!(question(&progress), "opening");
        (progress.objects_done, progress.snapshot, progress.snapshots) = (7, 1, 3);
        assert_eq!(question(&progress), "opening · snapshot 1/3 · 7 objects");
        (progress.objects_total, progress.snapshots) = (9, 0);
        assert_eq!(question(&progress), "opening · 7/9 objects");
    }

    #[test]
    fn totals_are_not_shown_before_they_are_known() {
        let mut progress = Progress { phase: "reading".to_owned(), files_done: 12, ..Progress::default() };
        assert_eq!(prefix(JobState::Queued, Some(&progress)), "queued");
        assert_eq!(prefix(JobState::Running, None), "starting");
        assert_eq!(prefix(JobState::Running, Some(&progress)), "reading · 12 files");
        progress.files_total = 34;
        progress.warnings = 1;
        assert_eq!(prefix(JobState::Running, Some(&progress)), "reading · 12/34 files · 1 warning");
    }
}
