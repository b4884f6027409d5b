//! The manual pages, as the programs that show them see them.

use std::fs;
use std::path::Path;
use std::process::Command;

use cloudstic_e2e::binaries;
use cloudstic_e2e::ran::{Ran, limited};
use cloudstic_e2e::skip::skipped;
use tempfile::TempDir;

/// All pages of both programs.
fn pages() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut client = limited(binaries::client());
    client.args(["man", "--date", "2000-01-01", "--to"]).arg(folder.path());
    Ran::run(client).ok();
    let mut daemon = limited(binaries::daemon());
    daemon.args(["--man", "2000-01-01"]);
    fs::write(folder.path().join("cloudsticd.8"), Ran::run(daemon).ok().stdout).unwrap();
    folder
}

fn files(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path())
}

/// A command without arguments, if it is installed.
fn installed(test: &str, program: &str) -> Option<Command> {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output().unwrap().status.success();
    if !found {
        skipped(test, &format!("{program} is not installed"));
    }
    found.then(|| limited(program))
}

#[test]
fn man_has_nothing_to_say_about_any_page() {
    let pages = pages();
    for page in files(pages.path()) {
        let Some(mut man) = installed("man_has_nothing_to_say_about_any_page", "man") else { return };
        man.args(["--warnings", "--encoding=UTF-8", "--troff-device=utf8", "--ditroff", "--local-file"]).arg(&page);
        let ran = Ran::run(man).ok();
        assert_eq!(ran.stderr, "", "{}", page.display());
        assert!(!ran.stdout.is_empty(), "{} is empty", page.display());
    }
}

#[test]
fn mandoc_has_nothing_to_warn_of_in_any_page() {
    let pages = pages();
    for page in files(pages.path()) {
        let Some(mut mandoc) = installed("mandoc_has_nothing_to_warn_of_in_any_page", "mandoc") else { return };
        mandoc.args(["-T", "lint", "-W", "warning"]).arg(&page);
        assert_eq!(Ran::run(mandoc).ok().text(), "", "{}", page.display());
    }
}

#[test]
fn the_daemons_page_has_what_its_help_has() {
    let pages = pages();
    let page = fs::read_to_string(pages.path().join("cloudsticd.8")).unwrap();
    for expected in
        [".TH CLOUDSTICD 8 2000-01-01", "\\-\\-config", "\\-\\-check\\-config", "EXIT STATUS", "cloudsticctl(1)"]
    {
        assert!(page.contains(expected), "no {expected} in {page}");
    }
    assert!(!page.contains("\\-\\-man"), "what is hidden is not for the manual");
}
