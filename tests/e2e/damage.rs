//! What is damaged or unreadable is said, by name, and nothing wrong is ever written as if it were right.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cloudstic_e2e::site::{Credential, Daemon, Site};
use cloudstic_e2e::skip::is_root;
use cloudstic_e2e::{random, tree};

use crate::client::{backup, entries};

/// What a message calls an object that is damaged.
const OBJECTS: [&str; 7] = ["chunk/", "content/", "filemeta/", "node/", "snapshot/", "packs/", "index/"];

fn small_site(credential: Credential<'_>) -> Site {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    for (name, size) in [("a.bin", 700_000), ("b.bin", 100), ("folder/c.bin", 40_000), ("d.bin", 1_300_000)] {
        tree::write(&source, name, &random::bytes(size as u64, size));
    }
    site.repository("main", &store, credential).profile("p", "main", &source, "");
    site
}

#[test]
fn a_flipped_byte_in_any_object_is_reported_and_never_restored() {
    every_flip_is_found(&small_site(Credential::Password("secret")), &["init", "main"]);
}

#[test]
fn a_flipped_byte_is_found_without_encryption_too() {
    every_flip_is_found(&small_site(Credential::None), &["init", "main", "--unencrypted"]);
}

fn every_flip_is_found(site: &Site, init: &[&str]) {
    let daemon = site.start();
    daemon.ctl(init).ok();
    backup(&daemon, &["p"], 0);
    // One flip in each data object, through the real programs; the engine's own tests flip every byte of every file.
    let objects: Vec<PathBuf> = ["chunk", "content", "packs", "snapshot"]
        .into_iter()
        .flat_map(|kind| fs::read_dir(site.path("repository").join(kind)).into_iter().flatten())
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(objects.len() >= 3, "{objects:?}");
    for object in objects {
        let good = fs::read(&object).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 0x10;
        fs::write(&object, &bad).unwrap();
        restore_is_right_or_complains(&daemon, site, &object.display().to_string());
        fs::write(&object, &good).unwrap();
    }
    restore_is_right_or_complains(&daemon, site, "mended");
    daemon.ctl(&["restore", "main", "latest", "--to", site.path("at last").to_str().unwrap()]).ok();
}

fn restore_is_right_or_complains(daemon: &Daemon<'_>, site: &Site, what: &str) {
    let target = site.path("restored");
    let _ = fs::remove_dir_all(&target);
    let ran = daemon.ctl(&["restore", "main", "latest", "--to", target.to_str().unwrap()]);
    let missing = files_are_right(&site.path("source"), &target, what);
    if ran.code == 0 {
        assert_eq!(missing, 0, "{what}: files are missing, and nothing was said");
    } else {
        assert!([1, 3].contains(&ran.code), "{what}: exit code {}", ran.code);
        assert!(OBJECTS.iter().any(|kind| ran.stderr.contains(kind)), "{what}: no object is named:\n{}", ran.stderr);
    }
}

/// Every file that is there has the right bytes; how many are not there.
fn files_are_right(source: &Path, target: &Path, what: &str) -> usize {
    let mut missing = 0;
    for name in ["a.bin", "b.bin", "folder/c.bin", "d.bin"] {
        match fs::read(target.join(name)) {
            Ok(data) => assert!(data == fs::read(source.join(name)).unwrap(), "{what}: {name} is wrong"),
            Err(_) => missing += 1,
        }
    }
    missing
}

#[test]
fn a_removed_object_is_named() {
    let site = small_site(Credential::None);
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["p"], 0);
    let chunk = fs::read_dir(site.path("repository/chunk")).unwrap().next().unwrap().unwrap();
    fs::remove_file(chunk.path()).unwrap();

    let target = site.path("restored");
    let ran = daemon.ctl(&["restore", "main", "latest", "--to", target.to_str().unwrap()]).expect(3);
    assert!(ran.stderr.contains(chunk.file_name().to_str().unwrap()), "{}", ran.stderr);
}

#[test]
fn snapshots_that_cannot_be_read_are_told_by_list_and_restore() {
    let site = small_site(Credential::None);
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    for _ in 0..3 {
        backup(&daemon, &["p"], 0);
    }
    daemon.stop();
    fs::remove_file(site.path("repository/index/snapshots")).unwrap();
    let mut snapshots: Vec<PathBuf> =
        fs::read_dir(site.path("repository/snapshot")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let last = snapshots.pop().unwrap();
    let name = |path: &Path| format!("snapshot/{}", path.file_name().unwrap().to_str().unwrap());
    for path in &snapshots {
        fs::write(path, b"nonsense").unwrap();
    }
    // One that has never read them: a proven snapshot is not read again.
    let daemon = site.start();
    let ran = daemon.ctl(&["list", "main"]).expect(3);
    assert!(ran.text().ends_with("1 snapshot\n") && ran.stderr.contains("PARTIAL: 2 snapshots"), "{ran:?}");
    let listed = daemon.ctl(&["--json", "list", "main"]).expect(3).json();
    assert_eq!((listed["snapshots"].as_array().unwrap().len(), &listed["warning_count"]), (1, &2.into()));
    for path in &snapshots {
        assert!(ran.stderr.contains(&format!("warning: {}", name(path))), "{}", ran.stderr);
        assert!(listed["warnings"].to_string().contains(&name(path)), "{listed}");
    }
    daemon.stop();

    fs::write(last, b"nonsense").unwrap();
    let daemon = site.start();
    assert_eq!(daemon.ctl(&["list", "main"]).expect(3).text(), "0 snapshots\n");
    let to = site.path("restored");
    daemon
        .ctl(&["restore", "main", "latest", "--to", to.to_str().unwrap()])
        .expect(1)
        .says(&["none of the repository's snapshots can be read (3)", "snapshot/"]);
}

#[test]
fn an_unreadable_file_is_a_warning_and_the_rest_is_backed_up() {
    let site = small_site(Credential::None);
    let unreadable = site.path("source/unreadable.txt");
    tree::write(&site.path("source"), "unreadable.txt", b"nobody sees this");
    fs::set_permissions(&unreadable, PermissionsExt::from_mode(0o000)).unwrap();
    // Root reads everything, so the daemon must not be root.
    let daemon = if is_root() { site.start_as_nobody() } else { site.start() };
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();

    let ran = daemon.ctl(&["backup", "p"]).expect(3);
    assert!(ran.stderr.contains("warning: unreadable.txt: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("PARTIAL: 1 warning, see above"), "{}", ran.stderr);
    assert!(entries(&daemon, "main", "latest").contains_key("a.bin"));
    let job = backup(&daemon, &["p"], 3);
    assert_eq!(job.state, "partial");
}
