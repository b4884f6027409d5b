//! The source as the engine uses it, on real trees.
#![allow(clippy::unwrap_used, clippy::panic)]

mod deep;
mod holes;
mod kinds;
mod leaving_out;
mod mischief;
mod random;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;

fn source(root: &Path, options: LocalOptions) -> LocalSource {
    LocalSource::new(root, options).unwrap()
}

fn plain(root: &Path) -> LocalSource {
    source(root, LocalOptions::default())
}

fn listings(source: &LocalSource) -> Vec<Listing> {
    let mut listings = Vec::new();
    source
        .walk(&mut |listing| {
            listings.push(listing);
            ControlFlow::Continue(())
        })
        .unwrap();
    listings
}

fn entries(source: &LocalSource) -> BTreeMap<String, Entry> {
    let mut entries = BTreeMap::new();
    for entry in listings(source).into_iter().flat_map(|listing| listing.entries) {
        let file_id = entry.file_id.clone();
        assert!(entries.insert(entry.file_id.clone(), entry).is_none(), "{file_id:?} came twice");
    }
    entries
}

fn file_ids(source: &LocalSource) -> Vec<String> {
    entries(source).into_keys().collect()
}

fn put(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
}

fn read_all(reader: &mut dyn FileReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}
