//! What is in snapshots: what changed, where something is, and the bytes of files and objects.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use cloudstic_e2e::ran::Ran;
use cloudstic_e2e::site::{Credential, Daemon, Site};
use cloudstic_e2e::skip::{is_root, skipped};
use cloudstic_e2e::{binaries, golden, random, tree};
use serde_json::{Deserializer, Value};

use crate::client::{backup, snapshots};

/// A site with the profile `tree` of the folder `source` into the repository `main`, which is made.
fn site() -> Site {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    site.repository("main", &store, Credential::Password("secret")).profile("tree", "main", &source, "");
    site
}

fn lines(ran: &Ran) -> Vec<Value> {
    Deserializer::from_slice(&ran.stdout).into_iter::<Value>().map(Result::unwrap).collect()
}

#[test]
fn a_diff_tells_what_changed_and_how() {
    let site = site();
    let source = site.path("source");
    tree::full(&source);
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    tree::change(&source);
    tree::write(&source, "evil\n\x1b[2J", b"name");
    backup(&daemon, &["tree"], 0);
    let listed = snapshots(&daemon, "main");
    let (old, new) = (listed[1].reference.as_str(), listed[0].reference.as_str());

    let diff = daemon.ctl(&["diff", "main", old, new]).ok().text();
    let has = |line: &str| assert!(diff.lines().any(|it| it == line), "no {line:?} in\n{diff}");
    has("A  new");
    has("A  new/added.txt");
    has("A  evil\\n\\x1b[2J");
    has("R  many/00 -> many/renamed  (with 15 entries below it)");
    has("M  run.sh  [mode]");
    has("D  zeros.bin");
    assert!(diff.contains("M  sizes/1.bin  [content,"), "{diff}");
    assert_eq!(daemon.ctl(&["diff", "main", new, new]).ok().text(), "");
    let below = daemon.ctl(&["diff", "main", old, "latest", "/run.sh", "sizes/"]).ok().text();
    assert!(below.starts_with("M  run.sh  [mode]\nM  sizes"), "{below}");
    assert!(daemon.ctl(&["diff", "main", old, new, "--no-renames"]).ok().text().contains("A  many/renamed/000.txt\n"));
    daemon.ctl(&["diff", "main", old, new, "--stat"]).ok().shows(&["removed:  1 file", "moved:    15 files, 1 folder"]);
    daemon.ctl(&["diff", "main", old, new, "gone"]).expect(1).says(&["gone is not in"]);

    let json = lines(&daemon.ctl(&["--json", "diff", "main", old, new]).ok());
    assert_eq!((&json[0]["before"]["ref"], &json[0]["kind"]), (&old.into(), &"snapshots".into()));
    assert_eq!(json.last().unwrap()["removed"]["bytes"], 3_000_000);
    let run = json.iter().find(|line| line["path"] == "run.sh").unwrap();
    assert_eq!(
        (&run["change"], &run["before"]["mode"], &run["after"]["mode"]),
        (&"metadata".into(), &0o755.into(), &0o700.into())
    );
}

#[test]
fn a_file_is_found_in_the_snapshots_that_have_it() {
    let site = site();
    let source = site.path("source");
    tree::write(&source, "d/a.log", b"first");
    tree::write(&source, "d/b.txt", b"always");
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    tree::write(&source, "d/a.log", b"second, and longer");
    tree::write(&source, "c.log", b"new");
    backup(&daemon, &["tree"], 0);
    let listed = snapshots(&daemon, "main");
    let (old, new) = (listed[1].reference.as_str(), listed[0].reference.as_str());

    let found = |args: &[&str]| -> Vec<(String, u64, String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let found = lines(&daemon.ctl(&[&["--json", "find", "main"], args].concat()).ok());
        let entry = |it: &Value| {
            let having = &it["snapshots"];
            (text(&it["path"]), having["count"].as_u64().unwrap(), text(&having["newest"]), text(&having["oldest"]))
        };
        found.iter().map(entry).collect()
    };
    let entry =
        |path: &str, count, newest: &str, oldest: &str| (path.to_owned(), count, newest.to_owned(), oldest.to_owned());
    assert_eq!(
        found(&["*.log"]),
        [entry("c.log", 1, new, new), entry("d/a.log", 1, new, new), entry("d/a.log", 1, old, old)]
    );
    assert_eq!(found(&["d/*.txt"]), [entry("d/b.txt", 2, new, old)]);
    assert_eq!(found(&["*.log", "--snapshot", old]), [entry("d/a.log", 1, old, old)]);
    assert_eq!(found(&["--larger", "10"]), [entry("d/a.log", 1, new, new)]);
    assert_eq!(found(&["--regex", "^c", "--type", "f"]), [entry("c.log", 1, new, new)]);
    assert_eq!(found(&["--older", "1h"]), []);
    daemon.ctl(&["find", "main", "*.txt"]).ok().shows(&["NEWEST", "d/b.txt", "1 entry in 2 snapshots"]);
    daemon.ctl(&["find", "main", "--regex", "a("]).expect(1).says(&["a(", "unclosed group"]);
}

fn dump(daemon: &Daemon<'_>, path: &str, more: &[&str]) -> Vec<u8> {
    daemon.ctl(&[&["dump", "main", "latest", path], more].concat()).ok().stdout
}

#[test]
fn a_dump_is_the_file_byte_for_byte() {
    let site = site();
    let source = site.path("source");
    let large = random::bytes(5, 9_000_000);
    let compressed = [&b"\x1f\x8b\x08\x00"[..], &random::bytes(6, 700_000)].concat();
    tree::write(&source, "large.bin", &large);
    tree::write(&source, "d/data.gz", &compressed);
    tree::write(&source, "empty", b"");
    std::os::unix::fs::symlink("large.bin", source.join("link")).unwrap();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);

    assert!(dump(&daemon, "large.bin", &[]) == large);
    assert!(dump(&daemon, "/d/data.gz", &[]) == compressed);
    assert_eq!(dump(&daemon, "empty", &[]), b"");
    assert_eq!(dump(&daemon, "large.bin", &["--offset", "5000000", "--length", "1000"]), large[5_000_000..5_001_000]);
    let file = site.path("out.bin");
    let to_file = ["--json", "dump", "main", "latest", "large.bin", "-o", file.to_str().unwrap()];
    assert_eq!(daemon.ctl(&to_file).ok().json()["bytes"], 9_000_000);
    assert!(fs::read(&file).unwrap() == large);
    daemon.ctl(&to_file).expect(1);

    daemon.ctl(&["dump", "main", "latest", "d"]).expect(1).says(&["d is a folder", "restore --zip -"]);
    daemon.ctl(&["dump", "main", "latest", "link"]).expect(1).says(&["symbolic link to large.bin"]);
    daemon.ctl(&["dump", "main", "latest", "gone"]).expect(1).says(&["gone is not in"]);
}

#[test]
fn whoever_has_enough_of_a_dump_may_leave() {
    let site = site();
    tree::write(&site.path("source"), "large.bin", &random::bytes(5, 9_000_000));
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    let mut client = Command::new(binaries::client());
    client.arg("--socket").arg(site.path("daemon.sock")).args(["dump", "main", "latest", "large.bin"]);
    let mut child = client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn a_damaged_file_is_never_dumped_as_if_it_were_right() {
    let site = site();
    tree::write(&site.path("source"), "large.bin", &random::bytes(5, 9_000_000));
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    let chunk = fs::read_dir(site.path("repository/chunk")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&chunk).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&chunk, bytes).unwrap();
    let file = site.path("out.bin");
    let name = chunk.file_name().unwrap().to_str().unwrap().to_owned();
    let ran = daemon.ctl(&["dump", "main", "latest", "large.bin", "-o", file.to_str().unwrap()]);
    ran.expect(1).says(&[&name, "damaged"]);
    assert!(!file.exists());
    let key = format!("chunk/{name}");
    daemon.ctl(&["cat", "main", &key]).expect(1).says(&[&key, "damaged"]);
    assert_eq!(daemon.ctl(&["cat", "main", &key, "--stored"]).ok().stdout, fs::read(&chunk).unwrap());
}

#[test]
fn objects_are_shown_as_they_are_meant_and_as_they_are() {
    let mut site = Site::new();
    let store = site.path("repository");
    golden::copy("encrypted", &store);
    site.repository("main", &store, Credential::Password("golden-password"));
    let daemon = site.start();
    let reference = golden::expected("encrypted", "facts.json")["snapshots"][0].as_str().unwrap().to_owned();
    let raw = daemon.ctl(&["cat", "main", &reference[.."snapshot/".len() + 8], "--raw"]).ok();
    let shown = daemon.ctl(&["cat", "main", &reference]).ok();
    assert_eq!(raw.json(), shown.json());
    assert!(shown.text().starts_with("{\n  \"version\": 1,\n  \"created\": \""), "{}", shown.text());
    let document = daemon.ctl(&["--json", "cat", "main", "index/latest"]).ok().json();
    assert_eq!((&document["object"]["seq"], &document["proven"]), (&3.into(), &false.into()));
    let stored = daemon.ctl(&["cat", "main", "config", "--stored"]).ok().stdout;
    assert_eq!(stored, fs::read(store.join("config")).unwrap());
    daemon.ctl(&["cat", "main", "etc/passwd"]).expect(1).says(&["etc/passwd", "no key of an object"]);
    daemon.ctl(&["cat", "main", "keys/nobody"]).expect(1).says(&["no keys/nobody"]);
}

#[test]
fn the_wrapped_key_is_not_for_everybody() {
    if !is_root() {
        return skipped("looking::the_wrapped_key_is_not_for_everybody", "only root can be another user");
    }
    let mut site = Site::new();
    let store = site.path("repository");
    golden::copy("encrypted", &store);
    site.repository("main", &store, Credential::Password("golden-password"));
    site.setting("\n[access]\nusers = [\"nobody\"]");
    let daemon = site.start();
    let slot = "keys/password-default";
    assert_ne!(daemon.ctl(&["cat", "main", slot]).ok().json()["wrapped_key"], "(hidden)");
    open_to_all(&site.path("daemon.sock"));
    assert_eq!(site.ctl_as_nobody(&["cat", "main", slot]).ok().json()["wrapped_key"], "(hidden)");
    site.ctl_as_nobody(&["cat", "main", slot, "--stored"]).expect(1).says(&["only root", slot]);
}

fn open_to_all(socket: &Path) {
    fs::set_permissions(socket, PermissionsExt::from_mode(0o666)).unwrap();
}
