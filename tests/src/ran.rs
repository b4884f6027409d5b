//! A command that has run, and how to run one that cannot hang for ever.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The longest that any command of a test may take, in seconds.
const LIMIT: &str = "300";

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    /// The command line, for messages.
    pub line: String,
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error, lossy.
    pub stderr: String,
}

impl Ran {
    /// Runs a prepared command to its end.
    pub fn run(mut command: Command) -> Self {
        let line = format!("{command:?}");
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|why| panic!("{line}: {why}"));
        assert_ne!(output.status.code(), Some(124), "{line} took longer than {LIMIT} s");
        Self {
            line,
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Panics with all that was printed unless the exit code is `code`.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "exit code of {}\n{}", self.line, self.output());
        self
    }

    /// Panics unless the exit code is 0.
    #[track_caller]
    pub fn ok(self) -> Self {
        self.expect(0)
    }

    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout)
            .unwrap_or_else(|why| panic!("{} printed no JSON ({why})\n{}", self.line, self.output()))
    }

    /// Panics unless standard error is one line, the progress of jobs apart, and has each of these in it (in any case
    /// of letters).
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        let lines: Vec<&str> = self.stderr.lines().filter(|line| !is_progress(line)).collect();
        let [line] = lines[..] else { panic!("{} should say one line\n{}", self.line, self.output()) };
        let said = |word: &&str| line.to_lowercase().contains(&word.to_lowercase());
        assert!(words.iter().all(said), "{} should say {words:?}\n{}", self.line, self.output());
        assert!(!line.contains("panicked"), "{}", self.output());
        self
    }

    /// Panics unless standard output has each of these in it.
    #[track_caller]
    pub fn shows(self, words: &[&str]) -> Self {
        let text = self.text();
        assert!(words.iter().all(|word| text.contains(word)), "{} should show {words:?}\n{}", self.line, self.output());
        self
    }

    fn output(&self) -> String {
        format!("--- standard output\n{}\n--- standard error\n{}", self.text(), self.stderr)
    }
}

/// What the client says of a job while it waits for it: `cloudsticctl: job ID: backup of main: running`.
fn is_progress(line: &str) -> bool {
    line.starts_with("cloudsticctl: job ") && [": queued", ": running"].iter().any(|state| line.ends_with(state))
}

/// A command under a time limit, which ends with 124 when that is over.
pub fn limited(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=10", LIMIT]).arg(program);
    command
}

/// The same as the user `nobody`; only root can do that.
pub fn limited_as_nobody(program: &Path) -> Command {
    let mut command = limited("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(stderr: &str) -> Ran {
        Ran { line: "x".to_owned(), code: 1, stdout: Vec::new(), stderr: stderr.to_owned() }
    }

    #[test]
    fn one_line_may_follow_the_progress_of_a_job() {
        let progress = "cloudsticctl: job 01: backup of main: queued\ncloudsticctl: job 01: backup of main: running\n";
        ran(&format!("{progress}cloudsticctl: the Disk is full\n")).says(&["disk", "full"]);
    }

    #[test]
    #[should_panic(expected = "should say one line")]
    fn two_lines_are_one_too_many() {
        ran("cloudsticctl: the disk is full\nhelp!\n").says(&["disk"]);
    }
}
