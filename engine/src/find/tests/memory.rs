//! What a million matches and a million changes cost. It takes minutes, so `make stress` runs it, twice with the same
//! `CLOUDSTIC_MEASURE=FOLDER`: the first run makes the repository there.

#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::time::Instant;

use super::*;
use crate::diff::{DiffRequest, diff};
use crate::lock::LeaseWatch;
use crate::object::{Hash, SourceInfo};
use crate::repository::{InitOptions, NewSnapshot, ObjectWriter, RepositoryError};
use crate::store::LocalStore;
use crate::tree::memory::write_tree;

const FILES: u64 = 1_000_000;

/// Files of this size, in folders of a thousand.
fn write_files(writer: &ObjectWriter, size: u64) -> Result<ObjectRef, RepositoryError> {
    let files = (0..FILES).map(|n| {
        let path = format!("home/somebody/folder-{}/subfolder/file-{n:09}.txt", n / 1000);
        let mut meta = meta(path.as_bytes());
        (meta.content_hash, meta.size) = (Hash::of(&(n + size).to_le_bytes()).to_string(), size);
        Ok((path, meta))
    });
    write_tree(writer, files)
}

async fn add_snapshot(repository: &Arc<Repository>, size: Option<u64>) {
    let lease = LeaseWatch::not_needed();
    let writer = repository.writer(repository.existing().await.unwrap(), lease.clone());
    let writing = tokio::task::spawn_blocking(move || {
        let root = size.map(|size| write_files(&writer, size)).transpose()?;
        Ok::<_, RepositoryError>((root, writer.finish()?))
    });
    let (root, written) = writing.await.unwrap().unwrap();
    let source = SourceInfo { source_type: "local".to_owned(), ..SourceInfo::default() };
    let new = NewSnapshot { created: chrono::Utc::now(), root, source, ..NewSnapshot::default() };
    repository.commit(written, new, &lease, || Ok::<_, RepositoryError>(())).await.unwrap();
}

/// A line of what the system says of this process, in KB.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|it| it.starts_with(line)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

/// By how much the peak of the process exceeds what it had before, in bytes for each file.
struct Peak {
    before: u64,
    begun: Instant,
}

impl Peak {
    fn new() -> Self {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        Self { before: memory("VmRSS"), begun: Instant::now() }
    }

    fn of(self, what: &str) -> u64 {
        let (rise, time) = (memory("VmHWM").saturating_sub(self.before), self.begun.elapsed());
        let each = rise * 1024 / FILES;
        println!("{what}: {each} bytes each, {} KB before, {} KB now, {time:?}", self.before, memory("VmRSS"));
        each
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make stress"]
async fn of_a_million_files() {
    let folder = PathBuf::from(std::env::var_os("CLOUDSTIC_MEASURE").unwrap());
    let store = Arc::new(LocalStore::new(folder.clone()));
    if !folder.join("config").exists() {
        Repository::init(store.clone(), InitOptions::default()).await.unwrap();
        let repository = Arc::new(Repository::open(store.clone(), Vec::new()).await.unwrap());
        for size in [None, Some(1), Some(2)] {
            add_snapshot(&repository, size).await;
        }
    }
    let repository = Arc::new(Repository::open(store, Vec::new()).await.unwrap());
    let names: Vec<String> =
        repository.snapshots().await.unwrap().readable.iter().map(|it| it.reference.to_string()).collect();
    drop(repository.reader().await.unwrap());

    let peak = Peak::new();
    let request = FindRequest { snapshots: vec![names[0].clone()], ..FindRequest::default() };
    let report = find(Arc::clone(&repository), request, Arc::new(Silent), never()).await.unwrap();
    assert_eq!((report.matches.len() as u64, report.warning_count), (FILES, 0));
    let found = peak.of("found");
    drop(report);

    let mut costs = Vec::new();
    for (what, before, after) in [("new", 2, 0), ("other", 1, 0)] {
        let peak = Peak::new();
        let request =
            DiffRequest { before: names[before].clone(), after: names[after].clone(), ..DiffRequest::default() };
        let report = diff(Arc::clone(&repository), request, Arc::new(Silent), never()).await.unwrap();
        assert_eq!((report.changes.len() as u64, report.warning_count), (FILES, 0));
        costs.push(peak.of(what));
    }
    assert!(found <= 300 && costs[0] <= 400 && costs[1] <= 650, "{found} {costs:?}");
}
