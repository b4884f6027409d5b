//! What must not happen: writing outside the target, or anything wrong, or with rights that the caller has not.

use std::os::unix::fs::{PermissionsExt, chown, symlink};

use cloudstic_e2e::mount::Mounted;

use super::*;

#[test]
fn a_link_in_the_target_never_leads_out_of_it() {
    for overwrite in [Overwrite::Never, Overwrite::IfChanged, Overwrite::Always] {
        let (mut scratch, mut memory) = (Scratch::new(), Memory::default());
        scratch.request.overwrite = overwrite;
        fs::create_dir(&scratch.target).unwrap();
        fs::write(scratch.outside.join("victim"), "untouched").unwrap();
        symlink("../outside", scratch.at("d")).unwrap();
        symlink("../outside/victim", scratch.at("f")).unwrap();
        owned_folder(&mut memory, "d", 0o700);
        owned(&mut memory, "d/victim", b"evil");
        owned(&mut memory, "d/new", b"evil");
        owned(&mut memory, "f", b"evil");
        let report = scratch.restore(&mut memory);
        assert_eq!(names(&scratch.outside), ["victim"]);
        assert_eq!(fs::read(scratch.outside.join("victim")).unwrap(), b"untouched");
        if overwrite == Overwrite::Never {
            assert_eq!((report.warning_count, report.skipped, report.files), (1, 1, 0));
            assert!(report.warnings[0].problem.contains("with 2 entries below it"), "{:?}", report.warnings);
        } else {
            assert_eq!((report.warning_count, report.files), (0, 3));
            assert!(fs::symlink_metadata(scratch.at("d")).unwrap().is_dir());
            assert_eq!(scratch.read("f"), b"evil");
        }
    }
}

#[test]
fn a_link_in_the_snapshot_is_no_folder() {
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    link(&mut memory, "d", scratch.outside.to_str().unwrap());
    owned(&mut memory, "d/f", b"evil");
    let report = scratch.restore(&mut memory);
    assert_eq!((report.others, report.files, report.warning_count), (1, 0, 1));
    assert!(names(&scratch.outside).is_empty());
}

#[test]
fn damage_leaves_no_file_and_keeps_the_old_one() {
    let big = noise(2, 2_500_000);
    let lose_chunk = |memory: &mut Memory, _: &FileMeta| {
        let chunk = ObjectRef::new(ObjectKind::Chunk, Hash::of(&noise(2, 2_500_000)[2_400_000..]));
        memory.lose(chunk);
        chunk
    };
    let flip_chunk = |memory: &mut Memory, _: &FileMeta| {
        let chunk = ObjectRef::new(ObjectKind::Chunk, Hash::of(&noise(2, 2_500_000)[..300_000]));
        memory.replace(chunk, "flipped");
        chunk
    };
    let lose_content = |memory: &mut Memory, meta: &FileMeta| {
        memory.lose(content(meta));
        content(meta)
    };
    // A content object is not proven by its name: here are lists of good chunks that are not the file's.
    let swap = |chunks: fn(Vec<ObjectRef>) -> Vec<ObjectRef>| {
        move |memory: &mut Memory, meta: &FileMeta| {
            let good = noise(2, 2_500_000);
            let list = good.chunks(300_000).map(|c| ObjectRef::new(ObjectKind::Chunk, Hash::of(c))).collect();
            memory.replace(content(meta), json::encode(&Content::chunked(2_500_000, chunks(list))));
            content(meta)
        }
    };
    let reorder = swap(|mut list| {
        list.swap(0, 1);
        list
    });
    let shorten = swap(|mut list| list.drain(..5).collect());
    let prolong = swap(|list| [list.clone(), list].concat());
    type Damage = Box<dyn Fn(&mut Memory, &FileMeta) -> ObjectRef>;
    let damages: [Damage; 6] = [
        Box::new(lose_chunk),
        Box::new(flip_chunk),
        Box::new(lose_content),
        Box::new(reorder),
        Box::new(shorten),
        Box::new(prolong),
    ];
    for (number, damage) in damages.into_iter().enumerate() {
        let (mut scratch, mut memory) = (Scratch::new(), Memory::default());
        let file = owned(&mut memory, "file", &big);
        owned(&mut memory, "other", b"fine");
        let object = damage(&mut memory, &file);
        for old in [None, Some("old")] {
            if let Some(old) = old {
                fs::write(scratch.at("file"), old).unwrap();
            }
            scratch.request.overwrite = Overwrite::Always;
            let report = scratch.restore(&mut memory);
            assert_eq!((report.files, report.warning_count), (1, 1), "damage {number}: {report:?}");
            assert_eq!(report.warnings[0].path, "file");
            assert!(report.warnings[0].problem.contains(&object.to_string()), "{report:?}");
            assert_eq!(fs::read_to_string(scratch.at("file")).ok().as_deref(), old);
            assert_eq!(scratch.names().len(), 1 + usize::from(old.is_some()));
        }
    }
}

#[test]
fn a_wrong_inline_content_is_not_written() {
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    let file = owned(&mut memory, "file", b"right");
    memory.replace(content(&file), json::encode(&Content::inline(b"wrong")));
    let report = scratch.restore(&mut memory);
    assert!(report.warnings[0].problem.contains("its data have the hash"), "{report:?}");
    assert!(scratch.names().is_empty());
}

#[test]
fn a_folder_with_something_in_it_is_never_removed() {
    let (mut scratch, mut memory) = (Scratch::new(), Memory::default());
    scratch.request.overwrite = Overwrite::Always;
    fs::create_dir_all(scratch.at("full/precious")).unwrap();
    fs::create_dir_all(scratch.at("empty")).unwrap();
    fs::write(scratch.at("folder"), "a file where a folder should be").unwrap();
    owned(&mut memory, "full", b"x");
    owned(&mut memory, "empty", b"x");
    owned_folder(&mut memory, "folder", 0o755);
    let report = scratch.restore(&mut memory);
    assert_eq!((report.files, report.folders, report.warning_count), (1, 1, 1));
    assert!(report.warnings[0].problem.contains("a folder with something in it"), "{report:?}");
    assert!(scratch.at("full/precious").is_dir() && scratch.at("folder").is_dir());
    assert_eq!(scratch.read("empty"), b"x");
    assert_eq!(scratch.names(), ["empty", "folder", "full"]);
}

#[test]
fn a_caller_gets_no_rights_but_its_own() {
    if !is_root("writing as another user") {
        return;
    }
    let (mut scratch, mut memory) = (Scratch::new(), Memory::default());
    fs::set_permissions(scratch.target.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    for i in 0..300 {
        memory.file_with(format!("f{i:03}").as_bytes(), b"x", |meta| meta.mode = 0o4755);
    }
    for (path, kind) in [("fifo", Kind::Fifo), ("socket", Kind::Socket)] {
        let posix = Posix { kind: Some(kind), ..Posix::default() };
        let mut entry = FileMeta { mode: 0o604, uid: 65534, gid: 65534, ..meta(path.as_bytes()) };
        entry.extra.posix = Some(Box::new(posix));
        memory.add(entry);
    }
    scratch.request.identity = Some(Identity { uid: 65534, gid: 65534, groups: Vec::new() });
    let error = scratch.try_restore(&mut memory).unwrap_err();
    assert!(matches!(error, RestoreError::Target { .. }), "{error}");
    assert!(!scratch.target.exists());

    fs::create_dir(&scratch.target).unwrap();
    let report = scratch.restore(&mut memory);
    assert_eq!((report.files, report.warning_count), (0, 302));

    chown(&scratch.target, Some(65534), Some(65534)).unwrap();
    let report = scratch.restore(&mut memory);
    // They belonged to root: one warning for all, and no set-id bit that would lend the wrong rights.
    assert_eq!((report.files, report.warning_count), (300, 1), "{report:?}");
    let stat = fs::metadata(scratch.at("f000")).unwrap();
    assert_eq!((stat.uid(), stat.mode() & 0o7777), (65534, 0o755));
    let fifo = fs::metadata(scratch.at("fifo")).unwrap();
    assert_eq!((fifo.mode() & 0o7777, fifo.mtime()), (0o604, 1_700_000_000));
    assert!(rustix::process::geteuid().is_root());
}

#[test]
fn a_full_disk_is_one_error_and_not_a_warning_for_each_file() {
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    let test = "a_full_disk_is_one_error_and_not_a_warning_for_each_file";
    let Some(mounted) = Mounted::new(test, "tmpfs", "size=1m", &scratch.target) else { return };
    for number in 0..40 {
        owned(&mut memory, &format!("f{number}"), &noise(number, 100_000));
    }
    let done = scratch.try_restore(&mut memory);
    let names = scratch.names();
    drop(mounted);
    let error = done.unwrap_err();
    let RestoreError::Target { path, cause } = &error else { panic!("{error}") };
    assert_eq!(cause.kind(), std::io::ErrorKind::StorageFull);
    assert!(path.contains("/target/f"), "{path}");
    assert!(names.len() < 40 && names.iter().all(|name| !name.ends_with(".tmp")), "{names:?}");
}

#[test]
fn a_store_that_is_gone_ends_the_restore() {
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    for number in 0..99 {
        owned(&mut memory, &format!("f{number}"), format!("{number}").as_bytes());
    }
    memory.store_fails = true;
    assert_eq!(scratch.restore(&mut memory).warning_count, 99);
    for number in 99..500 {
        owned(&mut memory, &format!("f{number}"), format!("{number}").as_bytes());
    }
    assert!(matches!(scratch.try_restore(&mut memory), Err(RestoreError::Repository(_))));
    assert!(scratch.names().is_empty());
}

#[test]
fn what_a_killed_restore_has_left_goes_and_nothing_else() {
    use rustix::fs::{FlockOperation, flock};
    const LEFT: &str = ".cloudstic-0123456789abcdef.tmp";
    const IN_USE: &str = ".cloudstic-0123456789abcde0.tmp";
    let others = [".cloudstic-0123456789abcdef.tmp.txt", ".cloudstic-0123.tmp", ".cloudstic-0123456789abcdeg.tmp"];
    let of_snapshot = ".cloudstic-0123456789abcde1.tmp";
    let (mut scratch, mut memory) = (Scratch::new(), Memory::default());
    owned_folder(&mut memory, "d", 0o755);
    owned(&mut memory, "d/file", b"x");
    owned(&mut memory, "d/.cloudstic-0123456789abcde1.tmp", b"x");
    let mut locks = Vec::new();
    for folder in ["", "d", "elsewhere"] {
        let folder = scratch.at(folder);
        fs::create_dir_all(folder.join(".cloudstic-0123456789abcde2.tmp")).unwrap();
        for name in others.into_iter().chain([LEFT, IN_USE]) {
            fs::write(folder.join(name), "left").unwrap();
        }
        symlink("nowhere", folder.join(".cloudstic-0123456789abcde3.tmp")).unwrap();
        let lock = fs::File::open(folder.join(IN_USE)).unwrap();
        flock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        locks.push(lock);
    }
    let mut kept = [&others[..], &[IN_USE, ".cloudstic-0123456789abcde2.tmp"]].concat();
    kept.sort_unstable();
    let before = ["", "d", "elsewhere"].map(|folder| names(&scratch.at(folder)));
    scratch.request.dry_run = true;
    scratch.restore_cleanly(&mut memory);
    assert_eq!(["", "d", "elsewhere"].map(|folder| names(&scratch.at(folder))), before);
    scratch.request.dry_run = false;
    for _ in 0..2 {
        scratch.restore_cleanly(&mut memory);
        let temporary = |folder: &str| {
            let names = names(&scratch.at(folder)).into_iter().filter(|name| name.starts_with(".cloudstic"));
            names.filter(|name| name != of_snapshot).collect::<Vec<_>>()
        };
        assert_eq!(temporary(""), kept);
        assert_eq!(temporary("d"), kept);
        assert_eq!(names(&scratch.at("elsewhere")), before[2], "it was not visited");
        assert_eq!(scratch.read(&format!("d/{of_snapshot}")), b"x");
    }
}

#[test]
fn a_dry_run_says_that_the_target_could_not_be_made() {
    let (mut scratch, mut memory) = (Scratch::new(), Memory::default());
    owned(&mut memory, "f", b"x");
    scratch.request.dry_run = true;
    let inside = scratch.outside.join("not/there/yet");
    scratch.request.target = inside.clone();
    scratch.restore_cleanly(&mut memory);

    fs::write(scratch.outside.join("file"), "").unwrap();
    symlink("nowhere", scratch.outside.join("dangling")).unwrap();
    let failure = |scratch: &Scratch, memory: &mut Memory| match scratch.try_restore(memory) {
        Err(RestoreError::Target { path, .. }) => assert_eq!(path, scratch.request.target.display().to_string()),
        other => panic!("{other:?}"),
    };
    for path in ["file/below", "dangling", "dangling/below"] {
        scratch.request.target = scratch.outside.join(path);
        failure(&scratch, &mut memory);
        // And so it is.
        scratch.request.dry_run = false;
        failure(&scratch, &mut memory);
        scratch.request.dry_run = true;
    }
    if !is_root("becoming a user who may not write") {
        return;
    }
    fs::set_permissions(scratch.outside.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    scratch.request.identity = Some(Identity { uid: 65534, gid: 65534, groups: Vec::new() });
    scratch.request.target = inside;
    failure(&scratch, &mut memory);
    chown(&scratch.outside, Some(65534), None).unwrap();
    scratch.restore_cleanly(&mut memory);
    assert_eq!(names(&scratch.outside), ["dangling", "file"]);
}
