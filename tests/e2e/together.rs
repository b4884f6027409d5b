//! Jobs of one daemon that run, wait or are skipped beside one another.

use std::process::{Child, Command, Stdio};

use cloudstic_e2e::site::{Credential, Daemon, Site, poll};
use cloudstic_e2e::{binaries, random, tree};

use crate::client::{backup, job_of, running_backup, submitted};

fn site() -> Site {
    let mut site = Site::new();
    let (store, source, endless) = (site.path("repository"), site.path("source"), site.path("endless"));
    // More than fits into the buffers between the daemon and whoever reads an archive.
    tree::write(&source, "large.bin", &random::bytes(1, 24 << 20));
    tree::endless(&endless);
    site.repository("main", &store, Credential::Password("correct horse"));
    site.profile("tree", "main", &source, "").profile("endless", "main", &endless, "");
    site
}

/// Ends its program with itself.
struct Reader(Child);

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client that asks for an archive and never reads it.
fn idle_reader(site: &Site) -> Reader {
    let mut client = Command::new(binaries::client());
    client.arg("--socket").arg(site.path("daemon.sock")).args(["restore", "main", "latest", "--zip", "-"]);
    Reader(client.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
}

fn running(daemon: &Daemon<'_>) -> usize {
    let jobs = daemon.ctl(&["--json", "job", "list"]).ok().json();
    jobs["jobs"].as_array().unwrap().iter().filter(|job| job["state"] == "running").count()
}

#[test]
fn archives_that_nobody_reads_do_not_hold_up_backups() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    let _readers = [idle_reader(&site), idle_reader(&site)];
    assert!(poll(|| (running(&daemon) == 2).then_some(())).is_some(), "{}", daemon.log());
    backup(&daemon, &["tree"], 0);
    assert_eq!(running(&daemon), 2);
}

#[test]
fn a_second_backup_of_a_profile_waits_or_is_skipped_as_its_caller_wants() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    let first = running_backup(&daemon, &["endless"]);

    let skipped = daemon.ctl(&["backup", "endless", "--skip-if-busy"]).ok();
    skipped.says(&["warning", "skipped", &first]);
    assert_eq!(backup(&daemon, &["endless", "--skip-if-busy"], 0).state, "skipped");

    let waits = submitted(&daemon, &["backup", "endless"]);
    let endless = site.path("endless");
    let over = submitted(&daemon, &["restore", "main", "latest", "--to", endless.to_str().unwrap()]);
    backup(&daemon, &["tree", "--skip-if-busy"], 0);
    for id in [&waits, &over] {
        assert_eq!(job_of(&daemon, id).state, "queued");
    }
}
