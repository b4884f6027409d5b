//! What nobody needs is removed, and nothing else.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use cloudstic_e2e::golden;
use cloudstic_e2e::oracle::{assert_same_tree, assert_sound, oracle};
use cloudstic_e2e::site::{Credential, Daemon, Site};
use cloudstic_e2e::{random, tree};
use serde_json::{Map, Value};

use crate::client::{backup, snapshots};

const PASSWORD: &str = "correct horse";
const OPENED_WITH: [&str; 2] = ["--password", PASSWORD];

/// Three snapshots, the oldest of which has most of the data.
fn site() -> Site {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    tree::write(&source, "kept", &random::bytes(1, 9000));
    site.repository("main", &store, Credential::Password(PASSWORD)).profile("tree", "main", &source, "");
    site
}

fn back_up_thrice(site: &Site, daemon: &Daemon<'_>) {
    let source = site.path("source");
    daemon.ctl(&["init", "main"]).ok();
    tree::write(&source, "large", &random::bytes(2, 3_000_000));
    for n in 0..30 {
        tree::write(&source, format!("old-{n}"), &random::bytes(10 + n, 2000));
    }
    backup(daemon, &["tree"], 0);
    fs::remove_file(source.join("large")).unwrap();
    (0..30).for_each(|n| fs::remove_file(source.join(format!("old-{n}"))).unwrap());
    backup(daemon, &["tree"], 0);
    remove_oldest(daemon, "main", &site.path("repository"));
    tree::write(&source, "new", b"new");
    backup(daemon, &["tree"], 0);
}

/// Removes a snapshot as a program does that knows nothing of what we know; the next backup makes the indexes right.
fn remove_oldest(daemon: &Daemon<'_>, name: &str, repository: &Path) {
    let oldest = snapshots(daemon, name).pop().unwrap().reference;
    // It would still name it.
    let index = repository.join("index/snapshots");
    if index.exists() {
        fs::remove_file(index).unwrap();
    }
    let plain = repository.join(&oldest);
    if plain.exists() {
        return fs::remove_file(plain).unwrap();
    }
    let catalog = repository.join("index/packs");
    let mut entries: Map<String, Value> = serde_json::from_slice(&fs::read(&catalog).unwrap()).unwrap();
    assert!(entries.remove(&oldest).is_some());
    fs::write(catalog, serde_json::to_vec(&entries).unwrap()).unwrap();
}

/// Bytes of everything but indexes.
fn size(repository: &Path) -> u64 {
    let folders = fs::read_dir(repository).unwrap().map(|folder| folder.unwrap().path());
    let folders = folders.filter(|folder| folder.is_dir() && !folder.ends_with("index"));
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

/// What the oracle finds that no snapshot leads to, and bytes in packs that are nobody's.
#[track_caller]
fn unreferenced(repository: &Path, credential: &[&str]) -> (u64, u64) {
    let mut args: Vec<&OsStr> = ["verify", "--json"].map(OsStr::new).to_vec();
    args.push(repository.as_os_str());
    args.extend(credential.iter().map(OsStr::new));
    let found = oracle(args).ok().json();
    let objects = found["unreferenced"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    let dead = found["packs"].as_array().unwrap().iter().filter_map(|pack| pack["dead_bytes"].as_u64()).sum();
    (objects, dead)
}

#[test]
fn a_prune_frees_what_its_dry_run_promises_and_keeps_what_is_needed() {
    let mut site = site();
    let port = site.metrics();
    let daemon = site.start();
    back_up_thrice(&site, &daemon);
    let (repository, source) = (site.path("repository"), site.path("source"));
    assert!(unreferenced(&repository, &OPENED_WITH).0 > 30);
    let before = size(&repository);
    let told = daemon.ctl(&["--json", "prune", "main", "--dry-run", "--max-waste", "0"]).ok().json()["report"].clone();
    assert_eq!(size(&repository), before);
    daemon.ctl(&["prune", "main", "-n"]).ok().shows(&["dry run: nothing was changed", "would free"]);
    let mut done = daemon.ctl(&["--json", "prune", "main", "--max-waste", "0"]).ok().json()["report"].clone();
    assert_eq!(done["freed_bytes"].as_u64(), Some(before - size(&repository)));
    let answer = crate::locks::scrape(port);
    for (metric, figure) in [("reclaimed_bytes", "freed_bytes"), ("deleted_objects", "removed_objects")] {
        let line = format!("cloudstic_prune_last_{metric}{{repository=\"main\"}} {}", done[figure]);
        assert!(answer.contains(&line), "{line} is not in {answer}");
    }
    done["dry_run"] = true.into();
    assert_eq!(done, told);
    assert_sound(&repository, &OPENED_WITH);
    assert_eq!(unreferenced(&repository, &OPENED_WITH), (0, 0));
    let target = site.path("restored");
    daemon.ctl(&["restore", "main", "latest", "--to", target.to_str().unwrap()]).ok();
    assert_same_tree(&source, &target);
    // Another one has nothing to do, and a backup goes on as before.
    daemon.ctl(&["prune", "main", "--max-waste", "0"]).ok().shows(&["freed 0 B"]);
    assert_eq!(backup(&daemon, &["tree"], 0).reported("added_bytes"), 0);
}

#[test]
fn a_pack_that_nobody_knows_ends_it_unless_it_is_to_go_on_or_a_repair_has_looked() {
    let site = site();
    let daemon = site.start();
    back_up_thrice(&site, &daemon);
    let pack = site.path("repository/packs").join("77".repeat(32));
    fs::write(&pack, random::bytes(77, 3000)).unwrap();
    let before = size(&site.path("repository"));
    daemon.ctl(&["prune", "main"]).expect(1).says(&["nothing was deleted", "cloudsticctl repair"]);
    assert_eq!(size(&site.path("repository")), before);
    daemon.ctl(&["prune", "main", "--despite-unknown-packs"]).ok().shows(&["1 pack (2.9 KiB) is kept"]);
    assert!(pack.exists() && size(&site.path("repository")) < before);
    daemon.ctl(&["repair", "main"]).ok();
    daemon.ctl(&["prune", "main"]).ok();
    assert!(!pack.exists());
}

#[test]
fn repositories_of_the_cli_have_nothing_left_over_after_it() {
    let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    for (name, credential, opened_with) in [
        ("plain", Credential::None, vec![]),
        ("nopack", Credential::None, vec![]),
        ("encrypted", Credential::PlatformKey(key), vec!["--platform-key", key]),
    ] {
        for removed in [1, 2] {
            let mut site = Site::new();
            let (store, extra) = (site.path("repository"), site.path("extra"));
            golden::copy(name, &store);
            tree::write(&extra, "file", b"bytes");
            site.repository("golden", &store, credential).profile("extra", "golden", &extra, "");
            let daemon = site.start();
            (0..removed).for_each(|_| remove_oldest(&daemon, "golden", &store));
            backup(&daemon, &["extra"], 0);
            let kept = snapshots(&daemon, "golden");
            assert_eq!(kept.len(), 4 - removed);
            let restore = |to: &str| {
                let (folder, snapshot) = (site.path(to), kept[1].reference.trim_start_matches("snapshot/"));
                let mut args: Vec<&OsStr> =
                    vec!["restore".as_ref(), store.as_ref(), snapshot.as_ref(), folder.as_ref()];
                args.extend(opened_with.iter().map(OsStr::new));
                oracle(args).ok();
                folder
            };
            let before = restore("before");
            let report = daemon.ctl(&["--json", "prune", "golden"]).ok().json()["report"].clone();
            assert!(report["removed_objects"].as_u64() > Some(3), "{name}: {report}");
            let (_, dead) = unreferenced(&store, &opened_with);
            let packs = fs::read_dir(store.join("packs"))
                .map_or(0, |packs| packs.map(|pack| pack.unwrap().metadata().unwrap().len()).sum::<u64>());
            assert!(dead * 10 <= packs * 3, "{name}: {dead} of {packs} bytes are waste");
            daemon.ctl(&["prune", "golden", "--max-waste", "0"]).ok();
            assert_eq!(unreferenced(&store, &opened_with), (0, 0), "{name}");
            assert_same_tree(&before, &restore("after"));
        }
    }
}

#[test]
fn damage_ends_a_prune_before_it_deletes_anything() {
    let site = site();
    let daemon = site.start();
    back_up_thrice(&site, &daemon);
    let repository = site.path("repository");
    let newest = snapshots(&daemon, "main").remove(0).reference;
    fs::write(repository.join(&newest), "damaged").unwrap();
    let before = size(&repository);
    daemon.ctl(&["prune", "main"]).expect(1).says(&["nothing was deleted", &newest, "cloudsticctl forget"]);
    assert_eq!(size(&repository), before);
}

#[test]
fn a_forget_that_prunes_frees_what_its_dry_run_promises() {
    let site = site();
    let daemon = site.start();
    let (repository, source) = (site.path("repository"), site.path("source"));
    daemon.ctl(&["init", "main"]).ok();
    tree::write(&source, "large", &random::bytes(2, 3_000_000));
    backup(&daemon, &["tree"], 0);
    fs::remove_file(source.join("large")).unwrap();
    backup(&daemon, &["tree"], 0);

    let command = ["--json", "forget", "main", "--keep-last", "1", "--prune"];
    let before = size(&repository);
    let told = daemon.ctl(&[&command[..], &["-n"]].concat()).ok().json()["report"]["pruned"].clone();
    assert_eq!((size(&repository), snapshots(&daemon, "main").len()), (before, 2));
    assert!(told["freed_bytes"].as_u64().unwrap() > 2_900_000, "{told}");
    let done = daemon.ctl(&command).ok().json()["report"].clone();
    assert_eq!((&done["removed"], &done["pruned"]["freed_bytes"]), (&1.into(), &told["freed_bytes"]));
    assert!(before - size(&repository) >= told["freed_bytes"].as_u64().unwrap());
    assert_eq!(snapshots(&daemon, "main").len(), 1);
    assert_sound(&repository, &OPENED_WITH);
}
