//! Random trees against a naive walk of the standard library.

use std::ffi::OsStr;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::object::{FileName, Kind};

const NAMES: [&[u8]; 9] = [b"a", b"a-b", b"a.b", b"b", b"\xff", b"a\xe9", "é".as_bytes(), b"new\nline", b"<&>"];

#[derive(Debug, Clone)]
enum Make {
    File(Vec<u8>),
    Folder,
    Symlink(Vec<u8>),
    HardLink(usize),
    Fifo,
}

fn step() -> impl Strategy<Value = (Vec<usize>, Make)> {
    let make = prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Make::File),
        2 => Just(Make::Folder),
        1 => proptest::collection::vec(1..=255u8, 1..9).prop_map(Make::Symlink),
        3 => (0..40usize).prop_map(Make::HardLink),
        1 => Just(Make::Fifo),
    ];
    (proptest::collection::vec(0..NAMES.len(), 1..5), make)
}

/// Makes what can be made: a name that is taken, or is below a file, is left alone.
fn build(root: &Path, steps: &[(Vec<usize>, Make)]) {
    let mut files: Vec<PathBuf> = Vec::new();
    for (names, make) in steps {
        let path = names.iter().fold(root.to_owned(), |path, name| path.join(OsStr::from_bytes(NAMES[*name])));
        let _ = fs::create_dir_all(path.parent().unwrap());
        let made = match make {
            _ if path.symlink_metadata().is_ok() => continue,
            Make::File(bytes) => fs::write(&path, bytes),
            Make::Folder => fs::create_dir(&path),
            Make::Symlink(target) => std::os::unix::fs::symlink(OsStr::from_bytes(target), &path),
            Make::HardLink(_) if files.is_empty() => continue,
            Make::HardLink(to) => fs::hard_link(&files[to % files.len()], &path),
            Make::Fifo => {
                let (fifo, mode) = (rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR);
                rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).map_err(io::Error::from)
            }
        };
        if made.is_ok() && !matches!(make, Make::Folder) {
            files.push(path);
        }
    }
}

fn naive(root: &Path) -> BTreeMap<Vec<u8>, fs::Metadata> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec(), metadata);
        }
    }
    found
}

fn kind_of(file_type: fs::FileType) -> Option<Kind> {
    match file_type {
        _ if file_type.is_symlink() => Some(Kind::Symlink),
        _ if file_type.is_fifo() => Some(Kind::Fifo),
        _ => None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_random_tree_is_told_as_it_is(steps in proptest::collection::vec(step(), 0..40)) {
        let temp = tempfile::tempdir().unwrap();
        build(temp.path(), &steps);
        let source = plain(temp.path());
        let truth = naive(temp.path());
        let mut first_names = BTreeMap::new();
        for (path, metadata) in truth.iter().filter(|(_, metadata)| !metadata.is_dir()) {
            first_names.entry((metadata.dev(), metadata.ino())).or_insert(path);
        }

        let mut seen_folders = vec![String::new()];
        let mut listed = Vec::new();
        for listing in listings(&source) {
            prop_assert!(seen_folders.contains(&listing.folder), "{:?} came before its parent", listing.folder);
            prop_assert!(listing.warnings.is_empty());
            prop_assert!(listing.entries.is_sorted_by(|a, b| a.name < b.name));
            for entry in listing.entries {
                prop_assert_eq!(path::parent(&entry.file_id), &listing.folder);
                if entry.entry_type == EntryType::Folder {
                    seen_folders.push(entry.file_id.clone());
                }
                listed.push(path::path_bytes(&entry.file_id).into_owned());
                check(&source, &entry, &truth, &first_names, temp.path())?;
            }
        }
        listed.sort();
        prop_assert_eq!(listed, truth.into_keys().collect::<Vec<_>>());
    }
}

fn check(
    source: &LocalSource,
    entry: &Entry,
    truth: &BTreeMap<Vec<u8>, fs::Metadata>,
    first_names: &BTreeMap<(u64, u64), &Vec<u8>>,
    root: &Path,
) -> Result<(), TestCaseError> {
    let path = path::path_bytes(&entry.file_id).into_owned();
    let real = &truth[&path];
    let (meta, warnings) = source.describe(entry).unwrap();
    prop_assert!(warnings.is_empty());
    prop_assert_eq!(&meta.file_id, &entry.file_id);
    prop_assert_eq!(&*meta.name_bytes().unwrap(), path.rsplit(|byte| *byte == b'/').next().unwrap());
    prop_assert_eq!(&meta.name, &FileName::from_bytes(&entry.name).text);
    prop_assert_eq!(meta.parent().unwrap_or(""), path::parent(&entry.file_id));
    prop_assert_eq!(meta.entry_type == EntryType::Folder, real.is_dir());
    prop_assert_eq!(meta.kind(), kind_of(real.file_type()));
    prop_assert_eq!(meta.size, if real.is_file() { real.len() } else { 0 });
    prop_assert_eq!((meta.mtime, i64::from(meta.mtime_nsec())), (real.mtime(), real.mtime_nsec()));
    prop_assert_eq!((meta.mode, meta.uid, meta.gid), (real.mode() & 0o7777, real.uid(), real.gid()));
    let first = first_names.get(&(real.dev(), real.ino())).filter(|first| **first != &path);
    let hardlink = meta.posix().and_then(|posix| posix.hardlink.clone());
    prop_assert_eq!(hardlink, first.map(|first| path::file_id(first).into_owned()));
    let on_disk = root.join(OsStr::from_bytes(&path));
    if real.is_symlink() {
        let target = fs::read_link(&on_disk).unwrap();
        prop_assert_eq!(meta.posix().unwrap().target_bytes().unwrap(), target.as_os_str().as_bytes());
    }
    if real.is_file() {
        let Described { meta: again, mut reader, .. } = source.describe_and_open(entry).unwrap();
        prop_assert_eq!(again, meta);
        prop_assert_eq!(read_all(&mut *reader), fs::read(&on_disk).unwrap());
        prop_assert!(reader.unchanged());
    }
    Ok(())
}
