//! What changes, vanishes or refuses while it is read.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Runs as a user who is not root: root may read everything.
fn as_ordinary_user(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let run = || {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::thread::Uid::from_raw(65534);
                // Credentials are per thread for the kernel: only this one changes.
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            test();
        };
        scope.spawn(run).join().unwrap();
    });
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_cannot_be_read_is_a_warning_and_the_walk_goes_on() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["closed/x", "open/y", "secret"]);
    allow(temp.path(), 0o755);
    allow(&temp.path().join("closed"), 0o000);
    allow(&temp.path().join("secret"), 0o000);
    as_ordinary_user(|| {
        let source = plain(temp.path());
        assert_eq!(file_ids(&source), ["closed", "open", "open/y", "secret"]);
        let warnings: Vec<_> = listings(&source).into_iter().flat_map(|listing| listing.warnings).collect();
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].path, "closed");
        assert!(warnings[0].problem.contains("ermission denied"), "{}", warnings[0].problem);

        let entries = entries(&source);
        let (meta, warnings) = source.describe(&entries["secret"]).unwrap();
        assert_eq!((meta.mode, meta.size, warnings), (0, 6, Vec::new()));
        assert!(matches!(source.open(&entries["secret"]), Err(SourceError::Io { path, .. }) if path == "secret"));
        assert!(source.describe(&entries["closed"]).is_ok());
    });
    allow(&temp.path().join("closed"), 0o755);
}

#[test]
fn what_vanished_or_was_replaced_is_told_apart() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["gone", "d/inner", "file", "folder/x", "other"]);
    let source = plain(temp.path());
    let entries = entries(&source);
    fs::remove_file(temp.path().join("gone")).unwrap();
    fs::remove_file(temp.path().join("file")).unwrap();
    std::os::unix::fs::symlink("other", temp.path().join("file")).unwrap();
    fs::rename(temp.path().join("d"), temp.path().join("moved")).unwrap();
    std::os::unix::fs::symlink("moved", temp.path().join("d")).unwrap();
    fs::write(temp.path().join("new"), "new").unwrap();
    fs::rename(temp.path().join("new"), temp.path().join("other")).unwrap();

    let path_of = |error| match error {
        SourceError::Vanished { path } => format!("vanished {path}"),
        SourceError::Replaced { path } => format!("replaced {path}"),
        other => panic!("{other}"),
    };
    for (file_id, expected) in [
        ("gone", "vanished gone"),
        ("file", "replaced file"),
        ("d", "replaced d"),
        ("d/inner", "replaced d/inner"),
        ("other", "replaced other"),
    ] {
        assert_eq!(path_of(source.describe(&entries[file_id]).unwrap_err()), expected);
        assert_eq!(path_of(source.open(&entries[file_id]).err().unwrap()), expected);
    }
    assert_eq!(path_of(source.refresh(&entries["file"]).unwrap_err()), "replaced file");
    let again = source.refresh(&entries["other"]).unwrap();
    let Described { mut reader, .. } = source.describe_and_open(&again).unwrap();
    assert_eq!((read_all(&mut *reader).as_slice(), reader.unchanged()), (b"new".as_slice(), true));
}

#[test]
fn a_file_that_changes_while_it_is_read_says_so_and_a_second_look_helps() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["file"]);
    let source = plain(temp.path());
    let entry = entries(&source)["file"].clone();
    let mut reader = source.open(&entry).unwrap();
    assert!(reader.unchanged());
    fs::write(temp.path().join("file"), "longer than before").unwrap();
    read_all(&mut *reader);
    assert!(!reader.unchanged());

    let again = source.refresh(&entry).unwrap();
    let Described { meta, mut reader, .. } = source.describe_and_open(&again).unwrap();
    assert_eq!(meta.size, read_all(&mut *reader).len() as u64);
    assert!(reader.unchanged());
}

#[test]
fn a_folder_that_vanishes_or_is_swapped_during_the_walk_does_not_end_it() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["a/x", "b/x", "c/x"]);
    let source = plain(temp.path());
    let mut told = Vec::new();
    source
        .walk(&mut |listing| {
            if listing.folder.is_empty() {
                fs::remove_dir_all(temp.path().join("a")).unwrap();
                fs::rename(temp.path().join("b"), temp.path().join("elsewhere")).unwrap();
                std::os::unix::fs::symlink("elsewhere", temp.path().join("b")).unwrap();
            }
            told.push((listing.folder, listing.entries.len(), listing.warnings.len()));
            ControlFlow::Continue(())
        })
        .unwrap();
    let expected = [("", 3, 0), ("a", 0, 0), ("b", 0, 1), ("c", 1, 0)];
    assert_eq!(told, expected.map(|(folder, entries, warnings)| (folder.to_owned(), entries, warnings)));
}

#[test]
fn the_walk_stops_when_it_is_told_to_and_can_be_walked_again() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["a/x", "b/x"]);
    let source = plain(temp.path());
    let mut visits = 0;
    source
        .walk(&mut |_| {
            visits += 1;
            ControlFlow::Break(())
        })
        .unwrap();
    assert_eq!((visits, listings(&source).len()), (1, 3));
}

#[test]
fn a_root_that_is_missing_or_no_folder_is_an_error_that_names_it() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["file"]);
    let error = |name: &str| LocalSource::new(temp.path().join(name), LocalOptions::default()).unwrap_err();
    assert!(matches!(error("none"), SourceError::NoSuchRoot { path } if path.ends_with("/none")));
    assert!(matches!(error("file"), SourceError::NotAFolder { path } if path.ends_with("/file")));
    assert!(matches!(error("file/x"), SourceError::NotAFolder { .. }));
}

#[test]
fn a_root_reached_through_a_symlink_is_the_folder_itself() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["real/x"]);
    std::os::unix::fs::symlink("real", temp.path().join("link")).unwrap();
    let (link, real) = (plain(&temp.path().join("link")), plain(&temp.path().join("real")));
    assert_eq!(file_ids(&link), ["x"]);
    assert_eq!(link.info(), real.info());
}
