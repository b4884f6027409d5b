//! The stat records of one folder: complete when the last of its entries is stored.

use std::sync::{Mutex, PoisonError};

use crate::cache::CachedEntry;

/// Collects the records of a folder's entries, which come in any order from any thread.
pub(super) struct FolderRecords {
    /// The folder.
    pub(super) file_id: String,
    /// Whether these are the files with several names, which are listed by themselves.
    pub(super) hard_links: bool,
    state: Mutex<State>,
}

struct State {
    awaited: usize,
    records: Vec<CachedEntry>,
}

impl FolderRecords {
    pub(super) fn new(file_id: String, hard_links: bool, awaited: usize) -> Self {
        Self { file_id, hard_links, state: Mutex::new(State { awaited, records: Vec::new() }) }
    }

    /// Takes the record of one entry, `None` for one that is not stored. Gives all of them when it is the last.
    pub(super) fn add(&self, record: Option<CachedEntry>) -> Option<Vec<CachedEntry>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.records.extend(record);
        state.awaited -= 1;
        if state.awaited > 0 {
            return None;
        }
        let mut records = std::mem::take(&mut state.records);
        records.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Some(records)
    }
}
