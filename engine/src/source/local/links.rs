//! Files with several names: which of the names is the first (format, section 11.3).
//!
//! First is first in byte order of the whole paths, where `a-b/x` comes before `a/x`, and not in the order of any walk.
//! So these files are kept back until the walk has seen all names, some 40 bytes and the path for each name, and
//! some 150 for each file.

use std::collections::HashMap;

use super::stat::Device;
use super::{Entry, EntryType, Listing, Stat, path};

/// The files with several names that the walk has met.
#[derive(Debug, Default)]
pub(super) struct LinkTable {
    files: HashMap<(Device, u64), LinkedFile>,
}

#[derive(Debug)]
struct LinkedFile {
    stat: Stat,
    names: Vec<Box<[u8]>>,
}

impl LinkTable {
    /// Takes one name, by its path relative to the root.
    pub(super) fn add(&mut self, device: Device, stat: Stat, path: &[u8]) {
        let file = self.files.entry((device, stat.inode)).or_insert_with(|| LinkedFile { stat, names: Vec::new() });
        file.stat = stat;
        file.names.push(path.into());
    }

    /// All that was taken, one listing for each folder.
    pub(super) fn into_listings(self) -> impl Iterator<Item = Listing> {
        let files: Vec<(Stat, Box<str>)> = Vec::with_capacity(self.files.len());
        let (mut files, mut names) = (files, Vec::new());
        for file in self.files.into_values() {
            let first = file.names.iter().min().map(|first| path::file_id(first)).unwrap_or_default().into();
            names.extend(file.names.into_iter().map(|name| (name, files.len())));
            files.push((file.stat, first));
        }
        names.sort_unstable_by(|(a, _), (b, _)| split(a).cmp(&split(b)));
        let mut names = names.into_iter().peekable();
        std::iter::from_fn(move || {
            let folder: Box<[u8]> = split(&names.peek()?.0).0.into();
            let mut entries = Vec::new();
            while let Some((path, file)) = names.next_if(|(path, _)| *split(path).0 == *folder) {
                let Some((stat, first)) = files.get(file) else { continue };
                entries.push(entry(&path, *stat, first));
            }
            let folder = path::file_id(&folder).into_owned();
            Some(Listing { folder, entries, hard_links: true, warnings: Vec::new() })
        })
    }
}

/// Folder and name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

fn entry(path: &[u8], stat: Stat, first: &str) -> Entry {
    let file_id = path::file_id(path).into_owned();
    let hardlink = (file_id != first).then(|| first.to_owned());
    Entry { file_id, name: split(path).1.to_vec(), entry_type: EntryType::File, stat, hardlink }
}
