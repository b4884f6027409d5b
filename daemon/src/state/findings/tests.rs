//! What is kept of what jobs found, and what is said where it is not all.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use super::*;

const CUT: &str = "cut";

fn warning(path: &str) -> v1::Finding {
    let warning = v1::Warning { path: path.to_owned(), problem: "x".repeat(100) };
    v1::Finding { finding: Some(Finding::Warning(warning)) }
}

fn folder(room: u64) -> (tempfile::TempDir, Arc<FindingsFolder>) {
    let state_dir = tempfile::tempdir().unwrap();
    let folder = Arc::new(FindingsFolder::with(state_dir.path(), room, |_| Ok(u64::MAX)));
    (state_dir, folder)
}

/// The paths of all warnings, and what is missing.
fn read(folder: &FindingsFolder, id: JobId) -> (Vec<String>, String) {
    let mut reader = folder.read(id).unwrap().unwrap_or_default();
    let (mut paths, mut missing) = (Vec::new(), None);
    loop {
        let batch = reader.batch(CUT);
        if batch.is_empty() {
            return (paths, missing.unwrap());
        }
        for finding in batch {
            assert_eq!(missing, None, "there is more after the last one");
            match finding.finding.unwrap() {
                Finding::Warning(warning) => paths.push(warning.path),
                Finding::End(end) => missing = Some(end.missing),
                other => unreachable!("{other:?}"),
            }
        }
    }
}

fn paths(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("a/{n}")).collect()
}

fn fill(folder: &Arc<FindingsFolder>, id: JobId, count: usize) -> Option<String> {
    let log = folder.log(id);
    paths(count).iter().for_each(|path| log.add(&warning(path)));
    log.close()
}

#[test]
fn any_number_is_kept_for_the_daemon_alone_and_read_also_while_it_grows() {
    let (state_dir, folder) = folder(ROOM);
    let log = folder.log(JobId(1));
    paths(3000).iter().for_each(|path| log.add(&warning(path)));
    log.flush();
    assert_eq!(read(&folder, JobId(1)), (paths(3000), CUT.to_owned()));
    assert_eq!(log.close(), None);
    assert_eq!(read(&folder, JobId(1)), (paths(3000), String::new()));
    let mode = |path: &str| state_dir.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("findings"), mode("findings/0000000000000001")), (0o700, 0o600));
}

#[test]
fn a_job_that_found_nothing_has_no_file() {
    let (state_dir, folder) = folder(ROOM);
    assert_eq!(fill(&folder, JobId(1), 0), None);
    assert!(!state_dir.path().join("findings").exists());
    assert_eq!(read(&folder, JobId(1)), (Vec::new(), CUT.to_owned()));
}

#[test]
fn a_file_that_was_cut_or_hit_gives_what_is_before_it_and_says_so() {
    let (_state_dir, folder) = folder(ROOM);
    fill(&folder, JobId(1), 10);
    let whole = fs::read(folder.file(JobId(1))).unwrap();
    for length in 0..whole.len() {
        fs::write(folder.file(JobId(1)), &whole[..length]).unwrap();
        let (found, missing) = read(&folder, JobId(1));
        assert_eq!((found.as_slice(), missing.as_str()), (&paths(10)[..found.len()], CUT), "{length}");
    }
    for at in 0..whole.len() {
        let mut hit = whole.clone();
        hit[at] ^= 0xff;
        fs::write(folder.file(JobId(1)), &hit).unwrap();
        // There is no end of it, and no panic.
        let mut reader = folder.read(JobId(1)).unwrap().unwrap();
        while !reader.batch(CUT).is_empty() {}
    }
}

#[test]
fn one_that_becomes_too_long_keeps_its_beginning_and_tells_how_much_is_left_out() {
    let (_state_dir, folder) = folder(2 << 20);
    let missing = fill(&folder, JobId(1), 20_000).unwrap();
    let (found, told) = read(&folder, JobId(1));
    assert_eq!(found, paths(found.len()));
    assert_eq!(missing, format!("{} more could not be kept: it has 1 MiB, which is the most", 20_000 - found.len()));
    assert_eq!(missing, told);
}

/// Lets a list have ended so many seconds after some time.
fn ended_at(folder: &FindingsFolder, id: JobId, seconds: u64) {
    let file = File::options().write(true).open(folder.file(id)).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

#[test]
fn those_that_ended_first_make_room_and_say_so_and_none_that_is_written_does() {
    let (_state_dir, folder) = folder(1 << 20);
    let running = folder.log(JobId(1));
    paths(1000).iter().for_each(|path| running.add(&warning(path)));
    running.flush();
    ended_at(&folder, JobId(1), 0);
    for (seconds, id) in [5, 2, 4, 3].into_iter().enumerate() {
        assert_eq!(fill(&folder, JobId(id), 3500), None);
        ended_at(&folder, JobId(id), seconds as u64);
    }
    let kept: Vec<usize> = (2..=5).map(|id| read(&folder, JobId(id)).0.len()).collect();
    assert_eq!(kept, [0, 3500, 3500, 0][..]);
    assert!(read(&folder, JobId(5)).1.contains("removed to make room"));
    // Also if the clock says that the others ended later.
    ended_at(&folder, JobId(3), 1 << 33);
    ended_at(&folder, JobId(4), 1 << 33);
    paths(2500).iter().for_each(|path| running.add(&warning(path)));
    assert_eq!(running.close(), None);
    assert_eq!((read(&folder, JobId(1)).0.len(), read(&folder, JobId(1)).1), (3500, String::new()));
    assert_eq!([3, 4].map(|id| read(&folder, JobId(id)).0.len()), [0, 3500]);
}

#[test]
fn one_goes_also_if_there_is_no_room_for_the_word_that_says_so() {
    let (state_dir, folder) = folder(1 << 20);
    fill(&folder, JobId(1), 3500);
    ended_at(&folder, JobId(1), 0);
    fs::create_dir(state_dir.path().join("findings/0000000000000001.new")).unwrap();
    fill(&folder, JobId(2), 3500);
    fill(&folder, JobId(3), 3500);
    assert!(!folder.file(JobId(1)).exists());
    assert_eq!(read(&folder, JobId(3)), (paths(3500), String::new()));
}

#[test]
fn a_disk_that_is_full_gets_back_at_once_what_the_list_took() {
    let (_state_dir, folder) = folder(ROOM);
    fill(&folder, JobId(2), 1);
    symlink("/dev/full", folder.file(JobId(1))).unwrap();
    let log = folder.log(JobId(1));
    paths(200).iter().for_each(|path| log.add(&warning(path)));
    assert!(fs::symlink_metadata(folder.file(JobId(1))).is_err(), "it is still there");
    let missing = log.close().unwrap();
    assert!(missing.starts_with("200 more could not be kept: No space left"), "{missing}");
    assert_eq!(read(&folder, JobId(1)), (Vec::new(), missing));
}

#[test]
fn a_disk_that_is_nearly_full_is_left_to_others() {
    fn free(folder: &Path) -> io::Result<u64> {
        Ok(if folder.with_file_name("full").exists() { FLOOR - 1 } else { FLOOR })
    }
    let state_dir = tempfile::tempdir().unwrap();
    let folder = Arc::new(FindingsFolder::with(state_dir.path(), ROOM, free));
    let log = folder.log(JobId(1));
    paths(1000).iter().for_each(|path| log.add(&warning(path)));
    fs::write(state_dir.path().join("full"), b"").unwrap();
    paths(20_000).iter().for_each(|path| log.add(&warning(path)));
    let missing = log.close().unwrap();
    let (found, told) = read(&folder, JobId(1));
    assert!(found.len() > 1000 && missing.contains("less than 256 MiB are free"), "{missing}");
    assert!(missing.starts_with(&format!("{} more", 21_000 - found.len())), "{missing}");
    assert_eq!(missing, told);
    // Whoever begins then gets no further than to say so.
    let missing = fill(&folder, JobId(2), 5).unwrap();
    assert!(missing.starts_with("5 more could not be kept: less than"), "{missing}");
    assert_eq!(read(&folder, JobId(2)), (Vec::new(), missing));
}

#[test]
fn what_is_too_long_for_a_message_is_left_out_alone() {
    let (_state_dir, folder) = folder(ROOM);
    let log = folder.log(JobId(1));
    for path in ["a", &"x".repeat(LONGEST), "b"] {
        log.add(&warning(path));
    }
    let missing = log.close().unwrap();
    assert_eq!(missing, "1 more could not be kept: each is longer than 8 MiB");
    assert_eq!(read(&folder, JobId(1)), (vec!["a".into(), "b".into()], missing));
}

#[test]
fn one_that_cannot_be_written_is_told_of_once_and_stops_nobody() {
    let (state_dir, folder) = folder(ROOM);
    fs::write(state_dir.path().join("findings"), b"in the way").unwrap();
    let missing = fill(&folder, JobId(1), 5).unwrap();
    assert!(missing.starts_with("5 more could not be kept: "), "{missing}");
}
