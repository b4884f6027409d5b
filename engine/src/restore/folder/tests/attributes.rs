//! Attributes that cannot be set, and the others, which are set all the same.

use cloudstic_e2e::mount::Mounted;

use super::*;

const TIME: i64 = 1_000_000_000;

/// A file with everything that its owner may give it, and an attribute.
fn old_and_private(memory: &mut Memory, path: &str, xattr: &str) {
    memory.file_with(path.as_bytes(), b"x", |meta| {
        own(meta);
        (meta.mode, meta.mtime) = (0o640, TIME);
        meta.xattrs.insert(xattr.to_owned(), BASE64_STANDARD.encode(b"v"));
    });
}

fn mode_and_time(path: &Path) -> (u32, i64) {
    let stat = fs::metadata(path).unwrap();
    (stat.mode() & 0o7777, stat.mtime())
}

#[test]
fn an_attribute_that_cannot_be_set_is_told_and_keeps_no_other_from_being_set() {
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    // No file system takes a name of more than 255 bytes.
    let too_long = format!("user.{}", "n".repeat(300));
    old_and_private(&mut memory, "file", &too_long);
    let report = scratch.restore(&mut memory);
    assert_eq!((report.files, report.warning_count), (1, 1), "{report:?}");
    assert!(report.warnings[0].problem.contains(&too_long), "{report:?}");
    assert_eq!(mode_and_time(&scratch.at("file")), (0o640, TIME));
}

#[test]
fn on_a_file_system_without_attributes_all_files_are_one_warning_and_have_mode_and_time() {
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    let test = "on_a_file_system_without_attributes_all_files_are_one_warning";
    let Some(_mounted) = Mounted::new(test, "ramfs", "mode=700", &scratch.target) else { return };
    for number in 0..3 {
        old_and_private(&mut memory, &format!("f{number}"), "user.note");
    }
    let report = scratch.restore(&mut memory);
    assert_eq!((report.files, report.warning_count), (3, 1), "{report:?}");
    assert!(report.warnings[0].problem.starts_with("3 entries did not get all extended attributes"), "{report:?}");
    for number in 0..3 {
        assert_eq!(mode_and_time(&scratch.at(&format!("f{number}"))), (0o640, TIME));
    }
}

#[test]
fn root_is_not_told_that_only_root_can_give_files_to_others() {
    use rustix::fs::{IFlags, ioctl_setflags};
    if !is_root("the immutable flag") {
        return;
    }
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    fs::create_dir_all(scratch.at("d")).unwrap();
    let folder = fs::File::open(scratch.at("d")).unwrap();
    if let Err(why) = ioctl_setflags(&folder, IFlags::IMMUTABLE) {
        return skipped("root_is_not_told_that_only_root_can_give_files", &format!("no inode flags here: {why}"));
    }
    owned_folder(&mut memory, "d", 0o711);
    let report = scratch.restore(&mut memory);
    ioctl_setflags(&folder, IFlags::empty()).unwrap();
    let told: Vec<_> = report.warnings.iter().map(|warning| warning.problem.as_str()).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("mode") && told[0].contains("modification time"), "{told:?}");
    assert!(told[1].contains("immutable") && !told[1].contains("only root"), "{told:?}");
}

#[test]
fn inode_flags_come_back_and_the_immutable_one_last() {
    use rustix::fs::{IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags, open};
    if !is_root("the immutable flag") {
        return;
    }
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    let flags = IFlags::IMMUTABLE | IFlags::NODUMP;
    let file_system_own = 0x80000;
    memory.add(FileMeta {
        flags: flags.bits() | file_system_own,
        mode: 0o755,
        entry_type: EntryType::Folder,
        ..meta(b"d")
    });
    memory.file_with(b"d/f", b"x", |meta| meta.flags = flags.bits() | file_system_own);
    memory.file_with(b"d/second", b"x", |meta| {
        meta.extra.posix = Some(Box::new(Posix { hardlink: Some("d/f".to_owned()), ..Posix::default() }));
    });
    let report = scratch.restore(&mut memory);
    let mut found = Vec::new();
    for path in ["d", "d/f"] {
        let opened = open(scratch.at(path), OFlags::RDONLY, Mode::empty()).unwrap();
        found.push(ioctl_getflags(&opened).map(|has| has & flags));
        _ = ioctl_setflags(&opened, IFlags::empty());
    }
    assert_eq!(names(&scratch.at("d")), ["f", "second"]);
    if report.warning_count == 0 {
        assert_eq!(found, [Ok(flags), Ok(flags)]);
    } else {
        skipped("inode_flags_come_back", &format!("no inode flags here: {:?}", report.warnings));
        assert_eq!(report.warning_count, 1);
    }
}

#[test]
fn a_source_without_modes_gets_the_usual_ones() {
    let (scratch, mut memory) = (Scratch::new(), Memory::default());
    memory.folder(b"d", 0);
    memory.file_with(b"d/f", b"x", |meta| meta.mode = 0);
    scratch.restore_cleanly(&mut memory);
    let mode = |path: &str| fs::metadata(scratch.at(path)).unwrap().mode() & 0o7777;
    assert!(mode("d/f") & 0o600 == 0o600 && mode("d/f") & 0o111 == 0);
    assert_eq!(mode("d") & 0o700, 0o700);
}
