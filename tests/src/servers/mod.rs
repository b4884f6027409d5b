//! Real servers for tests: each listens on 127.0.0.1 only, keeps all it needs in a folder of its own, and ends with the
//! test, also when it panics.

pub mod rclone;
pub mod sshd;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program of this name on the path, or where system programs are.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Runs a program that prepares something, and panics with what it said if it fails.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// Makes a pair of keys: the private one at this path, and the public one beside it.
fn make_key(path: &Path) {
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(path));
}
