//! What users get wrong or run into: each says in one line what is wrong and what to do, with the exit code for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use cloudstic_e2e::mount::Mounted;
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
    daemon.ctl(&["list", "golden"]).expect(12).says(&["no key slot", "password", "see what the configuration gives"]);
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
    daemon.ctl(&["list", "nonesuch"]).expect(1).says(&["nonesuch", "cloudsticctl status"]);
    daemon.ctl(&["backup", "nonesuch"]).expect(1).says(&["nonesuch", "configured:"]);
    daemon.ctl(&["job", "show", "00000000000000a1"]).expect(1).says(&["00000000000000a1", "cloudsticctl job list"]);
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
        (
            "[repositories.r]\nstore = \"local:/r\"\n[profiles.p]\nrepository = \"r\"\nsource = \"/etc\"\nexcludes = [\"x[z-a]\"]\n",
            ["broken.toml:6: profiles.p.excludes", "x[z-a]"],
        ),
    ] {
        fs::write(&config, bad).unwrap();
        check(&config).expect(1).says(&words);
        start(&config).expect(1).says(&words);
    }
}

#[test]
fn a_state_or_socket_that_cannot_be_made_says_what_to_do() {
    let site = Site::new();
    let (file, config) = (site.path("file"), site.path("config.toml"));
    fs::write(&file, "in the way").unwrap();
    let (inside, free) = (file.join("x"), site.path("free"));
    let write = |socket: &Path, state: &Path| {
        fs::write(&config, format!("[daemon]\nsocket = {socket:?}\nstate_dir = {state:?}\n")).unwrap();
    };
    write(&free.join("sock"), &inside);
    start(&config).expect(1).says(&[inside.to_str().unwrap(), "may write there", "daemon.state_dir"]);
    write(&inside, &free);
    start(&config).expect(1).says(&[inside.to_str().unwrap(), "may write to its folder", "daemon.socket"]);
    write(&file, &free);
    start(&config).expect(1).says(&[file.to_str().unwrap(), "is no socket", "move it away"]);
    fs::write(free.join("state.redb"), "no database").unwrap();
    write(&free.join("sock"), &free);
    start(&config).expect(1).says(&["state.redb is damaged", "move it away", "history of jobs"]);
}

#[test]
fn a_secret_that_is_not_there_is_named() {
    let mut site = Site::new();
    let store = site.path("repository");
    golden::copy("encrypted", &store);
    site.repository("golden", &store, Credential::Password("x"));
    let daemon = site.start();
    let secret = site.path("golden.secret");
    fs::remove_file(&secret).unwrap();
    daemon.ctl(&["list", "golden"]).expect(12).says(&[secret.to_str().unwrap(), "may read it"]);
}

#[test]
fn a_snapshot_or_path_that_is_not_there_is_one_line() {
    let mut site = Site::new();
    let (store, source, target) = (site.path("repository"), site.path("source"), site.path("target"));
    let (to, zip) = (target.to_str().unwrap(), site.path("a.zip"));
    site.repository("main", &store, Credential::None).profile("p", "main", &source, "");
    tree::write(&source, "file.txt", b"here\n");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    daemon.ctl(&["ls", "main", "latest"]).expect(1).says(&["no snapshots yet", "run a backup"]);
    backup(&daemon, &["p"], 0);

    daemon.ctl(&["ls", "main", "abcdef"]).expect(1).says(&["abcdef", "cloudsticctl list"]);
    daemon.ctl(&["restore", "main", "abcdef", "--to", to]).expect(1).says(&["abcdef", "cloudsticctl list"]);
    daemon.ctl(&["ls", "main", "latest", "gone"]).expect(1).says(&["gone", "cloudsticctl ls"]);
    daemon.ctl(&["restore", "main", "latest", "gone", "--to", to]).expect(1).says(&["gone", "cloudsticctl ls"]);
    assert!(!target.exists());
    daemon
        .ctl(&["restore", "main", "latest", "gone", "--zip", zip.to_str().unwrap()])
        .expect(1)
        .says(&["gone", "cloudsticctl ls"]);
    assert!(!zip.exists());
    fs::write(&target, "a file").unwrap();
    daemon.ctl(&["restore", "main", "latest", "--to", to]).expect(1).says(&[to, "another folder"]);
}

fn check(config: &Path) -> Ran {
    let mut command = limited(binaries::daemon());
    command.arg("--config").arg(config).arg("--check-config");
    Ran::run(command)
}

/// For a daemon that ends on its start.
fn start(config: &Path) -> Ran {
    let mut command = limited(binaries::daemon());
    command.arg("--config").arg(config);
    Ran::run(command)
}

#[test]
fn no_daemon_is_said_with_the_socket() {
    Site::new().ctl(&["status"]).expect(1).says(&["daemon.sock", "not running", "start `cloudsticd`"]);
}

#[test]
fn a_socket_without_rights_is_said() {
    if !is_root() {
        return skipped("a_socket_without_rights_is_said", "only root can become another user");
    }
    let site = Site::new();
    let _daemon = site.start();
    site.ctl_as_nobody(&["status"]).expect(1).says(&["daemon.sock", "may not", "ask"]);
}

#[test]
fn a_second_daemon_does_not_take_the_socket_of_the_first() {
    let site = Site::new();
    let daemon = site.start();
    let mut second = limited(binaries::daemon());
    second.arg("--config").arg(site.config());
    Ran::run(second).expect(1).says(&["in use", "stop it"]);
    daemon.ctl(&["status"]).ok();
}

#[test]
fn a_source_that_is_not_there_fails_the_job_and_is_named() {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("gone"));
    site.repository("main", &store, Credential::None).profile("p", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    daemon.ctl(&["backup", "p"]).expect(1).says(&[source.to_str().unwrap(), "check the path"]);
}

#[test]
fn a_full_disk_fails_the_backup_and_breaks_nothing() {
    let mut site = Site::new();
    let (disk, source) = (site.path("disk"), site.path("source"));
    let test = "a_full_disk_fails_the_backup_and_breaks_nothing";
    let Some(_mounted) = Mounted::new(test, "tmpfs", "size=8m", &disk) else { return };
    let store = disk.join("repository");
    site.repository("main", &store, Credential::None).profile("p", "main", &source, "");
    tree::write(&source, "small.txt", b"fits\n");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["p"], 0);
    tree::write(&source, "large.bin", &random::bytes(5, 20_000_000));
    daemon.ctl(&["backup", "p"]).expect(1).says(&["no space left", "free some"]);
    daemon.ctl(&["restore", "main", "latest", "--to", site.path("restored").to_str().unwrap()]).ok();
    assert!(site.path("restored/small.txt").exists());

    remount(&disk, "64m");
    backup(&daemon, &["p"], 0);
    assert_sound(&store, &[]);
}

fn remount(folder: &Path, size: &str) {
    let options = format!("remount,size={size}");
    assert!(Command::new("mount").args(["-o", &options]).arg(folder).status().unwrap().success());
}
