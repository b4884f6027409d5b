//! The program itself: what it says about its configuration, and how it ends.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn cloudsticd(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudsticd"));
    command.arg("--config").arg(config).env_remove("JOURNAL_STREAM");
    command
}

fn check(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    cloudsticd(&path).arg("--check-config").output().unwrap()
}

#[test]
fn a_good_configuration_is_called_valid() {
    let output = check("[repositories.main]\nstore = \"local:/srv\"");
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().ends_with("config.toml: valid (1 repositories, 0 profiles)\n"));
}

#[test]
fn a_bad_configuration_is_one_line_with_its_place() {
    let output = check("[repositories.main]\nstore = \"local:/srv\"\npasswrod = \"env:X\"");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    let wanted = "config.toml:3: repositories.main.passwrod: unknown key (did you mean \"password\"?)\n";
    assert!(text.ends_with(wanted) && text.lines().count() == 1, "{text}");
}

#[test]
fn a_missing_configuration_says_what_to_do() {
    let output = cloudsticd(Path::new("/nonexistent/config.toml")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("/nonexistent/config.toml") && text.contains("--config"), "{text}");
}

#[test]
fn sigterm_ends_it_in_good_order() {
    let place = Place::new();
    let (mut daemon, log) = place.start();
    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert!(log.map(Result::unwrap).any(|line| line.contains("\"stopped\"")));
    assert!(daemon.wait().unwrap().success());
    assert!(!place.socket().exists());
}

#[test]
fn a_daemon_that_was_killed_does_not_bar_the_next_one() {
    let place = Place::new();
    let (mut daemon, _log) = place.start();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(place.socket().exists());
    let (mut daemon, _log) = place.start();
    kill_process(Pid::from_child(&daemon), Signal::INT).unwrap();
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn a_second_daemon_names_the_first() {
    let place = Place::new();
    let (mut first, _log) = place.start();
    let second = cloudsticd(&place.config()).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8(second.stderr).unwrap();
    assert!(text.contains(&format!("pid {}", first.id())), "{text}");
    first.kill().unwrap();
    first.wait().unwrap();
}

/// A configuration and all that it names, in a folder of its own.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let folder = place.0.path().display();
        let daemon = format!("[daemon]\nsocket = \"{folder}/run/sock\"\nstate_dir = \"{folder}/state\"\n");
        std::fs::write(place.config(), daemon + "log_format = \"json\"").unwrap();
        place
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("config.toml")
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("run/sock")
    }

    /// Starts a daemon, and reads its log until it is ready.
    fn start(&self) -> (Child, Lines<BufReader<ChildStderr>>) {
        let mut daemon = cloudsticd(&self.config()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines();
        let ready = log.by_ref().map(Result::unwrap).find(|line| line.contains("cloudsticd is ready")).unwrap();
        assert!(ready.starts_with("{\"timestamp\":"), "{ready}");
        assert!(self.socket().exists());
        (daemon, log)
    }
}
