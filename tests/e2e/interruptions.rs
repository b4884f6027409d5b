//! Daemons that stop, and jobs that are cancelled, in the middle of a backup: nothing is broken and nothing forgotten.

use std::fs::{self, File};
use std::path::Path;

use cloudstic_e2e::oracle::{assert_same_tree, oracle};
use cloudstic_e2e::site::{Credential, Daemon, Site, poll};
use cloudstic_e2e::tree;

use crate::client::{backup, job_of, running_backup, snapshots, submitted};

const PASSWORD: &str = "correct horse";

/// A repository with one good snapshot of `tree`, and a profile `endless` whose backup does not end by itself.
fn site() -> Site {
    let mut site = Site::new();
    let (store, source, endless) = (site.path("repository"), site.path("source"), site.path("endless"));
    tree::plain(&source);
    tree::endless(&endless);
    site.repository("main", &store, Credential::Password(PASSWORD));
    site.profile("tree", "main", &source, "").profile("endless", "main", &endless, "");
    site
}

fn prepare(daemon: &Daemon<'_>) {
    daemon.ctl(&["init", "main"]).ok();
    backup(daemon, &["tree"], 0);
}

/// The good snapshot is the only one, it restores, and the next backup of the tree works.
fn nothing_is_broken(daemon: &Daemon<'_>, site: &Site) {
    assert_eq!(snapshots(daemon, "main").len(), 1);
    let target = site.path("restored");
    daemon.ctl(&["restore", "main", "latest", "--to", target.to_str().unwrap()]).ok();
    assert_same_tree(&site.path("source"), &target);
    tree::change(&site.path("source"));
    backup(daemon, &["tree"], 0);
    let store = site.path("repository");
    oracle(["verify", "--password", PASSWORD, store.to_str().unwrap()]).ok();
}

#[test]
fn a_cancelled_job_stops_soon_and_leaves_no_snapshot() {
    let site = site();
    let daemon = site.start();
    prepare(&daemon);
    let id = running_backup(&daemon, &["endless"]);
    daemon.ctl(&["job", "cancel", &id]).ok();
    let state = poll(|| Some(job_of(&daemon, &id).state).filter(|state| state != "running"));
    assert_eq!(state.as_deref(), Some("cancelled"));
    daemon.ctl(&["job", "watch", &id]).expect(130);
    nothing_is_broken(&daemon, &site);
}

#[test]
fn a_cancelled_restore_leaves_nothing_half_written() {
    let mut site = Site::new();
    let (store, source, target) = (site.path("repository"), site.path("source"), site.path("target"));
    site.repository("main", &store, Credential::None).profile("p", "main", &source, "");
    tree::write(&source, "aaa.txt", b"restored whole, or not at all\n");
    // It takes no room, but seconds to prove.
    File::create(source.join("large.bin")).unwrap().set_len(LARGE).unwrap();
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["p"], 0);

    let id = submitted(&daemon, &["restore", "main", "latest", "--to", target.to_str().unwrap()]);
    poll(|| names(&target).iter().any(|name| name.ends_with(".tmp")).then_some(())).expect("a file is being written");
    daemon.ctl(&["job", "cancel", &id]).ok();
    daemon.ctl(&["job", "watch", &id]).expect(130).says(&[&id, "cancelled"]);
    let left = names(&target);
    assert!(!left.iter().any(|name| name != "aaa.txt"), "{left:?}");
    if left.len() == 1 {
        assert_eq!(fs::read(target.join("aaa.txt")).unwrap(), fs::read(source.join("aaa.txt")).unwrap());
    }

    daemon.ctl(&["restore", "main", "latest", "--to", target.to_str().unwrap()]).ok();
    assert_eq!(fs::metadata(target.join("large.bin")).unwrap().len(), LARGE);
}

/// The size of a file whose restore can be cancelled in the middle, in bytes.
const LARGE: u64 = 3 << 30;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn sigterm_stops_a_backup_at_a_safe_point() {
    let site = site();
    let daemon = site.start();
    prepare(&daemon);
    let id = running_backup(&daemon, &["endless"]);
    assert!(daemon.stop().success());
    assert!(!site.path("daemon.sock").exists(), "the socket stays behind");

    let daemon = site.start();
    assert_eq!(job_of(&daemon, &id).state, "interrupted");
    nothing_is_broken(&daemon, &site);
}

#[test]
fn a_killed_daemon_knows_on_its_next_start_what_it_was_doing() {
    let site = site();
    let daemon = site.start();
    prepare(&daemon);
    let id = running_backup(&daemon, &["endless"]);
    daemon.kill();

    let daemon = site.start();
    assert_eq!(job_of(&daemon, &id).state, "interrupted");
    nothing_is_broken(&daemon, &site);
}

#[test]
fn jobs_that_have_ended_are_remembered_over_a_restart() {
    let site = site();
    let daemon = site.start();
    prepare(&daemon);
    let job = backup(&daemon, &["tree"], 0);
    daemon.kill();

    let daemon = site.start();
    assert_eq!(job_of(&daemon, &job.id).state, "succeeded");
    daemon.ctl(&["job", "logs", &job.id]).ok();
}
