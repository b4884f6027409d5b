//! The objects of repositories, for tests that need many slightly different ones.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

pub(crate) type Objects = BTreeMap<String, Bytes>;

/// All objects of a local store.
pub(crate) fn load(folder: &Path) -> Objects {
    let mut objects = Objects::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                objects.insert(key, std::fs::read(path).unwrap().into());
            }
        }
    }
    objects
}
