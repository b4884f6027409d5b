//! The independent reader of the format in `oracle/`, which shares no code with the programs under test.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::ran::{Ran, limited};

/// Runs the oracle with these arguments.
pub fn oracle<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    let mut command = limited(python());
    command.arg(crate::project().join("tests/oracle/cloudstic_oracle.py")).args(args);
    Ran::run(command)
}

/// Panics unless every object of a repository is sound and nothing of it is careless.
#[track_caller]
pub fn assert_sound(repository: &Path, credential: &[&str]) {
    let mut args: Vec<&OsStr> = ["verify", "--strict", "--boundaries"].map(OsStr::new).to_vec();
    args.push(repository.as_os_str());
    args.extend(credential.iter().map(OsStr::new));
    oracle(args).ok();
}

/// Verifies one repository after the other; each ends with a mark that no name has, and the exit code.
const VERIFY_ALL: &str = r#"
import sys
folder, count, rest = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
sys.path.insert(0, folder)
import cloudstic_oracle as oracle
for repository in rest[count:]:
    sys.argv = ["oracle", "verify", repository, *rest[:count]]
    print(f"\1{oracle.main()}")
"#;

/// What is wrong with some repositories, which one process looks at: for each that is not sound, its place in the list, and
/// what the oracle says.
#[track_caller]
pub fn unsound(repositories: &[PathBuf], credential: &[&str]) -> Vec<(usize, String)> {
    let mut command = limited(python());
    command.args(["-c", VERIFY_ALL]).arg(crate::project().join("tests/oracle"));
    command.arg(credential.len().to_string()).args(credential).args(repositories);
    let text = Ran::run(command).ok().text();
    let (mut said, mut wrong) = (String::new(), Vec::new());
    let mut place = 0;
    for line in text.lines() {
        match line.strip_prefix('\u{1}') {
            Some(code) => {
                if code != "0" {
                    wrong.push((place, std::mem::take(&mut said)));
                }
                said.clear();
                place += 1;
            }
            None => said.extend([line, "\n"]),
        }
    }
    assert_eq!(place, repositories.len(), "{text}");
    wrong
}

/// A folder as sorted JSON lines: path, type, mode, times, bytes, targets, devices, hard links and xattrs.
#[track_caller]
pub fn manifest(folder: &Path) -> String {
    oracle([OsStr::new("manifest"), folder.as_os_str()]).ok().text()
}

/// Panics, with the first lines that differ, unless two folders have the same manifest.
#[track_caller]
pub fn assert_same_tree(one: &Path, other: &Path) {
    let (first, second) = (manifest(one), manifest(other));
    if first == second {
        return;
    }
    let lost = first.lines().filter(|line| !second.lines().any(|other| other == *line)).take(10);
    let extra = second.lines().filter(|line| !first.lines().any(|other| other == *line)).take(10);
    let lines: Vec<String> = lost.map(|l| format!("- {l}")).chain(extra.map(|l| format!("+ {l}"))).collect();
    panic!("{} and {} differ:\n{}", one.display(), other.display(), lines.join("\n"));
}

/// The interpreter with what the oracle needs: `CLOUDSTIC_PYTHON`, or the one that `make test` made.
pub fn python() -> PathBuf {
    let own = crate::project().join(".venv/bin/python");
    let python = std::env::var_os("CLOUDSTIC_PYTHON").map_or(own, PathBuf::from);
    let ready = Command::new(&python)
        .args(["-c", "import argon2, cryptography, zstandard"])
        .output()
        .is_ok_and(|output| output.status.success());
    assert!(ready, "{} cannot run the oracle: `make .venv` makes it, as `make test` does", python.display());
    python
}
