//! Files with several names: the first name is stored like any file; the others wait for it, and take its content over,
//! so that all names of a file have the same bytes whatever happens to it meanwhile.

use std::collections::HashMap;

use super::file::StoredContent;
use super::run::EntryTask;

/// The files with several names of one backup.
#[derive(Default)]
pub(super) struct Links {
    /// First names that are stored, and their content where it is known.
    firsts: HashMap<String, Option<StoredContent>>,
    /// First names that could not be stored, and which name is the first instead.
    promoted: HashMap<String, String>,
    others: Vec<EntryTask>,
}

impl Links {
    /// A first name is stored.
    pub(super) fn note_first(&mut self, file_id: &str) {
        self.firsts.entry(file_id.to_owned()).or_default();
    }

    /// The content of a first name.
    pub(super) fn note_content(&mut self, file_id: &str, content: StoredContent) {
        self.firsts.insert(file_id.to_owned(), Some(content));
    }

    /// The content of a first name, if it was read.
    pub(super) fn content_of(&self, first: &str) -> Option<StoredContent> {
        self.firsts.get(first).copied().flatten()
    }

    /// Another name, which waits.
    pub(super) fn defer(&mut self, task: EntryTask) {
        self.others.push(task);
    }

    /// Where a first name could not be stored, the least of the others becomes the first. These have to be stored next.
    pub(super) fn promote(&mut self) -> Vec<EntryTask> {
        let (mut orphans, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.others).into_iter().partition(|task| !self.is_stored(task));
        self.others = others;
        orphans.sort_by(|a, b| a.entry.file_id.as_bytes().cmp(b.entry.file_id.as_bytes()));
        let mut next = Vec::new();
        for mut task in orphans {
            match task.entry.hardlink.take() {
                Some(lost) if !self.promoted.contains_key(&lost) => {
                    self.promoted.insert(lost, task.entry.file_id.clone());
                    next.push(task);
                }
                lost => {
                    task.entry.hardlink = lost;
                    self.others.push(task);
                }
            }
        }
        next
    }

    /// All other names, each with a first name that is stored; without one it is a file of its own.
    pub(super) fn take_others(&mut self) -> Vec<EntryTask> {
        let mut others = std::mem::take(&mut self.others);
        for task in &mut others {
            if !self.is_stored(task) {
                let promoted = task.entry.hardlink.as_ref().and_then(|lost| self.promoted.get(lost));
                task.entry.hardlink = promoted.filter(|first| self.firsts.contains_key(*first)).cloned();
            }
        }
        others
    }

    fn is_stored(&self, task: &EntryTask) -> bool {
        task.entry.hardlink.as_ref().is_some_and(|first| self.firsts.contains_key(first))
    }
}
