//! A tree goes in and comes back, and what lies on the disk in between is what the format says.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use cloudstic_e2e::oracle::{assert_same_tree, assert_sound, oracle, python};
use cloudstic_e2e::ran::{Ran, limited};
use cloudstic_e2e::site::{Credential, Daemon, Site};
use cloudstic_e2e::tree;

use crate::client::{backup, entries, snapshots};

const PASSWORD: &str = "correct horse battery staple";

/// A site with the profile `tree` of the folder `source` into the repository `main`.
fn site(credential: Credential<'_>) -> Site {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    site.repository("main", &store, credential).profile("tree", "main", &source, "");
    site
}

fn restore(daemon: &Daemon<'_>, snapshot: &str, target: &Path) {
    daemon.ctl(&["restore", "main", snapshot, "--to", target.to_str().unwrap()]).ok();
}

#[test]
fn everything_a_tree_has_comes_back_before_and_after_a_change() {
    let site = site(Credential::Password(PASSWORD));
    let (source, store) = (site.path("source"), site.path("repository"));
    tree::full(&source);
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();

    backup(&daemon, &["tree"], 0);
    restore(&daemon, "latest", &site.path("first"));
    assert_same_tree(&source, &site.path("first"));

    tree::change(&source);
    backup(&daemon, &["tree"], 0);
    restore(&daemon, "latest", &site.path("second"));
    assert_same_tree(&source, &site.path("second"));

    let listed = snapshots(&daemon, "main");
    assert_eq!(listed.iter().map(|snapshot| snapshot.seq).collect::<Vec<_>>(), [2, 1]);
    restore(&daemon, &listed[1].reference, &site.path("first again"));
    assert_same_tree(&site.path("first"), &site.path("first again"));
    assert_sound(&store, &["--password", PASSWORD]);
}

#[test]
fn the_root_is_the_one_that_follows_from_the_files_alone() {
    let site = site(Credential::None);
    let source = site.path("source");
    tree::plain(&source);
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["tree"], 0);

    let root = oracle([OsStr::new("root"), source.as_os_str()]).ok().text();
    assert_eq!(snapshots(&daemon, "main")[0].root, root.trim());
    assert_sound(&site.path("repository"), &[]);
}

#[test]
fn an_unchanged_tree_is_not_read_again_and_gives_the_same_root() {
    let site = site(Credential::Password(PASSWORD));
    tree::full(&site.path("source"));
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    let again = backup(&daemon, &["tree"], 0);

    assert_eq!(again.reported("read_bytes"), 0);
    assert_eq!(again.reported("files.new") + again.reported("files.changed"), 0);
    let listed = snapshots(&daemon, "main");
    assert_eq!(listed[0].root, listed[1].root);
}

#[test]
fn without_its_caches_the_daemon_still_reads_nothing_that_is_unchanged() {
    let site = site(Credential::Password(PASSWORD));
    tree::plain(&site.path("source"));
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    assert!(daemon.stop().success());
    fs::remove_file(site.path("state").join("cache.redb")).unwrap();

    let daemon = site.start();
    assert_eq!(backup(&daemon, &["tree"], 0).reported("read_bytes"), 0);
}

#[test]
fn one_changed_file_is_the_only_one_read() {
    let site = site(Credential::Password(PASSWORD));
    let source = site.path("source");
    tree::plain(&source);
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    tree::write(&source, "many/03/003.txt", b"changed\n");

    let job = backup(&daemon, &["tree"], 0);
    assert_eq!(job.reported("files.changed"), 1);
    assert_eq!(job.reported("read_bytes"), 8);
}

#[test]
fn a_dry_run_writes_nothing() {
    let site = site(Credential::Password(PASSWORD));
    tree::plain(&site.path("source"));
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();

    backup(&daemon, &["tree", "--dry-run"], 0);
    assert!(snapshots(&daemon, "main").is_empty());
    backup(&daemon, &["tree"], 0);
    let target = site.path("not there");
    daemon.ctl(&["restore", "main", "latest", "--dry-run", "--to", target.to_str().unwrap()]).ok();
    assert!(!target.exists());
}

#[test]
fn excludes_leave_out_what_they_match_and_nothing_else() {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    tree::plain(&source);
    tree::write(&source, "cache/CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55\n");
    tree::write(&source, "cache/data", b"left out\n");
    tree::write(&source, "marked/.nobackup", b"");
    tree::write(&source, "marked/data", b"left out\n");
    let options = "excludes = [\"many/*\", \"!many/03\", \"*.bin\"]\nexclude_caches = true\nexclude_if_present = [\".nobackup\"]\ntags = [\"nightly\"]";
    site.repository("main", &store, Credential::None).profile("some", "main", &source, options);
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["some", "--tag", "extra"], 0);

    let paths: Vec<String> = entries(&daemon, "main", "latest").into_keys().collect();
    assert!(paths.iter().any(|path| path == "many/03/003.txt"), "{paths:?}");
    let wrong = |path: &&String| path.ends_with(".bin") || path.starts_with("many/04") || path.ends_with("/data");
    assert_eq!(paths.iter().filter(wrong).count(), 0, "{paths:?}");
    let mut tags = snapshots(&daemon, "main")[0].tags.clone();
    tags.sort();
    assert_eq!(tags, ["extra", "nightly"]);
}

#[test]
fn a_path_alone_is_restored_without_the_rest() {
    let site = site(Credential::Password(PASSWORD));
    tree::plain(&site.path("source"));
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    let target = site.path("part");
    daemon.ctl(&["restore", "main", "latest", "--path", "many/03", "--to", target.to_str().unwrap()]).ok();

    assert_same_tree(&site.path("source/many/03"), &target.join("many/03"));
    assert!(!target.join("text.txt").exists());
}

#[test]
fn one_file_whose_name_is_not_utf8_is_listed_and_restored_alone() {
    let site = site(Credential::None);
    let source = site.path("source");
    let name = OsStr::from_bytes(b"odd \xff/caf\xe9.txt");
    tree::write(&source, name, b"bytes\n");
    tree::write(&source, "odd \u{fffd}/caf\u{fffd}.txt", b"what a lossy name would find\n");
    tree::write(&source, "plain.txt", b"not asked for\n");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    // The folder that is backed up and the one that is restored to have such names, too.
    let odd_source = site.path("source").with_file_name(OsStr::from_bytes(b"source \xfe"));
    fs::rename(&source, &odd_source).unwrap();
    let words = ["backup", "--repository", "main"].map(OsStr::new);
    daemon.ctl(&[&words[..], &[odd_source.as_os_str()]].concat()).ok();

    let ls = |options: &[&str]| {
        let options = options.iter().map(OsStr::new);
        daemon
            .ctl(&["ls", "main", "latest"].map(OsStr::new).into_iter().chain([name]).chain(options).collect::<Vec<_>>())
            .ok()
    };
    assert_eq!(ls(&["--raw"]).stdout, [name.as_bytes(), b"\n"].concat());
    assert_eq!(ls(&[]).text(), "odd \\xff/caf\\xe9.txt\n");
    assert!(ls(&["--json"]).text().contains(r#""path_b64":"b2RkIP8vY2Fm6S50eHQ=""#));

    let target = site.path("x").with_file_name(OsStr::from_bytes(b"restored \xfd"));
    let words = ["--json", "restore", "main", "latest", "--path"].map(OsStr::new);
    let restored = daemon.ctl(&[&words[..], &[name, OsStr::new("--to"), target.as_os_str()]].concat()).ok().json();
    assert_eq!(restored["report"]["files"], 1);
    assert_eq!(restored["spec"]["paths_b64"][0], "b2RkIP8vY2Fm6S50eHQ=");
    assert!(restored["spec"]["target_b64"].is_string());
    assert_eq!(fs::read(target.join(name)).unwrap(), b"bytes\n");
    assert_eq!(fs::read_dir(&target).unwrap().count(), 1);

    let zip = site.path("one.zip");
    let words = ["--json", "restore", "main", "latest", "--zip"].map(OsStr::new);
    let archived = daemon.ctl(&[&words[..], &[zip.as_os_str(), name]].concat()).ok().json();
    assert_eq!(archived["report"]["files"], 1);
}

#[test]
fn relative_folders_are_those_of_the_caller() {
    let site = site(Credential::None);
    tree::plain(&site.path("source"));
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    let here = site.path("here");
    fs::create_dir(&here).unwrap();
    site.ctl_in(&here, &["backup", "--repository", "main", "../source"]).ok();
    site.ctl_in(&here, &["restore", "main", "latest", "./many/03/", "--to", "part/of it"]).ok();
    assert_same_tree(&site.path("source/many/03"), &here.join("part/of it/many/03"));
}

#[test]
fn overwrite_decides_what_happens_to_existing_files() {
    let site = site(Credential::Password(PASSWORD));
    let source = site.path("source");
    tree::plain(&source);
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    let target = site.path("restored");
    let restore = |overwrite| {
        let to = target.to_str().unwrap();
        daemon.ctl(&["restore", "main", "latest", "--overwrite", overwrite, "--to", to]).ok();
    };
    restore("never");
    tree::write(&target, "text.txt", b"mine now");
    restore("never");
    assert_eq!(fs::read(target.join("text.txt")).unwrap(), b"mine now");
    restore("if-changed");
    assert_same_tree(&source, &target);
    tree::write(&target, "run.sh", b"#!/bin/no\n");
    let times = fs::metadata(source.join("run.sh")).unwrap().modified().unwrap();
    fs::File::options().write(true).open(target.join("run.sh")).unwrap().set_modified(times).unwrap();
    restore("always");
    assert_same_tree(&source, &target);
}

#[test]
fn an_archive_holds_every_file_and_is_whole() {
    let site = site(Credential::Password(PASSWORD));
    let source = site.path("source");
    tree::plain(&source);
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    let archive = site.path("all.zip");
    daemon.ctl(&["restore", "main", "latest", "--zip", archive.to_str().unwrap()]).ok();
    let piped = daemon.ctl(&["restore", "main", "latest", "--zip", "-"]).ok();
    fs::write(site.path("piped.zip"), &piped.stdout).unwrap();

    for name in ["all.zip", "piped.zip"] {
        assert!(archive_agrees(&site.path(name), &source).code == 0, "{name}");
    }
    daemon
        .ctl(&["restore", "main", "latest", "--zip", archive.to_str().unwrap()])
        .expect(1)
        .says(&["exists", "--force"]);
}

/// Compares names, bytes and modes with Python's reader of archives, which checks every checksum.
fn archive_agrees(archive: &Path, source: &Path) -> Ran {
    const COMPARE: &str = r#"
import os, sys, zipfile
archive, source = zipfile.ZipFile(sys.argv[1]), sys.argv[2]
found = {}
for folder, folders, files in os.walk(source):
    for name in folders: found[os.path.relpath(os.path.join(folder, name), source) + "/"] = None
    for name in files: found[os.path.relpath(os.path.join(folder, name), source)] = os.path.join(folder, name)
assert archive.testzip() is None
names = [info.filename for info in archive.infolist()]
assert sorted(names) == sorted(found), set(names) ^ set(found)
for info in archive.infolist():
    path = os.path.join(source, info.filename)
    assert info.external_attr >> 16 & 0o7777 == os.stat(path).st_mode & 0o7777, (info.filename, oct(info.external_attr >> 16))
    if found[info.filename]: assert archive.read(info) == open(path, "rb").read(), info.filename
"#;
    let mut command: Command = limited(python());
    command.args(["-c", COMPARE]).arg(archive).arg(source);
    Ran::run(command).ok()
}
