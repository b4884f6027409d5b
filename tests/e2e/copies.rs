//! Copies between two repositories of one daemon, and what is counted in them.

use std::fs;

use cloudstic_e2e::oracle::{assert_same_tree, assert_sound, oracle};
use cloudstic_e2e::random;
use cloudstic_e2e::site::{Credential, Daemon, Site};
use cloudstic_e2e::tree;
use serde_json::{Value, json};

use crate::client::{backup, job_of, snapshots, submitted};

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Two repositories and a tree.
fn site() -> Site {
    let mut site = Site::new();
    let (plain, sealed, source) = (site.path("plain"), site.path("sealed"), site.path("source"));
    tree::full(&source);
    site.repository("plain", &plain, Credential::None).repository("sealed", &sealed, Credential::PlatformKey(KEY));
    site.profile("tree", "plain", &source, "tags = [\"daily\"]");
    site
}

fn start(site: &Site) -> Daemon<'_> {
    let daemon = site.start();
    daemon.ctl(&["init", "plain", "--unencrypted"]).ok();
    daemon.ctl(&["init", "sealed"]).ok();
    daemon
}

fn copy(daemon: &Daemon<'_>, args: &[&str], code: i32) -> Value {
    daemon.ctl(&[&["--json", "copy", "plain", "sealed"], args].concat()).expect(code).json()["report"].clone()
}

#[test]
fn what_was_copied_is_restored_as_it_was() {
    let site = site();
    let daemon = start(&site);
    backup(&daemon, &["tree"], 0);
    tree::change(&site.path("source"));
    backup(&daemon, &["tree"], 0);

    let dry = copy(&daemon, &["-n"], 0);
    assert_eq!((&dry["copied"], &dry["snapshots"][0]["state"]), (&json!(2), &json!("would-copy")));
    assert!(snapshots(&daemon, "sealed").is_empty());
    let first = copy(&daemon, &["latest"], 0);
    assert_eq!((&first["copied"], &first["present"]), (&json!(1), &json!(0)));
    let shown = daemon.ctl(&["copy", "plain", "sealed"]).ok();
    shown.shows(&["copied 1 snapshot; the target had 1 snapshot"]);
    let there = copy(&daemon, &["--tag", "daily"], 0);
    assert_eq!(there["present"], json!(2));
    assert_eq!(copy(&daemon, &["--tag", "weekly"], 0)["snapshots"], json!([]));

    let (originals, copies) = (snapshots(&daemon, "plain"), snapshots(&daemon, "sealed"));
    assert_eq!((originals.len(), copies.len()), (2, 2));
    for pair in there["snapshots"].as_array().unwrap() {
        let original = originals.iter().find(|original| original.reference == pair["source"]).unwrap();
        let copy = copies.iter().find(|copy| copy.reference == pair["copy"]).unwrap();
        assert_eq!((&original.tags, &original.value["created"]), (&copy.tags, &copy.value["created"]));
        assert_eq!(original.value["source"], copy.value["source"]);
        let folders = [("plain", original), ("sealed", copy)].map(|(repository, snapshot)| {
            let folder = site.path(&format!("{repository}-{}", snapshot.reference.replace('/', "-")));
            daemon.ctl(&["restore", repository, &snapshot.reference, "--to", folder.to_str().unwrap()]).ok();
            folder
        });
        assert_same_tree(&folders[0], &folders[1]);
    }
    assert_sound(&site.path("sealed"), &["--platform-key", KEY]);
    daemon.ctl(&["tag", "add", "plain", "latest", "--tag", "new"]).ok();
    daemon.ctl(&["copy", "plain", "sealed"]).ok().shows(&["tags differ in 1 snapshot"]);
    assert_eq!(snapshots(&daemon, "sealed").len(), 2);
    daemon.ctl(&["stats", "sealed", "--tag", "daily", "--tag", "new"]).ok().shows(&["in 0 snapshots: "]);
    assert_eq!(daemon.ctl(&["--json", "list", "plain", "--tag", "new"]).ok().json()["snapshots"][0]["seq"], json!(2));
    daemon.ctl(&["find", "plain", "*", "--tag", "new"]).ok().shows(&["in 1 snapshot"]);
    daemon.ctl(&["copy", "plain", "plain"]).expect(1).says(&["name two"]);
    daemon.ctl(&["copy", "plain", "sealed", "latest", "--tag", "x"]).expect(2);
}

#[test]
fn a_copy_with_damage_is_partial_and_says_what_is_missing() {
    let site = site();
    let daemon = start(&site);
    backup(&daemon, &["tree"], 0);
    tree::write(&site.path("source"), "more.bin", &random::bytes(77, 900_000));
    backup(&daemon, &["tree"], 0);
    let chunks = fs::read_dir(site.path("plain/chunk")).unwrap().map(|entry| entry.unwrap().path());
    // Noise is stored as it is, so the chunk of that file is the largest part of it.
    let own = chunks.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap();
    fs::remove_file(own).unwrap();

    let ran = daemon.ctl(&["copy", "plain", "sealed"]).expect(3);
    assert!(ran.stderr.contains("more.bin") && ran.stderr.contains("not copied"), "{}", ran.stderr);
    assert_eq!(snapshots(&daemon, "sealed").len(), 1);
    daemon.ctl(&["copy", "plain", "sealed", "latest"]).expect(1);
    let partial = copy(&daemon, &["--partial"], 3);
    assert_eq!((&partial["incomplete"], &partial["warnings"][0]["path"]), (&json!(1), &json!("more.bin")));
    assert_eq!(snapshots(&daemon, "sealed").len(), 2);
    assert_sound(&site.path("sealed"), &["--platform-key", KEY]);
}

#[test]
fn stats_are_those_of_a_known_tree() {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    tree::write(&source, "one", &random::bytes(1, 1000));
    tree::write(&source, "d/same", &random::bytes(1, 1000));
    tree::write(&source, "d/two", &random::bytes(2, 700_000));
    site.repository("main", &store, Credential::None).profile("tree", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["tree"], 0);
    fs::remove_file(source.join("d/two")).unwrap();
    backup(&daemon, &["tree"], 0);

    let report = daemon.ctl(&["--json", "stats", "main"]).ok().json()["report"].clone();
    let rows = report["snapshots"].as_array().unwrap();
    let row = |at: usize| ["files", "folders", "others", "raw_bytes"].map(|name| rows[at][name].as_u64().unwrap());
    assert_eq!((row(0), row(1)), ([2, 1, 0, 2000], [3, 1, 0, 702_000]));
    assert_eq!((&report["total"]["raw_bytes"], &report["total"]["distinct_bytes"]), (&json!(704_000), &json!(701_000)));
    assert_eq!(report["total"]["dedup_ratio"], json!(704.0 / 701.0));
    let chunk = |path: fs::DirEntry| path.metadata().unwrap().len();
    let large: u64 = fs::read_dir(store.join("chunk")).unwrap().map(|entry| chunk(entry.unwrap())).sum();
    let alone = rows[1]["unique_bytes"].as_u64().unwrap();
    assert!(alone > large && alone < large + 400_000, "{alone} beside {large}");
    assert_eq!(report["repository"]["unreferenced_bytes"], json!(0));
    let packs: u64 = fs::read_dir(store.join("packs")).unwrap().map(|entry| chunk(entry.unwrap())).sum();
    assert_eq!(report["repository"]["pack_bytes"], json!(packs));
    daemon.ctl(&["stats", "main", "latest"]).ok().shows(&["in 1 snapshot: ", "repository: "]);
    daemon.ctl(&["stats", "main", "ffffff"]).expect(1).says(&["no snapshot"]);
}

#[test]
fn a_copy_that_is_killed_goes_on_with_the_next_daemon() {
    let mut site = site();
    let large = site.path("large");
    fs::create_dir(&large).unwrap();
    for n in 0..6 {
        fs::write(large.join(format!("{n}")), random::bytes(n, 20 << 20)).unwrap();
    }
    site.profile("large", "plain", &large, "");
    let daemon = start(&site);
    backup(&daemon, &["large"], 0);
    let id = submitted(&daemon, &["copy", "plain", "sealed"]);
    let begun = || fs::read_dir(site.path("sealed/chunk")).ok()?.next();
    assert!(cloudstic_e2e::site::poll(begun).is_some(), "{}", daemon.log());
    daemon.kill();

    let daemon = site.start();
    assert!(["interrupted", "succeeded"].contains(&job_of(&daemon, &id).state.as_str()));
    copy(&daemon, &[], 0);
    assert_eq!(snapshots(&daemon, "sealed").len(), 1);
    // Not strict: who was killed leaves unfinished files, which are no objects.
    let sealed = site.path("sealed");
    oracle(["verify", sealed.to_str().unwrap(), "--platform-key", KEY]).ok();
}
