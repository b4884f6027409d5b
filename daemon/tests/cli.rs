//! The program itself: what it says about its configuration, and how it ends.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

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
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    let place = folder.path().display();
    let text = format!("[daemon]\nsocket = \"{place}/run/sock\"\nstate_dir = \"{place}/state\"\nlog_format = \"json\"");
    std::fs::write(&config, text).unwrap();
    let mut daemon = cloudsticd(&config).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines();
    let ready = log.by_ref().map(Result::unwrap).find(|line| line.contains("cloudsticd is ready")).unwrap();
    assert!(ready.starts_with("{\"timestamp\":"), "{ready}");
    assert!(folder.path().join("run/sock").exists());

    kill_process(Pid::from_child(&daemon), Signal::TERM).unwrap();
    assert!(log.map(Result::unwrap).any(|line| line.contains("\"stopped\"")));
    assert!(daemon.wait().unwrap().success());
    assert!(!folder.path().join("run/sock").exists());
}
