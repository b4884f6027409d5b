//! Repositories that go away or are replaced while the daemon runs, which has them open: no backup succeeds into nothing.

use std::fs;
use std::path::Path;

use cloudstic_e2e::oracle::assert_sound;
use cloudstic_e2e::site::{Credential, Daemon, Site};
use cloudstic_e2e::tree;

use crate::client::{backup, snapshots};

fn site() -> Site {
    let mut site = Site::new();
    let (store, source) = (site.path("disk/repository"), site.path("source"));
    site.repository("main", &store, Credential::Password("secret")).profile("p", "main", &source, "");
    tree::write(&source, "file.txt", b"here\n");
    site
}

fn restores(daemon: &Daemon<'_>, target: &Path) {
    daemon.ctl(&["restore", "main", "latest", "--to", target.to_str().unwrap()]).ok();
    assert_eq!(fs::read(target.join("file.txt")).unwrap(), b"here\n");
}

#[test]
fn a_repository_that_was_moved_away_fails_the_backup_and_is_not_made_anew() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["p"], 0);
    let (disk, moved) = (site.path("disk"), site.path("moved"));
    fs::rename(&disk, &moved).unwrap();
    daemon.ctl(&["backup", "p"]).expect(10).says(&["disk/repository", "check the place"]);
    daemon.ctl(&["list", "main"]).expect(10).says(&["disk/repository", "check the place"]);
    assert!(!disk.exists());
    // As below the place where a disk was mounted.
    fs::create_dir_all(disk.join("repository")).unwrap();
    daemon.ctl(&["backup", "p"]).expect(10).says(&["disk/repository", "check the place"]);
    assert_eq!(fs::read_dir(disk.join("repository")).unwrap().count(), 0);

    fs::remove_dir_all(&disk).unwrap();
    fs::rename(&moved, &disk).unwrap();
    backup(&daemon, &["p"], 0);
    assert_eq!(snapshots(&daemon, "main").len(), 2);
    assert_sound(&disk.join("repository"), &["--password", "secret"]);
}

#[test]
fn a_repository_made_anew_is_opened_with_its_own_key() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["p"], 0);
    fs::remove_dir_all(site.path("disk")).unwrap();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["p"], 0);
    restores(&daemon, &site.path("restored"));
    daemon.stop();

    let daemon = site.start();
    assert_eq!(snapshots(&daemon, "main").len(), 1);
    restores(&daemon, &site.path("restored again"));
    assert_sound(&site.path("disk/repository"), &["--password", "secret"]);
}
