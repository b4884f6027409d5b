//! `mount`: a repository as a file system, with a real kernel.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cloudstic_e2e::ran::Ran;
use cloudstic_e2e::site::{Credential, Site, poll};
use cloudstic_e2e::skip::skipped;
use cloudstic_e2e::{binaries, random, tree};
use rustix::process::{Pid, Signal, kill_process};

use crate::client::{backup, snapshots};

/// A running `cloudsticctl mount`, which is unmounted at the latest with this value.
struct Mount {
    child: Child,
    dir: PathBuf,
    line: String,
}

impl Mount {
    /// Mounts and waits until it says so. `None`, and a visible word that `test` is left out, where there is no FUSE.
    fn new(test: &str, site: &Site, args: &[&str]) -> Option<Self> {
        if let Err(why) = File::options().read(true).write(true).open("/dev/fuse") {
            skipped(test, &format!("/dev/fuse cannot be opened: {why}"));
            return None;
        }
        let dir = site.path("mounted");
        fs::create_dir_all(&dir).unwrap();
        let mut command = Command::new(binaries::client());
        command.arg("--socket").arg(site.path("daemon.sock")).args(["mount", "main"]).arg(&dir).args(args);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mount = Self { child, dir, line };
        assert!(!mount.line.is_empty(), "it was not mounted: {}", mount.end(|_| {}).1);
        Some(mount)
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Unmounts in some way, and gives the exit code and what was said.
    fn end(mut self, how: impl FnOnce(&Self)) -> (i32, String) {
        how(&self);
        let status = poll(|| self.child.try_wait().unwrap()).expect("it does not end");
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (status.code().unwrap_or(-1), said)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = Command::new("umount").arg("--lazy").arg(&self.dir).status();
        }
    }
}

fn is_mounted(dir: &Path) -> bool {
    fs::read_to_string("/proc/self/mountinfo").unwrap().contains(dir.to_str().unwrap())
}

/// Panics unless both trees have the same entries, with all that the mount shows of them.
fn assert_same(expected: &Path, found: &Path) {
    let names = |folder: &Path| {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(expected), names(found), "in {}", expected.display());
    for name in names(expected) {
        let (expected, found) = (expected.join(&name), found.join(&name));
        let (a, b) = (expected.symlink_metadata().unwrap(), found.symlink_metadata().unwrap());
        let shown = |m: &fs::Metadata| (m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec());
        assert_eq!(shown(&a), shown(&b), "{}", expected.display());
        if a.is_dir() {
            assert_same(&expected, &found);
        } else {
            assert_eq!(a.len(), b.len(), "{}", expected.display());
        }
        if a.is_file() {
            assert!(fs::read(&expected).unwrap() == fs::read(&found).unwrap(), "{} differs", expected.display());
        }
        if a.is_symlink() {
            assert_eq!(fs::read_link(&expected).unwrap(), fs::read_link(&found).unwrap());
        }
    }
}

/// A site with a repository, backed up once.
fn site() -> Site {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    site.repository("main", &store, Credential::None).profile("tree", "main", &source, "");
    site
}

#[test]
fn a_mounted_repository_is_what_was_backed_up() {
    let site = site();
    let source = site.path("source");
    tree::full(&source);
    let large = random::bytes(99, 3 << 20);
    tree::write(&source, "large.bin", &large);
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["tree", "--tag", "first"], 0);
    let Some(mount) = Mount::new("a_mounted_repository_is_what_was_backed_up", &site, &[]) else { return };
    assert!(mount.line.starts_with("1 snapshot of main at "), "{}", mount.line);

    assert_same(&source, &mount.dir.join("latest"));
    let name = fs::read_link(mount.dir.join("latest")).unwrap();
    let hash = snapshots(&daemon, "main")[0].reference.replace("snapshot/", "");
    assert!(name.to_str().unwrap().ends_with(&hash[..12]), "{name:?}");
    let tagged = fs::read_dir(mount.dir.join("tags/first")).unwrap().next().unwrap().unwrap().path();
    assert!(tagged.join("text.txt").exists());
    assert!(mount.dir.join("latest/fifo").symlink_metadata().unwrap().file_type().is_fifo());
    let numbers = || fs::metadata(mount.dir.join("latest/sizes/1.bin")).unwrap().ino();
    assert_eq!(numbers(), numbers());

    let file = File::open(mount.dir.join("latest/large.bin")).unwrap();
    let mut bytes = random::bytes(7, 64);
    for chunk in bytes.chunks_exact_mut(8) {
        let offset = usize::from(chunk[0]) * 12_289 % large.len();
        let mut read = vec![0; 1 + usize::from(chunk[1]) * 4099];
        let length = read.len().min(large.len() - offset);
        file.read_exact_at(&mut read[..length], offset as u64).unwrap();
        assert!(read[..length] == large[offset..offset + length], "{length} bytes at {offset}");
    }
    drop(file);

    for refused in [
        File::create(mount.dir.join("latest/new")).map(drop),
        fs::write(mount.dir.join("latest/text.txt"), b"x"),
        fs::remove_file(mount.dir.join("latest/text.txt")),
        fs::create_dir(mount.dir.join("new")),
    ] {
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }
    assert!(!mount.dir.join("latest/nothing").exists());

    let dir = mount.dir.clone();
    assert_eq!(mount.end(Mount::interrupt), (0, String::new()));
    assert!(!is_mounted(&dir));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
}

#[test]
fn one_snapshot_stays_the_same_and_umount_ends_it() {
    let site = site();
    tree::write(&site.path("source"), "file", b"before");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["tree"], 0);
    let args = ["--snapshot", "latest", "--json"];
    let Some(mount) = Mount::new("one_snapshot_stays_the_same_and_umount_ends_it", &site, &args) else { return };
    let mounted: serde_json::Value = serde_json::from_str(&mount.line).unwrap();
    assert_eq!((&mounted["repository"], &mounted["path"]), (&"main".into(), &mount.dir.to_str().unwrap().into()));
    assert_eq!(fs::read(mount.dir.join("file")).unwrap(), b"before");
    tree::write(&site.path("source"), "file", b"afterwards");
    backup(&daemon, &["tree"], 0);
    assert_eq!(fs::read(mount.dir.join("file")).unwrap(), b"before");
    let ended = mount.end(|mount| {
        let mut umount = Command::new("umount");
        umount.arg(&mount.dir);
        Ran::run(umount).ok();
    });
    assert_eq!(ended, (0, String::new()));
}

#[test]
fn a_mount_outlives_its_daemon_and_damage_is_an_error() {
    let site = site();
    let source = site.path("source");
    tree::write(&source, "folder/file", &random::bytes(1, 2_000_000));
    tree::write(&source, "folder/other", &random::bytes(2, 2_000_000));
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["tree"], 0);
    let args = ["--snapshot", "latest"];
    let Some(mount) = Mount::new("a_mount_outlives_its_daemon_and_damage_is_an_error", &site, &args) else { return };
    assert!(daemon.stop().success());
    let why = fs::read_dir(mount.dir.join("folder")).unwrap_err();
    assert_eq!(why.raw_os_error(), Some(5), "{why}");

    let _daemon = site.start();
    assert!(fs::read(mount.dir.join("folder/file")).unwrap() == random::bytes(1, 2_000_000));
    // Every object of data is lost.
    for folder in ["chunk", "packs"] {
        let _ = fs::remove_dir_all(site.path("repository").join(folder));
    }
    assert_eq!(fs::read(mount.dir.join("folder/other")).unwrap_err().raw_os_error(), Some(5));
    let (code, said) = mount.end(Mount::interrupt);
    assert_eq!(code, 0);
    assert!(said.contains("cannot list") && said.contains("cannot read") && said.contains("folder/other"), "{said}");
    assert!(said.lines().count() < 6, "it says the same again and again: {said}");
}

#[test]
fn what_cannot_be_mounted_is_one_line() {
    let site = site();
    tree::write(&site.path("source"), "file", b"x");
    let _daemon = site.start();
    let source = site.path("source");
    site.ctl(&["mount", "main", source.to_str().unwrap()]).expect(1).says(&["not empty"]);
    let nowhere = site.path("nowhere");
    site.ctl(&["mount", "main", nowhere.to_str().unwrap()]).expect(1).says(&["cannot mount", "nowhere"]);
    let dir = site.path("dir");
    fs::create_dir(&dir).unwrap();
    let dir = dir.as_os_str();
    assert!(!dir.as_bytes().is_empty());
    site.ctl(&["mount".as_ref(), "main".as_ref(), dir]).expect(10).says(&["no repository"]);
    site.ctl(&["mount".as_ref(), "unknown".as_ref(), dir]).expect(1).says(&["unknown"]);
}
