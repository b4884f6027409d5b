//! A repository in memory, which counts what it is asked and fails when it is told to.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fuser::FileType;

use super::remote::{Entry, Fault, Listed, Remote, Snapshot, Snapshots};

/// What it has, what it was asked, and what it refuses.
#[derive(Default)]
pub(super) struct State {
    pub(super) snapshots: Snapshots,
    /// By the path of the folder, in every snapshot.
    pub(super) folders: HashMap<Vec<u8>, Vec<Entry>>,
    /// By path.
    pub(super) files: HashMap<Vec<u8>, Vec<u8>>,
    /// What each listing is said to lack.
    pub(super) problems: Vec<String>,
    /// The answer to everything.
    pub(super) fault: Option<Fault>,
    pub(super) listed: Vec<Vec<u8>>,
    /// Offset and length.
    pub(super) read: Vec<(u64, u64)>,
    pub(super) asked_snapshots: usize,
}

/// Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Fake(pub(super) Arc<Mutex<State>>);

impl Fake {
    pub(super) fn snapshot(&self, hash: &str, seconds: u64, tags: &[&str]) {
        let created: Option<SystemTime> = Some(UNIX_EPOCH + Duration::from_secs(seconds));
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self.0.lock().unwrap().snapshots.known.push(Snapshot { hash: hash.into(), created, tags });
    }

    pub(super) fn entry(&self, folder: &[u8], entry: Entry) {
        self.0.lock().unwrap().folders.entry(folder.to_vec()).or_default().push(entry);
    }

    pub(super) fn folder(&self, folder: &[u8], name: &[u8]) {
        self.entry(folder, entry(name, FileType::Directory));
        let path = if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() };
        self.0.lock().unwrap().folders.entry(path).or_default();
    }

    pub(super) fn file(&self, name: &[u8], bytes: Vec<u8>) {
        self.entry(b"", Entry { size: bytes.len() as u64, ..entry(name, FileType::RegularFile) });
        self.0.lock().unwrap().files.insert(name.to_vec(), bytes);
    }

    pub(super) fn fail(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }
}

pub(super) fn entry(name: &[u8], kind: FileType) -> Entry {
    Entry {
        name: name.into(),
        kind,
        size: 0,
        modified: UNIX_EPOCH,
        mode: 0o644,
        uid: 0,
        gid: 0,
        target: Box::default(),
        identity: None,
    }
}

impl Remote for Fake {
    async fn snapshots(&self) -> Result<Snapshots, Fault> {
        let mut state = self.0.lock().unwrap();
        state.asked_snapshots += 1;
        state.fault.clone().map_or_else(|| Ok(state.snapshots.clone()), Err)
    }

    async fn list(&self, _: &str, folder: &[u8]) -> Result<Vec<Entry>, Listed> {
        let mut state = self.0.lock().unwrap();
        state.listed.push(folder.to_vec());
        if let Some(fault) = state.fault.clone() {
            return Err(Listed::Not(fault));
        }
        let entries = state.folders.get(folder).cloned().unwrap_or_default();
        if state.problems.is_empty() { Ok(entries) } else { Err(Listed::Partly(entries, state.problems.clone())) }
    }

    async fn read(&self, _: &str, file: &[u8], offset: u64, length: u64) -> Result<Bytes, Fault> {
        tokio::task::yield_now().await;
        let mut state = self.0.lock().unwrap();
        state.read.push((offset, length));
        if let Some(fault) = state.fault.clone() {
            return Err(fault);
        }
        let bytes = &state.files[file];
        let end = bytes.len().min(usize::try_from(offset + length).unwrap());
        Ok(Bytes::copy_from_slice(&bytes[usize::try_from(offset).unwrap()..end]))
    }
}
