//! Any tree comes back as it was: random trees, changed at random between two backups.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use cloudstic_engine::object::Hash;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::restore::{Overwrite, RestoreRequest, restore};
use proptest::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};
use tokio_util::sync::CancellationToken;

use crate::support::{Bench, platform_key};

/// Something to do to a tree. Paths are built from few names, so that steps meet the same places again.
#[derive(Debug, Clone)]
enum Step {
    File { path: Vec<u8>, size: u32, mode: u32, mtime: (i64, u32) },
    Folder { path: Vec<u8>, mode: u32 },
    Symlink { path: Vec<u8>, target: Vec<u8> },
    HardLink { path: Vec<u8>, first: Vec<u8> },
    Fifo { path: Vec<u8> },
    Xattr { path: Vec<u8>, value: Vec<u8> },
    Sparse { path: Vec<u8> },
    Remove { path: Vec<u8> },
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec![&b"a"[..], b"b", b"c", b"a-b", b"a.txt"]).prop_map(<[u8]>::to_vec),
        1 => prop::sample::select(vec![&b"\xff\xfe"[..], b"new\nline", b"  ", "\u{1f600}<&>\u{2028}".as_bytes(), b"-rf", b"x\xc3"])
            .prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(prop::sample::select((1u8..=255).filter(|b| *b != b'/').collect::<Vec<_>>()), 1..12)
            .prop_filter("no path", |name| name != b"." && name != b".."),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(name(), 1..4).prop_map(|names| names.join(&b'/'))
}

fn size() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => 0u32..5000,
        2 => prop::sample::select(vec![0, 1, 524_287, 524_288, 524_289, 1_048_576, 1_700_000]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let mode = || prop::sample::select(vec![0o644, 0o755, 0o400, 0o4755, 0o2711, 0o1777, 0o000]);
    let mtime = (-2_000_000_000i64..4_000_000_000, prop::sample::select(vec![0u32, 1, 500, 999_999_999]));
    prop_oneof![
        8 => (path(), size(), mode(), mtime).prop_map(|(path, size, mode, mtime)| Step::File { path, size, mode, mtime }),
        2 => (path(), mode()).prop_map(|(path, mode)| Step::Folder { path, mode: mode | 0o700 }),
        2 => (path(), path()).prop_map(|(path, target)| Step::Symlink { path, target }),
        3 => (path(), path()).prop_map(|(path, first)| Step::HardLink { path, first }),
        1 => path().prop_map(|path| Step::Fifo { path }),
        2 => (path(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(path, value)| Step::Xattr { path, value }),
        1 => path().prop_map(|path| Step::Sparse { path }),
        2 => path().prop_map(|path| Step::Remove { path }),
    ]
}

/// Does a step, as far as the tree allows.
fn apply(root: &Path, step: &Step, seed: u64) {
    let at = |path: &[u8]| root.join(OsStr::from_bytes(path));
    let place = |path: &[u8]| {
        let path = at(path);
        let parent = path.parent().unwrap();
        (fs::create_dir_all(parent).is_ok() && fs::symlink_metadata(&path).is_err()).then_some(path)
    };
    match step {
        Step::File { path, size, mode, mtime } => {
            let Some(path) = place(path) else { return };
            fs::write(&path, cloudstic_e2e::random::bytes(seed, *size as usize)).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(*mode)).unwrap();
            let time = Timespec { tv_sec: mtime.0, tv_nsec: mtime.1.into() };
            let times = Timestamps { last_access: time, last_modification: time };
            utimensat(CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        }
        Step::Folder { path, mode } => {
            let path = at(path);
            if fs::create_dir_all(&path).is_ok() && !path.is_symlink() {
                fs::set_permissions(&path, PermissionsExt::from_mode(*mode)).unwrap();
            }
        }
        Step::Symlink { path, target } => {
            let Some(path) = place(path) else { return };
            symlink(OsStr::from_bytes(target), path).unwrap();
        }
        Step::HardLink { path, first } => {
            if fs::symlink_metadata(at(first)).is_ok_and(|metadata| !metadata.is_dir())
                && let Some(path) = place(path)
            {
                fs::hard_link(at(first), path).unwrap();
            }
        }
        Step::Fifo { path } => {
            let Some(path) = place(path) else { return };
            mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
        }
        Step::Xattr { path, value } => {
            let path = at(path);
            if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file() || metadata.is_dir()) {
                // A read-only file refuses an ordinary user.
                let _ = rustix::fs::lsetxattr(&path, "user.test", value, rustix::fs::XattrFlags::empty());
            }
        }
        Step::Sparse { path } => {
            let Some(path) = place(path) else { return };
            fs::File::create(path).unwrap().set_len(700_000 + seed % 1000).unwrap();
        }
        Step::Remove { path } => {
            let path = at(path);
            match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_dir() => drop(fs::remove_dir_all(&path)),
                Ok(_) => drop(fs::remove_file(&path)),
                Err(_) => {}
            }
        }
    }
}

/// Everything that a backup keeps of a tree. Files are told apart from their other names by the first of these.
fn state(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut state = BTreeMap::new();
    let mut firsts = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let kind = metadata.file_type();
            let what = if kind.is_dir() {
                folders.push(path.clone());
                "folder".to_owned()
            } else if kind.is_symlink() {
                format!("link to {:?}", fs::read_link(&path).unwrap())
            } else if kind.is_fifo() {
                "fifo".to_owned()
            } else {
                format!("{} bytes {}", metadata.len(), Hash::of(&fs::read(&path).unwrap()))
            };
            let mut names = [0; 4096];
            let length = rustix::fs::llistxattr(&path, &mut names[..]).unwrap_or(0);
            let mut value = [0; 100];
            let xattr = rustix::fs::lgetxattr(&path, "user.test", &mut value[..]).map(|n| value[..n].to_vec());
            let text = format!(
                "{what} mode {:o} owner {}:{} mtime {}.{} xattrs {} {xattr:?}",
                metadata.mode(),
                metadata.uid(),
                metadata.gid(),
                metadata.mtime(),
                metadata.mtime_nsec(),
                length,
            );
            let relative = path.strip_prefix(root).unwrap().to_owned();
            if !kind.is_dir() {
                let first: &mut PathBuf = firsts.entry(metadata.ino()).or_insert_with(|| relative.clone());
                if relative.as_os_str().as_bytes() < first.as_os_str().as_bytes() {
                    first.clone_from(&relative);
                }
            }
            state.insert(relative, (text, metadata.ino(), kind.is_dir()));
        }
    }
    let full = |(path, (text, inode, is_dir)): (PathBuf, (String, u64, bool))| {
        let first = if is_dir { String::new() } else { format!(" first {:?}", firsts[&inode]) };
        (path, text + &first)
    };
    state.into_iter().map(full).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_come_back_from_both_of_two_backups(
        first in prop::collection::vec(step(), 0..60),
        then in prop::collection::vec(step(), 0..30),
        encrypted in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let credentials = if encrypted { vec![platform_key()] } else { Vec::new() };
            let bench = Bench::new(credentials).await;
            let mut states = Vec::new();
            for (round, steps) in [first, then].into_iter().enumerate() {
                for (index, step) in steps.iter().enumerate() {
                    apply(&bench.source(), step, (1000 * round + index) as u64);
                }
                let report = bench.backup().await;
                prop_assert_eq!(&report.warnings, &[]);
                states.push((report.snapshot.unwrap(), state(&bench.source())));
            }
            for (round, (snapshot, expected)) in states.into_iter().enumerate() {
                let target = bench.folder.path().join(format!("restored-{round}"));
                let request = RestoreRequest {
                    snapshot: snapshot.key(),
                    paths: Vec::new(),
                    target: target.clone(),
                    overwrite: Overwrite::default(),
                    dry_run: false,
                    identity: None,
                };
                let report =
                    restore(bench.repository.clone(), request, std::sync::Arc::new(Silent), CancellationToken::new());
                prop_assert_eq!(&report.await.unwrap().warnings, &[]);
                prop_assert_eq!(state(&target), expected);
            }
            Ok(())
        })?;
    }
}
