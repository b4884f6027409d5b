//! What the client's JSON says, so that only this file knows its names.

use std::collections::BTreeMap;

use cloudstic_e2e::ran::Ran;
use cloudstic_e2e::site::{Daemon, poll};
use serde_json::{Deserializer, Value};

/// A snapshot as `list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) reference: String,
    pub(crate) seq: u64,
    pub(crate) root: String,
    pub(crate) tags: Vec<String>,
    /// Everything that `list` says of it.
    pub(crate) value: Value,
}

/// The snapshots of a repository, newest first.
#[track_caller]
pub(crate) fn snapshots(daemon: &Daemon<'_>, repository: &str) -> Vec<Snapshot> {
    let listed = daemon.ctl(&["--json", "list", repository]).ok().json();
    let snapshots = listed["snapshots"].as_array().unwrap_or_else(|| panic!("no snapshots in {listed}"));
    snapshots
        .iter()
        .map(|snapshot| Snapshot {
            reference: text(snapshot, "ref"),
            seq: number(snapshot, "seq"),
            root: text(snapshot, "root"),
            tags: snapshot["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect(),
            value: snapshot.clone(),
        })
        .collect()
}

/// The entries of a snapshot by path.
#[track_caller]
pub(crate) fn entries(daemon: &Daemon<'_>, repository: &str, snapshot: &str) -> BTreeMap<String, Value> {
    let listed = daemon.ctl(&["--json", "ls", repository, snapshot]).ok();
    let lines = Deserializer::from_slice(&listed.stdout).into_iter::<Value>();
    let lines = lines.map(|line| line.unwrap_or_else(|why| panic!("{} printed no JSON: {why}", listed.line)));
    lines.filter(|line| line["kind"] == "entry").map(|entry| (text(&entry, "path"), entry)).collect()
}

/// Runs a backup to its end and gives the job, whatever became of it.
#[track_caller]
pub(crate) fn backup(daemon: &Daemon<'_>, args: &[&str], code: i32) -> Job {
    Job::from(&daemon.ctl(&[&["--json", "backup"], args].concat()).expect(code))
}

/// Submits a job and gives its id.
#[track_caller]
pub(crate) fn submitted(daemon: &Daemon<'_>, args: &[&str]) -> String {
    Job::from(&daemon.ctl(&[args, &["--json", "--no-wait"]].concat()).ok()).id
}

/// Submits a backup, waits until it runs, and gives its id.
#[track_caller]
pub(crate) fn running_backup(daemon: &Daemon<'_>, args: &[&str]) -> String {
    let id = submitted(daemon, &[&["backup"], args].concat());
    let started = poll(|| match job_of(daemon, &id).state.as_str() {
        "queued" => None,
        state => Some(state.to_owned()),
    });
    assert_eq!(started.as_deref(), Some("running"), "job {id}\n{}", daemon.log());
    id
}

/// A job as the daemon remembers it.
#[track_caller]
pub(crate) fn job_of(daemon: &Daemon<'_>, id: &str) -> Job {
    Job::from(&daemon.ctl(&["--json", "job", "show", id]).ok())
}

/// One job, and for backups what it did.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) state: String,
    value: Value,
}

impl Job {
    /// What it is doing.
    pub(crate) fn phase(&self) -> String {
        self.value["progress"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn from(ran: &Ran) -> Self {
        let value = ran.json();
        Self { id: text(&value, "id"), state: text(&value, "state"), value }
    }

    /// A number of the backup's report, like `read_bytes` or `files.unmodified`.
    #[track_caller]
    pub(crate) fn reported(&self, name: &str) -> u64 {
        let found = name.split('.').fold(&self.value["report"], |value, key| &value[key]);
        found.as_u64().unwrap_or_else(|| panic!("no number {name} in {}", self.value))
    }
}

#[track_caller]
fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key:?} in {value}")).to_owned()
}

#[track_caller]
fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no number {key:?} in {value}"))
}
