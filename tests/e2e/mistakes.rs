//! What users get wrong or run into: each says in one line what is wrong and what to do, with the exit code for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use cloudstic_e2e::oracle::assert_sound;
use cloudstic_e2e::ran::{Ran, limited};
use cloudstic_e2e::site::{Credential, Site};
use cloudstic_e2e::skip::{is_root, skipped};
use cloudstic_e2e::{binaries, golden, random, tree};

use crate::client::backup;

#[test]
fn a_wrong_password_ends_with_12() {
    let mut site = Site::new();
    let store = site.path("repository");
    golden::copy("encrypted", &store);
    site.repository("golden", &store, Credential::Password("not the password"));
    let daemon = site.start();
    daemon.ctl(&["list", "golden"]).expect(12).says(&["no key slot", "password"]);
}

#[test]
fn an_encrypted_repository_without_a_credential_ends_with_12() {
    let mut site = Site::new();
    let store = site.path("repository");
    golden::copy("encrypted", &store);
    site.repository("golden", &store, Credential::None);
    let daemon = site.start();
    daemon.ctl(&["list", "golden"]).expect(12).says(&["encrypted", "credential"]);
}

#[test]
fn a_missing_repository_ends_with_10_and_names_init() {
    let mut site = Site::new();
    let store = site.path("repository");
    fs::create_dir(&store).unwrap();
    site.repository("main", &store, Credential::Password("x"));
    let daemon = site.start();
    daemon.ctl(&["list", "main"]).expect(10).says(&["cloudsticctl init"]);
}

#[test]
fn a_name_that_is_not_configured_is_named() {
    let site = Site::new();
    let daemon = site.start();
    daemon.ctl(&["list", "nonesuch"]).expect(1).says(&["nonesuch"]);
    daemon.ctl(&["backup", "nonesuch"]).expect(1).says(&["nonesuch"]);
}

#[test]
fn a_broken_configuration_names_file_line_and_key() {
    let site = Site::new();
    let good = site.config();
    check(&good).ok();
    let config = site.path("broken.toml");
    for (bad, words) in [
        ("[daemon]\nsokcet = \"/tmp/x\"\n", ["broken.toml:2", "sokcet"]),
        ("[daemon]\nmax_running_jobs = \"many\"\n", ["broken.toml:2", "max_running_jobs"]),
        ("[repositories.main]\nstore = \"ftp://x\"\n", ["broken.toml:2", "repositories.main.store"]),
        ("[profiles.p]\nrepository = \"gone\"\nsource = \"/etc\"\n", ["broken.toml:2", "gone"]),
        ("[daemon\n", ["broken.toml:1", ""]),
    ] {
        fs::write(&config, bad).unwrap();
        check(&config).expect(1).says(&words);
    }
}

fn check(config: &Path) -> Ran {
    let mut command = limited(binaries::daemon());
    command.arg("--config").arg(config).arg("--check-config");
    Ran::run(command)
}

#[test]
fn no_daemon_is_said_with_the_socket() {
    Site::new().ctl(&["status"]).expect(1).says(&["daemon.sock", "not running"]);
}

#[test]
fn a_socket_without_rights_is_said() {
    if !is_root() {
        return skipped("a_socket_without_rights_is_said", "only root can become another user");
    }
    let site = Site::new();
    let _daemon = site.start();
    site.ctl_as_nobody(&["status"]).expect(1).says(&["daemon.sock", "may not"]);
}

#[test]
fn a_second_daemon_does_not_take_the_socket_of_the_first() {
    let site = Site::new();
    let daemon = site.start();
    let mut second = limited(binaries::daemon());
    second.arg("--config").arg(site.config());
    let second = Ran::run(second);
    assert_ne!(second.code, 0);
    daemon.ctl(&["status"]).ok();
}

#[test]
fn a_source_that_is_not_there_fails_the_job_and_is_named() {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("gone"));
    site.repository("main", &store, Credential::None).profile("p", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    daemon.ctl(&["backup", "p"]).expect(1).says(&[source.to_str().unwrap()]);
}

#[test]
fn a_full_disk_fails_the_backup_and_breaks_nothing() {
    let mut site = Site::new();
    let (disk, source) = (site.path("disk"), site.path("source"));
    let Some(_mounted) = Mounted::tmpfs(&disk, "8m") else { return };
    let store = disk.join("repository");
    site.repository("main", &store, Credential::None).profile("p", "main", &source, "");
    tree::write(&source, "small.txt", b"fits\n");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["p"], 0);
    tree::write(&source, "large.bin", &random::bytes(5, 20_000_000));
    daemon.ctl(&["backup", "p"]).expect(1).says(&["no space left"]);
    daemon.ctl(&["restore", "main", "latest", "--to", site.path("restored").to_str().unwrap()]).ok();
    assert!(site.path("restored/small.txt").exists());

    remount(&disk, "64m");
    backup(&daemon, &["p"], 0);
    assert_sound(&store, &[]);
}

/// A small filesystem of its own, until this value goes.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// `None`, and a visible word, where that is not allowed.
    fn tmpfs(folder: &'a Path, size: &str) -> Option<Self> {
        fs::create_dir(folder).unwrap();
        let options = format!("size={size}");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        skipped("a_full_disk_fails_the_backup_and_breaks_nothing", "a tmpfs cannot be mounted here");
        None
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

fn remount(folder: &Path, size: &str) {
    let options = format!("remount,size={size}");
    assert!(Command::new("mount").args(["-o", &options]).arg(folder).status().unwrap().success());
}
