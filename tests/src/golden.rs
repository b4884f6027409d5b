//! The repositories that the Cloudstic CLI wrote: copies to work on, and what it recorded about them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::random;

/// Chunks up to this many bytes are packed; larger ones are files, and those are not in the fixtures.
const PACKED_MAX: u64 = 524_288;

/// The folder of the golden repository `name`.
pub fn folder(name: &str) -> PathBuf {
    crate::fixtures().join("golden").join(name)
}

/// A complete, writable copy of the golden repository `name` in the new folder `to`.
pub fn copy(name: &str, to: &Path) {
    copy_folder(&folder(name).join("repo"), to);
    if matches!(name, "plain" | "nopack") {
        make_large_chunks(&expected(name, "chunks.json"), to);
    }
}

/// A JSON file of what was recorded.
pub fn expected(name: &str, file: &str) -> Value {
    let path = folder(name).join("expected").join(file);
    let text = fs::read(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

/// The large chunks of the unencrypted repositories are slices of these files, stored as they are.
fn make_large_chunks(chunks: &Value, repository: &Path) {
    fs::create_dir_all(repository.join("chunk")).unwrap();
    for (file, snapshots) in chunks.as_object().unwrap() {
        for (snapshot, content) in snapshots.as_object().unwrap() {
            let Some(data) = random_file(file, snapshot) else { continue };
            let mut at = 0;
            for chunk in content["chunks"].as_array().unwrap() {
                let size = chunk["size"].as_u64().unwrap();
                let path = repository.join(chunk["ref"].as_str().unwrap());
                let end = at + usize::try_from(size).unwrap();
                if size > PACKED_MAX && !path.exists() {
                    fs::write(path, &data[at..end]).unwrap();
                }
                at = end;
            }
        }
    }
}

/// What `gen_tree.py` wrote into a large file before this snapshot.
fn random_file(name: &str, snapshot: &str) -> Option<Vec<u8>> {
    const MIB: usize = 1 << 20;
    match name {
        "chunk512k1.bin" => Some(random::bytes(513, 524_289)),
        "random3m.bin" => Some(random::bytes(3, 3 * MIB)),
        "new/random1m.bin" => Some(random::bytes(1, MIB + 123)),
        "random9m.bin" => {
            let mut data = random::bytes(9, 9 * MIB);
            if snapshot != "snapshot-1" {
                data.splice(4 * MIB..4 * MIB, random::bytes(1000, 1000));
            }
            Some(data)
        }
        _ => None,
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap_or_else(|why| panic!("{}: {why}", from.display())) {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
