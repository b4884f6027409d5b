//! What a job found is all there to be read, however much it is and after the daemon was started again.

use std::collections::BTreeSet;
use std::fs;
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
