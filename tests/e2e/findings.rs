//! What a job found is all there to be read, however much it is and after the daemon was started again.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use cloudstic_e2e::site::{Credential, Daemon, Site};
use cloudstic_e2e::tree;
use serde_json::{Deserializer, Value};

use crate::client::backup;

const FILES: usize = 1200;

/// The lines of `job findings`, and the last one.
#[track_caller]
fn findings(daemon: &Daemon<'_>, job: &str) -> (Vec<Value>, Value) {
    let found = daemon.ctl(&["--json", "job", "findings", job]).ok();
    let mut lines: Vec<Value> = Deserializer::from_slice(&found.stdout).into_iter().collect::<Result<_, _>>().unwrap();
    let end = lines.pop().unwrap();
    assert_eq!((&end["kind"], &end["missing"]), (&"end".into(), &Value::Null));
    assert_eq!(end["count"], lines.len());
    (lines, end)
}

fn lost(lines: &[Value]) -> BTreeSet<&str> {
    let lost = lines.iter().filter(|line| line["kind"] == "lost");
    lost.map(|line| line["path"].as_str().unwrap()).collect()
}

#[test]
fn with_a_pack_every_lost_file_is_listed_by_check_and_repair() {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    let names: BTreeSet<String> = (0..FILES).map(|n| format!("d{}/f{n}", n % 7)).collect();
    for name in &names {
        tree::write(&source, name, name.as_bytes());
    }
    site.repository("main", &store, Credential::None).profile("p", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["p"], 0);
    let catalog: Value = serde_json::from_slice(&fs::read(store.join("index/packs")).unwrap()).unwrap();
    let mut packed = catalog.as_object().unwrap().iter();
    let (_, place) = packed.find(|(key, _)| key.starts_with("content/")).unwrap();
    let pack = place["p"].as_str().unwrap().to_owned();
    fs::remove_file(store.join(&pack)).unwrap();
    // As one that has not read the pack.
    daemon.stop();
    let daemon = site.start();

    let found = daemon.ctl(&["--json", "check", "main"]).expect(1).json();
    let id = found["id"].as_str().unwrap();
    assert_eq!(found["report"]["faults"][0]["harm"][0]["path_count"], FILES);
    let (lines, _) = findings(&daemon, id);
    let all: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(lost(&lines), all);
    assert_eq!((&lines[0]["kind"], &lines[0]["object"]), (&"fault".into(), &pack.as_str().into()));
    assert_eq!(lines.last().unwrap()["snapshots"]["count"], 1);
    let told = daemon.ctl(&["check", "main"]).expect(1);
    let note = told.stderr.lines().find(|line| line.contains("job findings")).unwrap();
    let command: Vec<&str> = note.split('`').nth(1).unwrap().split(' ').skip(1).collect();
    let text = daemon.ctl(&command).ok().text();
    assert_eq!(text.lines().filter(|line| line.starts_with("lost: d")).count(), FILES);

    let repaired = daemon.ctl(&["--json", "repair", "main"]).expect(3).json();
    let snapshot = &repaired["report"]["snapshots"][0];
    assert_eq!((snapshot["lost_count"].as_u64(), snapshot["lost"].as_array().unwrap().len()), (Some(1200), 1000));
    daemon.stop();
    let daemon = site.start();
    assert_eq!(lost(&findings(&daemon, repaired["id"].as_str().unwrap()).0), all);
    assert_eq!(lost(&findings(&daemon, id).0), all);
    let file = site.path("state").join("findings").join(id);
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    daemon.ctl(&["job", "findings", "00000000000000ff"]).expect(1).says(&["there is no job"]);
}

#[test]
fn names_that_are_no_text_are_told_byte_for_byte() {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    tree::write(&source, r"plain\xff", b"1");
    fs::write(source.join(OsStr::from_bytes(b"odd\xff\\\n\x1b")), b"2").unwrap();
    site.repository("main", &store, Credential::None).profile("p", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["p"], 0);
    let catalog: Value = serde_json::from_slice(&fs::read(store.join("index/packs")).unwrap()).unwrap();
    let packs = catalog.as_object().unwrap().iter().filter(|(key, _)| key.starts_with("content/"));
    packs.for_each(|(_, place)| _ = fs::remove_file(store.join(place["p"].as_str().unwrap())));
    daemon.stop();
    let daemon = site.start();

    let listed = daemon.ctl(&["--json", "ls", "main", "latest"]).ok();
    let listed: Vec<Value> = Deserializer::from_slice(&listed.stdout).into_iter().collect::<Result<_, _>>().unwrap();
    let names = |lines: &[Value], kind: &str| -> BTreeSet<(String, String)> {
        let lines = lines.iter().filter(|line| line["kind"] == kind && line["path"] != "");
        lines.map(|line| (line["path"].to_string(), line["path_b64"].to_string())).collect()
    };
    let wanted = names(&listed, "entry");
    assert_eq!(wanted.len(), 2);
    let checked = daemon.ctl(&["--json", "check", "main"]).expect(1).json();
    assert_eq!(names(&findings(&daemon, checked["id"].as_str().unwrap()).0, "lost"), wanted);
    let harm = &checked["report"]["faults"][0]["harm"][0];
    assert_eq!(harm["paths_b64"].as_array().unwrap().len(), 2, "{harm}");
    let target = site.path("restored");
    let restored =
        daemon.ctl(&["--json", "restore", "main", "latest", "--to", target.to_str().unwrap()]).expect(3).json();
    assert_eq!(names(&findings(&daemon, restored["id"].as_str().unwrap()).0, "warning"), wanted);
    let told: BTreeSet<_> =
        restored["report"]["warnings"].as_array().unwrap().iter().map(|it| it["path_b64"].to_string()).collect();
    assert_eq!(told, wanted.iter().map(|(_, bytes)| bytes.clone()).collect());
}
