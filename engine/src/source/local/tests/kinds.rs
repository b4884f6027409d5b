//! What is neither an ordinary file nor a folder, and what ordinary ones have beside their bytes.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;

use cloudstic_e2e::skip::skipped;
use rustix::fs::{Timespec, Timestamps, UTIME_OMIT, XattrFlags};

use super::*;
use crate::object::{Kind, Posix};

fn described(root: &Path, file_id: &str) -> FileMeta {
    let source = plain(root);
    let (meta, warnings) = source.describe(&entries(&source)[file_id]).unwrap();
    assert_eq!(warnings, []);
    meta
}

fn set_mtime(path: &Path, seconds: i64, nanoseconds: i64) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
    };
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, flags).unwrap();
}

#[test]
fn an_ordinary_file_has_no_extra_so_that_its_filemeta_is_the_clis() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["d/file"]);
    set_mtime(&temp.path().join("d/file"), 1_700_000_000, 0);
    let meta = described(temp.path(), "d/file");
    assert_eq!(meta.extra, Default::default());
    assert_eq!((meta.mtime, meta.parents), (1_700_000_000, Some(vec!["d".to_owned()])));
    assert_eq!(described(temp.path(), "d").parents, None);
}

#[test]
fn a_time_before_1970_counts_down_in_seconds_and_up_in_nanoseconds() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["file"]);
    set_mtime(&temp.path().join("file"), -2, 999_999_999);
    let meta = described(temp.path(), "file");
    assert_eq!((meta.mtime, meta.mtime_nsec()), (-2, 999_999_999));
}

#[test]
fn a_symlink_is_itself_and_not_what_it_points_to() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["file"]);
    let link = |target: &[u8], name: &str| {
        std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(target), temp.path().join(name)).unwrap();
        set_mtime(&temp.path().join(name), 5, 0);
    };
    link(b"file", "good");
    link(b"/not/there", "dangling");
    link(b"\xff", "odd");
    let posix = |target: Option<&str>, target_b64: Option<&str>| Posix {
        kind: Some(Kind::Symlink),
        target: target.map(str::to_owned),
        target_b64: target_b64.map(str::to_owned),
        ..Posix::default()
    };
    let good = described(temp.path(), "good");
    assert_eq!((good.size, good.mode, good.mtime, good.flags), (0, 0o777, 5, 0));
    assert_eq!(good.posix(), Some(&posix(Some("file"), None)));
    assert_eq!(described(temp.path(), "dangling").posix(), Some(&posix(Some("/not/there"), None)));
    assert_eq!(described(temp.path(), "odd").posix(), Some(&posix(None, Some("/w=="))));
}

#[test]
fn a_socket_is_described_without_being_opened() {
    let temp = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(temp.path().join("socket")).unwrap();
    let meta = described(temp.path(), "socket");
    assert_eq!((meta.kind(), meta.size, meta.entry_type), (Some(Kind::Socket), 0, EntryType::File));
}

#[test]
fn a_device_has_its_numbers() {
    let source = source(Path::new("/dev"), LocalOptions { one_file_system: true, ..LocalOptions::default() });
    let (meta, _) = source.describe(&entries(&source)["null"]).unwrap();
    let posix = meta.posix().unwrap();
    assert_eq!((posix.kind, posix.rdev_major, posix.rdev_minor), (Some(Kind::Char), Some(1), Some(3)));
}

#[test]
fn a_file_with_holes_is_sparse_and_one_without_is_not() {
    let temp = tempfile::tempdir().unwrap();
    fs::File::create(temp.path().join("holes")).unwrap().set_len(10_000_000).unwrap();
    fs::write(temp.path().join("full"), vec![1; 100_001]).unwrap();
    assert!(described(temp.path(), "holes").posix().unwrap().sparse);
    let full = described(temp.path(), "full");
    assert!(!full.posix().is_some_and(|posix| posix.sparse));
    assert_eq!(full.size, 100_001);
}

#[test]
fn birth_time_and_inode_flags_are_those_of_the_file_system() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["file"]);
    let meta = described(temp.path(), "file");
    let file = fs::File::open(temp.path().join("file")).unwrap();
    let born = file
        .metadata()
        .unwrap()
        .created()
        .map_or(0, |born| i64::try_from(born.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()).unwrap());
    let flags = rustix::fs::ioctl_getflags(&file).map_or(0, |flags| flags.bits());
    assert_eq!((meta.btime, meta.flags), (born, flags));
}

#[test]
fn extended_attributes_are_stored_of_any_size_and_of_things_that_cannot_be_opened() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["file", "folder/x"]);
    let large = vec![7; 2000];
    let set = |name: &str, attribute: &str, value: &[u8]| {
        rustix::fs::lsetxattr(temp.path().join(name), attribute, value, XattrFlags::empty())
    };
    if set("file", "user.small", b"\x00\xff").is_err() {
        return skipped("extended_attributes_are_stored", "the file system of the temporary folder has none");
    }
    set("file", "user.large", &large).unwrap();
    set("file", "user.empty", b"").unwrap();
    set("folder", "user.f", b"f").unwrap();
    let xattrs = described(temp.path(), "file").xattrs;
    let value = |name: &str| xattrs[name].as_str();
    use base64::prelude::{BASE64_STANDARD, Engine};
    assert_eq!((value("user.small"), value("user.empty")), ("AP8=", ""));
    assert_eq!(value("user.large"), BASE64_STANDARD.encode(large));
    assert_eq!(described(temp.path(), "folder").xattrs["user.f"], "Zg==");

    std::os::unix::fs::symlink("file", temp.path().join("link")).unwrap();
    match set("link", "trusted.t", b"t") {
        Ok(()) => assert_eq!(described(temp.path(), "link").xattrs["trusted.t"], "dA=="),
        Err(error) => skipped("attributes of symlinks", &format!("they take root: {error}")),
    }
    assert!(!described(temp.path(), "link").xattrs.contains_key("user.small"));
}

#[test]
fn an_attribute_whose_name_is_not_utf8_is_a_warning() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["file"]);
    let file = temp.path().join("file");
    if rustix::fs::setxattr(&file, b"user.\xff".as_slice(), b"v", XattrFlags::empty()).is_err() {
        let why = "the file system of the temporary folder takes no such attributes";
        return skipped("an_attribute_whose_name_is_not_utf8_is_a_warning", why);
    }
    let source = plain(temp.path());
    let (meta, warnings) = source.describe(&entries(&source)["file"]).unwrap();
    assert!(meta.xattrs.is_empty());
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].path, "file");
    assert!(warnings[0].problem.contains("user.\\xff"), "{}", warnings[0].problem);
}

#[test]
fn the_first_of_several_names_goes_by_whole_paths_and_not_by_the_walk() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["b", "a/x", "a-b/y"]);
    for name in ["a/b", "a-b/b"] {
        fs::hard_link(temp.path().join("b"), temp.path().join(name)).unwrap();
    }
    let source = plain(temp.path());
    let entries = entries(&source);
    let hardlink = |file_id: &str| entries[file_id].hardlink.as_deref();
    assert_eq!((hardlink("a-b/b"), hardlink("a/b"), hardlink("b")), (None, Some("a-b/b"), Some("a-b/b")));
    let meta = source.describe(&entries["a/b"]).unwrap().0;
    assert_eq!(meta.posix().unwrap().hardlink.as_deref(), Some("a-b/b"));
    assert_eq!(meta.size, fs::metadata(temp.path().join("b")).unwrap().size());
}
