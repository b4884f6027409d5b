//! Progress where nobody watches: one line for each change of state, so that a log stays short however long a job is.

use std::io::{self, Write};

use cloudstic_proto::v1::{Job, JobState};

use crate::output::{escape, report};

/// Remembers what was said last.
#[derive(Default)]
pub(crate) struct Lines {
    said: Option<JobState>,
}

impl Lines {
    /// The line to write now, if the state is another one than before. The end is not said: the summary is.
    pub(crate) fn update(&mut self, job: &Job) -> Option<String> {
        let state = job.state();
        let news = matches!(state, JobState::Queued | JobState::Running) && self.said != Some(state);
        self.said = Some(state);
        news.then(|| format!("job {}: {}", job.id, report::one_line(job)))
    }
}

/// Writes a line to standard error; there is nobody left to tell if that fails.
pub(crate) fn write(line: &str) {
    let _ = writeln!(io::stderr().lock(), "cloudsticctl: {}", escape::text(line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_job_does_not_flood_the_log() {
        let mut lines = Lines::default();
        let mut job = Job { id: "a1".to_owned(), repository: "home".to_owned(), ..Job::default() };
        let mut said = Vec::new();
        let states = [JobState::Queued, JobState::Running, JobState::Running, JobState::Running, JobState::Succeeded];
        for state in states {
            job.state = state.into();
            said.extend(lines.update(&job));
        }
        assert_eq!(said, ["job a1: job of home: queued", "job a1: job of home: running"]);
    }
}
