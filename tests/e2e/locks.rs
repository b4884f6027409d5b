//! Locks that others hold on a repository: who is refused and told what, and who may remove them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use chrono::{TimeDelta, Utc};
use cloudstic_e2e::site::{Credential, Daemon, Site, poll};
use cloudstic_e2e::skip::{is_root, skipped};
use cloudstic_e2e::tree;
use serde_json::json;

use crate::client::{backup, job_of, running_backup, submitted};

fn site() -> Site {
    let mut site = Site::new();
    let (store, source, endless) = (site.path("repository"), site.path("source"), site.path("endless"));
    tree::plain(&source);
    tree::endless(&endless);
    site.repository("main", &store, Credential::Password("correct horse"));
    site.profile("tree", "main", &source, "").profile("endless", "main", &endless, "");
    site
}

/// As the documents describe it: plain JSON, of a host that nobody here knows.
fn prune_elsewhere(site: &Site, expires_in: TimeDelta) -> PathBuf {
    let now = Utc::now();
    let path = site.path("repository/index/lock.exclusive");
    let lock = json!({
        "operation": "prune",
        "holder": "elsewhere (pid 7)",
        "acquired_at": (now - TimeDelta::seconds(5)).to_rfc3339(),
        "expires_at": (now + expires_in).to_rfc3339(),
    });
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, lock.to_string()).unwrap();
    path
}

/// The key of a lock that is there.
fn lock_key(daemon: &Daemon<'_>) -> Option<String> {
    let listed = daemon.ctl(&["--json", "lock", "list", "main"]).ok().json();
    listed["locks"][0]["key"].as_str().map(str::to_owned)
}

#[test]
fn who_is_refused_is_told_by_whom_and_may_break_the_lock() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    let lock = prune_elsewhere(&site, TimeDelta::hours(1));

    let words = ["repository is exclusively locked by elsewhere (pid 7) (operation: prune, acquired: ", ", expires: "];
    daemon.ctl(&["backup", "tree"]).expect(11).says(&words);
    daemon.ctl(&["backup", "tree", "--lock-wait", "300ms"]).expect(11).says(&words);
    let target = site.path("restored");
    daemon.ctl(&["restore", "main", "latest", "--dry-run", "--to", target.to_str().unwrap()]).expect(11).says(&words);
    // What only looks takes no lock.
    daemon.ctl(&["backup", "tree", "--dry-run"]).ok();
    daemon.ctl(&["list", "main"]).ok();
    daemon.ctl(&["ls", "main", "latest"]).ok();

    daemon.ctl(&["lock", "list", "main"]).ok().shows(&["prune", "elsewhere (pid 7)", "exclusive", "live"]);
    daemon.ctl(&["break-lock", "main"]).ok().shows(&["operation: prune", "holder: elsewhere (pid 7)", "shared: no"]);
    assert!(!lock.exists());
    daemon.ctl(&["break-lock", "main"]).ok().shows(&["No lock found: the repository is not locked."]);
    backup(&daemon, &["tree"], 0);
}

#[test]
fn an_expired_lock_is_in_nobodys_way() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    let lock = prune_elsewhere(&site, TimeDelta::seconds(-1));
    daemon.ctl(&["lock", "list", "main"]).ok().shows(&["stale: it has expired"]);
    backup(&daemon, &["tree"], 0);
    assert!(!lock.exists());
}

#[test]
fn a_waiting_job_goes_on_when_the_lock_is_gone() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    let lock = prune_elsewhere(&site, TimeDelta::hours(1));
    let id = submitted(&daemon, &["backup", "tree", "--lock-wait", "1h"]);
    let waits = || Some(job_of(&daemon, &id).phase()).filter(|phase| phase == "locking");
    assert!(poll(waits).is_some(), "{}", daemon.log());
    fs::remove_file(lock).unwrap();
    daemon.ctl(&["job", "watch", &id]).ok();
}

#[test]
fn breaking_the_lock_of_a_job_of_this_daemon_cancels_the_job() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    let id = running_backup(&daemon, &["endless"]);
    let locks = poll(|| {
        let listed = daemon.ctl(&["--json", "lock", "list", "main"]).ok().json();
        Some(listed["locks"].clone()).filter(|locks| locks[0]["job_id"] == id.as_str())
    });
    assert_eq!(locks.expect("the job's lock")[0]["operation"], "backup");
    let broken = daemon.ctl(&["--json", "break-lock", "main"]).ok().json();
    assert_eq!(broken["cancelled_jobs"], json!([id]));
    assert_eq!(broken["removed"][0]["operation"], "backup");
    assert_eq!(job_of(&daemon, &id).state, "cancelled");
    assert_eq!(daemon.ctl(&["--json", "lock", "list", "main"]).ok().json()["locks"], json!([]));
}

#[test]
fn another_daemon_sees_who_holds_a_lock() {
    let (mine, mut theirs) = (site(), Site::new());
    let (store, source) = (mine.path("repository"), mine.path("source"));
    theirs.repository("same", &store, Credential::Password("correct horse")).profile("tree", "same", &source, "");
    let (here, there) = (mine.start(), theirs.start());
    here.ctl(&["init", "main"]).ok();
    running_backup(&here, &["endless"]);
    let seen = poll(|| {
        let locks = there.ctl(&["--json", "lock", "list", "same"]).ok().json()["locks"].clone();
        Some(locks).filter(|locks| locks[0]["holder"].is_string())
    });
    let pid = here.ctl(&["--json", "status"]).ok().json()["pid"].to_string();
    let seen = seen.expect("the other daemon's lock");
    assert!(seen[0]["holder"].as_str().unwrap().ends_with(&format!("(pid {pid})")), "{seen}");
    assert_eq!((&seen[0]["job_id"], &seen[0]["stale"]), (&json!(null), &json!(null)));
    // Backups share the repository.
    backup(&there, &["tree"], 0);
}

#[test]
fn a_repository_that_cannot_be_written_still_restores() {
    if !is_root() {
        return skipped("locks::a_repository_that_cannot_be_written_still_restores", "needs a daemon of another user");
    }
    let site = site();
    let daemon = site.start_as_nobody();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    let store = site.path("repository");
    let read_only = std::process::Command::new("chown").args(["-R", "0:0"]).arg(&store).status().unwrap();
    assert!(read_only.success());
    let open = std::process::Command::new("chmod").args(["-R", "a+rX,go-w"]).arg(&store).status().unwrap();
    assert!(open.success());

    let archive = site.path("out.zip");
    daemon.ctl(&["restore", "main", "latest", "--zip", archive.to_str().unwrap()]).ok();
    let job = daemon.ctl(&["--json", "job", "list", "--limit", "1"]).ok().json()["jobs"][0]["id"].clone();
    daemon.ctl(&["job", "logs", job.as_str().unwrap()]).ok().shows(&["without a lock"]);
    daemon.ctl(&["backup", "tree"]).expect(1);
}

#[test]
fn refused_locks_and_the_clock_of_the_store_are_counted() {
    let mut site = site();
    let port = site.metrics();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    prune_elsewhere(&site, TimeDelta::hours(1));
    daemon.ctl(&["backup", "tree"]).expect(11);
    daemon.ctl(&["break-lock", "main"]).ok();
    running_backup(&daemon, &["endless"]);
    let held = "cloudstic_lock_held{repository=\"main\",mode=\"shared\"} 1";
    let answer = poll(|| Some(scrape(port)).filter(|answer| answer.contains(held)));
    let answer = answer.unwrap_or_else(|| scrape(port));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for line in [
        held,
        "cloudstic_lock_acquire_failures_total{repository=\"main\",reason=\"LOCKED\"} 1",
        "cloudstic_lock_wait_seconds_count{repository=\"main\"} 1",
        "cloudstic_store_clock_skew_seconds{repository=\"main\"} ",
    ] {
        assert!(answer.contains(line), "{line} is not in\n{answer}");
    }
}

pub(crate) fn scrape(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_lock_of_a_killed_daemon_is_known_to_be_dead() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    running_backup(&daemon, &["endless"]);
    let folder = site.path("repository/index/lock.shared");
    assert!(poll(|| lock_key(&daemon)).is_some(), "{}", daemon.log());
    daemon.kill();

    let daemon = site.start();
    daemon.ctl(&["lock", "list", "main"]).ok().shows(&["backup", "stale: its process on this host is gone"]);
    daemon.ctl(&["break-lock", "main"]).ok().shows(&["operation: backup", "shared: yes"]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_daemon_that_stops_leaves_no_lock_and_no_job_that_waits_for_one() {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    tree::plain(&source);
    site.repository("main", &store, Credential::Password("correct horse"));
    site.setting("lock_wait = \"1h\"").profile("tree", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    let lock = prune_elsewhere(&site, TimeDelta::hours(1));
    let id = submitted(&daemon, &["backup", "tree"]);
    let waits = || Some(job_of(&daemon, &id).phase()).filter(|phase| phase == "locking");
    assert!(poll(waits).is_some(), "{}", daemon.log());
    let told = || Some(daemon.ctl(&["job", "logs", &id]).ok().text()).filter(|log| log.contains("elsewhere (pid 7)"));
    assert!(poll(told).is_some(), "the log of the job does not say whom it waits for");
    assert!(daemon.stop().success());

    let daemon = site.start();
    assert_eq!(job_of(&daemon, &id).state, "interrupted");
    fs::remove_file(lock).unwrap();
    assert_eq!(daemon.ctl(&["--json", "lock", "list", "main"]).ok().json()["locks"], json!([]));
    backup(&daemon, &["tree"], 0);
}

#[test]
fn a_job_whose_lock_was_removed_fails_with_that_reason_and_leaves_no_snapshot() {
    let mut site = site();
    let slow = site.path("slow");
    fs::create_dir(&slow).unwrap();
    // Long enough to be caught at work: all its zeros are hashed.
    fs::File::create(slow.join("sparse.bin")).unwrap().set_len(2 << 30).unwrap();
    site.profile("slow", "main", &slow, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    let id = running_backup(&daemon, &["slow"]);
    let key = poll(|| lock_key(&daemon));
    let key = key.unwrap_or_else(|| panic!("{}", daemon.log()));
    fs::remove_file(site.path("repository").join(key)).unwrap();

    daemon.ctl(&["job", "watch", &id]).expect(1).says(&["the repository lock of this backup was lost"]);
    assert_eq!(daemon.ctl(&["--json", "job", "show", &id]).ok().json()["failure"]["reason"], "LOCK_LOST");
    assert_eq!(daemon.ctl(&["--json", "list", "main"]).ok().json()["snapshots"], json!([]));
}
