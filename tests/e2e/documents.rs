//! What the README promises: its links lead somewhere, its configuration is valid, its `make install` installs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cloudstic_e2e::ran::{Ran, limited};
use cloudstic_e2e::{binaries, project};

/// The documents that people read.
fn documents() -> Vec<PathBuf> {
    let docs = fs::read_dir(project().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    docs.filter(|path| path.extension().is_some_and(|end| end == "md")).chain([project().join("README.md")]).collect()
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            let target = document.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(target.exists(), "{} links to {link}", document.display());
        }
    }
}

#[test]
fn every_example_begins_and_ends() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        let mut begun = None;
        for (number, line) in text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("```")) {
            let begins = begun.is_none();
            let place = format!("{}:{}: {line}", document.display(), number + 1);
            assert!(begins || line.trim() == "```", "{place}: the one that begins at {begun:?} has no end");
            begun = begins.then_some(place);
        }
        assert_eq!(begun, None, "it has no end");
    }
}

#[test]
fn every_document_can_be_found_from_the_readme() {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    for document in documents() {
        let name = document.strip_prefix(project()).unwrap().to_str().unwrap();
        assert!(name == "README.md" || readme.contains(&format!("]({name})")), "README.md does not link {name}");
    }
}

#[test]
fn the_configuration_in_the_readme_is_valid() {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (config, _) = rest.split_once("```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    fs::write(&file, config).unwrap();
    let mut command = limited(binaries::daemon());
    command.arg("--check-config").arg("--config").arg(file);
    assert!(Ran::run(command).ok().text().contains("valid (1 repositories, 1 profiles)"));
}

#[test]
fn make_install_puts_programs_pages_and_completions_where_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let install = |built: &Path| {
        let mut command: Command = limited("make");
        command.current_dir(project()).args(["install", "PREFIX=/opt/x"]);
        command.arg(format!("DESTDIR={}", folder.path().display())).arg(format!("BUILT={}", built.display()));
        Ran::run(command)
    };
    assert!(install(&folder.path().join("empty")).expect(2).stderr.contains("make build first"));
    install(binaries::folder()).ok();
    for program in ["cloudsticd", "cloudsticctl"] {
        let mut command = limited(folder.path().join("opt/x/bin").join(program));
        command.arg("--version");
        assert!(Ran::run(command).ok().text().starts_with(program));
    }
    let shared = [
        "man/man1/cloudsticctl.1",
        "man/man1/cloudsticctl-backup.1",
        "man/man8/cloudsticd.8",
        "bash-completion/completions/cloudsticctl",
        "zsh/site-functions/_cloudsticctl",
        "fish/vendor_completions.d/cloudsticctl.fish",
    ];
    for file in shared {
        let file = folder.path().join("opt/x/share").join(file);
        assert!(fs::metadata(&file).is_ok_and(|file| file.len() > 0), "{} was not installed", file.display());
    }
}
