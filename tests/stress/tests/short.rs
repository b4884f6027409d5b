//! A short run, so that the program itself stays right; `make stress` is the long one.
#![allow(clippy::unwrap_used)]

use std::process::Command;

fn run(args: &[&str]) -> (bool, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_stress")).args(["--seconds", "5", "--processes", "8"]).args(args).output();
    let output = output.unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn with_locks_nothing_is_lost_and_without_them_something_is() {
    let (well, told) = run(&["--ttl-ms", "1000"]);
    assert!(well, "{told}");
    let (well, told) = run(&["--without-locks"]);
    assert!(!well, "{told}");
}
