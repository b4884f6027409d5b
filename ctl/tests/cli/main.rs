//! Runs the real program against a daemon that gives canned answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archive;
mod connection;
mod fake;
mod jobs;
mod keys;
mod locks;
mod reading;
mod snapshots;

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use fake::Fake;
use tempfile::TempDir;

/// A fake daemon and a folder to work in.
struct World {
    fake: Fake,
    dir: TempDir,
    // Dropped last: the server runs on it.
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let fake = runtime.block_on(Fake::start(&dir.path().join("socket")));
        Self { fake, dir, runtime }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program, ready to run.
    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsticctl"));
        command.args(args).current_dir(&self.dir).env("TZ", "UTC").env("CLOUDSTIC_SOCKET", self.path("socket"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Until the fake has sent all that is scripted: the program is in the middle of waiting.
    fn wait_until_sent(&self) {
        self.runtime.block_on(self.fake.sent.notified());
    }

    fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        Run::from(self.command(args).output().unwrap())
    }

    /// The same in a session of its own, which has no terminal.
    fn run_without_terminal<S: AsRef<OsStr>>(&self, args: &[S]) -> Run {
        let program = self.command(args);
        let mut command = Command::new("setsid");
        command.arg("--wait").arg(program.get_program()).args(program.get_args()).current_dir(&self.dir);
        command.env("CLOUDSTIC_SOCKET", self.path("socket")).stdin(Stdio::null());
        Run::from(command.output().unwrap())
    }
}

/// How a run ended.
#[derive(Debug)]
struct Run {
    code: i32,
    out: String,
    err: String,
    bytes: Vec<u8>,
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let code = output.status.code();
        assert_eq!(output.status.signal(), None, "{output:?}");
        Self {
            code: code.unwrap(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }
}

impl Run {
    /// The one JSON document on standard output.
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A JSON document a line.
    fn json_lines(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
