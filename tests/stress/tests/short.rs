//! A short run, so that the program itself stays right; `make stress` is the long one.
#![allow(clippy::unwrap_used)]

use std::process::Command;

fn run(args: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_stress")).args(args).output();
    let output = output.unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn with_locks_nothing_is_lost_and_without_them_something_is() {
    let short = ["--seconds", "5", "--processes", "8"];
    let (well, told) = run(&[&short[..], &["--ttl-ms", "1000"]].concat());
    assert!(well, "{told}");
    let (well, told) = run(&[&short[..], &["--without-locks"]].concat());
    assert!(!well, "{told}");
}

#[test]
fn a_prune_that_is_killed_loses_nothing() {
    for store in ["local", "plain"] {
        let (well, told) = run(&["--kill-prunes", "5", "--store", store]);
        assert!(well, "{store}: {told}");
    }
}
