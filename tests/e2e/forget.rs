//! Snapshots that go, and tags that change: what a user is told before, what is there after, and who may.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use cloudstic_e2e::oracle::{assert_same_tree, assert_sound};
use cloudstic_e2e::site::{Credential, Daemon, Site};
use cloudstic_e2e::skip::{is_root, skipped};
use cloudstic_e2e::{random, tree};
use serde_json::{Value, json};

use crate::client::{backup, snapshots};

const PASSWORD: &str = "correct horse battery staple";

fn site() -> Site {
    configured(Site::new())
}

fn configured(mut site: Site) -> Site {
    let (store, source) = (site.path("repository"), site.path("source"));
    tree::plain(&source);
    site.repository("main", &store, Credential::Password(PASSWORD)).profile("tree", "main", &source, "");
    site
}

/// Three snapshots, each with what was there then in a folder beside the source.
fn three(site: &Site, daemon: &Daemon<'_>) {
    daemon.ctl(&["init", "main"]).ok();
    for n in 1..=3 {
        tree::write(&site.path("source"), "changes.txt", format!("state {n}").as_bytes());
        backup(daemon, &["tree"], 0);
    }
}

fn numbers(daemon: &Daemon<'_>) -> Vec<u64> {
    snapshots(daemon, "main").iter().map(|snapshot| snapshot.seq).collect()
}

fn sound(site: &Site) {
    assert_sound(&site.path("repository"), &["--password", PASSWORD]);
}

#[test]
fn what_a_dry_run_says_happens_and_latest_is_what_remains() {
    let mut site = site();
    let port = site.metrics();
    let daemon = site.start();
    three(&site, &daemon);
    let newest = snapshots(&daemon, "main")[0].reference.clone();

    let policy = ["forget", "main", "--keep-last", "2"];
    let preview = daemon.ctl(&[&policy[..], &["-n"]].concat()).ok();
    let preview = preview.shows(&["Snapshots for source:local, account:", "keep 2 snapshots:", "REASONS", "last"]);
    preview.shows(&["remove 1 snapshot:", "no rule keeps it", "dry run: would remove 1 snapshot"]);
    assert_eq!(numbers(&daemon), [3, 2, 1]);
    daemon.ctl(&policy).ok().shows(&["removed 1 snapshot;"]);
    assert_eq!(numbers(&daemon), [3, 2]);
    sound(&site);

    let report = daemon.ctl(&["--json", "forget", "main", &newest]).ok().json()["report"].clone();
    assert_eq!((&report["removed"], &report["groups"][0]["snapshots"][0]["keep"]), (&json!(1), &json!(false)));
    assert_eq!(numbers(&daemon), [2]);
    sound(&site);
    let target = site.path("restored");
    daemon.ctl(&["restore", "main", "latest", "--to", target.to_str().unwrap()]).ok();
    assert_eq!(fs::read_to_string(target.join("changes.txt")).unwrap(), "state 2");

    let answer = scrape(port);
    let line = "cloudstic_forget_last_removed_snapshots{repository=\"main\"} 1";
    assert!(answer.contains(line), "{line} is not in\n{answer}");
    // The number of the one that is gone is given again, and its data is still known.
    assert_eq!(backup(&daemon, &["tree"], 0).reported("seq"), 3);
    daemon.ctl(&["restore", "main", "latest", "--to", site.path("again").to_str().unwrap()]).ok();
    assert_same_tree(&site.path("source"), &site.path("again"));
    sound(&site);
}

#[test]
fn nothing_goes_by_mistake() {
    let site = site();
    let daemon = site.start();
    three(&site, &daemon);
    let all: Vec<String> = snapshots(&daemon, "main").into_iter().map(|snapshot| snapshot.reference).collect();
    let named: Vec<&str> = ["forget", "main"].into_iter().chain(all.iter().map(String::as_str)).collect();
    daemon.ctl(&named).expect(1).says(&["nothing was removed", "--remove-last"]);
    daemon.ctl(&["forget", "main", "--keep-last", "0"]).expect(1).says(&["keeps nothing"]);
    daemon.ctl(&["forget", "main", "--keep-within", "soon"]).expect(1).says(&["\"soon\"", "2y5m7d3h"]);
    daemon.ctl(&["forget", "main", "latest", "ffff"]).expect(1).says(&["ffff"]);
    daemon.ctl(&["forget", "main"]).expect(2);
    daemon.ctl(&["forget", "main", "latest", "--keep-last", "1"]).expect(2);
    daemon.ctl(&["tag", "add", "main", "latest", "--tag", "a,b"]).expect(1).says(&["\"a,b\" cannot be a tag"]);
    assert_eq!(numbers(&daemon), [3, 2, 1]);
    // A policy that would keep none keeps the newest.
    daemon.ctl(&["forget", "main", "--keep-tag", "none has it"]).ok().shows(&["last-of-group"]);
    assert_eq!(numbers(&daemon), [3]);
    daemon.ctl(&["forget", "main", "latest", "--remove-last"]).ok();
    assert_eq!(numbers(&daemon), [0; 0]);
    daemon.ctl(&["restore", "main", "latest", "--to", "/nowhere"]).expect(1).says(&["no snapshots yet"]);
    sound(&site);
}

#[test]
fn tags_change_and_policies_go_by_them() {
    let site = site();
    let daemon = site.start();
    three(&site, &daemon);
    let oldest = snapshots(&daemon, "main")[2].reference.clone();
    daemon.ctl(&["tag", "add", "main", &oldest, "--tag", "keep", "-n"]).ok().shows(&["would change the tags of 1"]);
    assert!(snapshots(&daemon, "main").iter().all(|snapshot| snapshot.tags.is_empty()));
    let job: Value = daemon.ctl(&["--json", "tag", "add", "main", &oldest, "--tag", "keep"]).ok().json();
    let changed = &job["report"]["changed"][0];
    assert_eq!((&changed["old"], &changed["after"]), (&json!(oldest), &json!(["keep"])));
    assert_eq!(changed["new"], json!(snapshots(&daemon, "main")[2].reference));
    sound(&site);
    daemon.ctl(&["tag", "add", "main", "--with-tag", "keep", "--tag", "keep"]).ok().shows(&["had them so already"]);

    daemon.ctl(&["forget", "main", "--keep-last", "1", "--keep-tag", "keep"]).ok();
    assert_eq!(numbers(&daemon), [3, 1]);
    daemon.ctl(&["tag", "set", "main", "latest", "--tag", "new"]).ok();
    daemon.ctl(&["tag", "remove", "main", "--with-tag", "keep", "--tag", "keep"]).ok();
    let listed = snapshots(&daemon, "main");
    assert_eq!((listed[0].tags.join(","), listed[1].reference.as_str()), ("new".to_owned(), oldest.as_str()));
    // Nothing of the next backup is read again, though the snapshot that it follows on has another name.
    let next = backup(&daemon, &["tree"], 0);
    assert_eq!((next.reported("seq"), next.reported("read_bytes")), (4, 0));
    sound(&site);
}

#[test]
fn what_removes_needs_the_repository_for_itself_and_the_daemons_rights() {
    let mut open = Site::new();
    if is_root() {
        open.setting("socket_group = \"nogroup\"").setting("\n[access]\nusers = [\"nobody\"]");
    }
    let site = configured(open);
    let daemon = site.start();
    three(&site, &daemon);
    let lock = site.path("repository/index/lock.exclusive");
    let soon = (chrono::Utc::now() + chrono::TimeDelta::hours(1)).to_rfc3339();
    let held = json!({"operation": "prune", "holder": "elsewhere (pid 7)", "acquired_at": soon, "expires_at": soon});
    fs::write(&lock, held.to_string()).unwrap();
    daemon.ctl(&["forget", "main", "latest"]).expect(11).says(&["exclusively locked by elsewhere"]);
    daemon.ctl(&["tag", "add", "main", "latest", "--tag", "x"]).expect(11).says(&["exclusively locked"]);
    daemon.ctl(&["forget", "main", "latest", "--dry-run"]).ok();
    daemon.ctl(&["break-lock", "main"]).ok();
    if !is_root() {
        return skipped("forget by somebody else", "only root can call as another user");
    }
    site.ctl_as_nobody(&["forget", "main", "latest"]).expect(1).says(&["only root", "may forget"]);
    site.ctl_as_nobody(&["tag", "add", "main", "latest", "--tag", "x"]).expect(1).says(&["only root"]);
    site.ctl_as_nobody(&["forget", "main", "latest", "--dry-run"]).ok().shows(&["would remove 1 snapshot"]);
    assert_eq!(numbers(&daemon), [3, 2, 1]);
}

#[test]
fn what_went_is_told_also_when_the_prune_after_it_fails() {
    let site = site();
    let daemon = site.start();
    three(&site, &daemon);
    let all: Vec<String> = snapshots(&daemon, "main").into_iter().map(|snapshot| snapshot.reference).collect();
    // The newest one cannot be read any more, so nobody can tell what it needs.
    for pack in fs::read_dir(site.path("repository/packs")).unwrap() {
        fs::remove_file(pack.unwrap().path()).unwrap();
    }
    let ran = daemon.ctl(&["--json", "forget", "main", "--keep-last", "1", "--prune"]).expect(1);
    let job = ran.json();
    assert_eq!((&job["state"], &job["failure"]["reason"]), (&json!("failed"), &json!("DAMAGED")));
    let message = job["failure"]["message"].as_str().unwrap();
    assert!(message.starts_with("2 snapshots were removed, and then the prune failed: "), "{message}");
    let report = &job["report"];
    assert_eq!((&report["removed"], &report["pruned"]), (&json!(2), &Value::Null));
    let told = report["groups"][0]["snapshots"].as_array().unwrap();
    let told: Vec<_> =
        told.iter().map(|it| (it["ref"].as_str().unwrap(), it["reasons"][0].as_str().unwrap())).collect();
    assert_eq!(told, [(&*all[0], "last"), (&*all[1], "no-rule"), (&*all[2], "no-rule")]);
    assert_eq!(numbers(&daemon), [3]);
    let shown = daemon.ctl(&["job", "show", job["id"].as_str().unwrap()]).ok();
    shown.shows(&["remove 2 snapshots:", "no rule keeps it", "removed 2 snapshots;", "then the prune failed"]);
}

#[test]
fn a_prune_has_the_limits_of_the_configuration_unless_it_is_given_others() {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    tree::write(&source, "kept", &random::bytes(1, 200_000));
    site.repository("main", &store, Credential::None).setting("max_waste = 90");
    site.profile("tree", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    tree::write(&source, "gone", &random::bytes(2, 200_000));
    backup(&daemon, &["tree"], 0);
    fs::remove_file(source.join("gone")).unwrap();
    backup(&daemon, &["tree"], 0);
    let rewritten = |args: &[&str]| {
        let report = daemon.ctl(&[&["--json"], args].concat()).ok().json()["report"].clone();
        let prune = if report["pruned"].is_null() { &report } else { &report["pruned"] };
        prune["packs_rewritten"].as_u64().unwrap()
    };
    let forget = ["forget", "main", "--keep-last", "1", "--prune", "-n"];
    assert_eq!(rewritten(&forget), 0);
    assert!(rewritten(&[&forget[..], &["--max-waste", "10"]].concat()) > 0);
    assert_eq!(rewritten(&[&forget[..], &["--max-waste", "10", "--max-repack-size", "0"]].concat()), 0);
    daemon.ctl(&["forget", "main", "--keep-last", "1"]).ok();
    assert_eq!(rewritten(&["prune", "main", "-n"]), 0);
    assert!(rewritten(&["prune", "main", "-n", "--max-waste", "10"]) > 0);
}

fn scrape(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
