//! Repositories on SFTP servers.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use cloudstic_e2e::oracle::{assert_same_tree, assert_sound, oracle};
use cloudstic_e2e::servers::proxy::{Line, Trouble};
use cloudstic_e2e::servers::rclone::RcloneSftp;
use cloudstic_e2e::servers::sshd::Sshd;
use cloudstic_e2e::site::{Credential, Site, poll};
use cloudstic_e2e::{golden, tree};

use crate::client::{backup, snapshots};

const PASSWORD: &str = "correct horse battery staple";

/// Settings for logins by key.
fn by_key(server: &Sshd) -> String {
    login(&server.key(), &server.known_hosts())
}

fn login(key: &Path, known_hosts: &Path) -> String {
    format!("sftp = {{ key = \"{}\", known_hosts = \"{}\" }}", key.display(), known_hosts.display())
}

#[test]
fn a_tree_comes_back_from_a_server_although_connections_are_cut() {
    let Some(server) = Sshd::start("a repository on an SFTP server") else { return };
    let mut site = Site::new();
    let source = site.path("source");
    tree::full(&source);
    site.repository_at("main", &server.location("repository"), Credential::Password(PASSWORD));
    site.setting(&by_key(&server)).profile("tree", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    server.cut();
    tree::change(&source);
    backup(&daemon, &["tree"], 0);
    server.cut();
    let target = site.path("target");
    daemon.ctl(&["restore", "main", "latest", "--to", target.to_str().unwrap()]).ok();
    assert_same_tree(&source, &target);
    assert_eq!(snapshots(&daemon, "main").len(), 2);
    daemon.ctl(&["forget", "main", "--keep-last", "1"]).ok();
    daemon.ctl(&["prune", "main", "--max-waste", "0"]).ok();
    daemon.ctl(&["check", "main"]).ok();
    assert_sound(&server.files().join("repository"), &["--password", PASSWORD]);
    assert!(!daemon.log().contains("let several clients win"), "{}", daemon.log());
}

/// A backup on a line that is cut again and again, and a restore on one that is slow, and then falls silent.
fn jobs_outlive(line: &Line, location: &str, login: &str, repository: &Path) {
    let mut site = Site::new();
    let (source, target) = (site.path("source"), site.path("target"));
    tree::full(&source);
    site.repository_at("main", location, Credential::Password(PASSWORD)).setting(login);
    site.setting("limits = { stall_timeout = \"2s\" }").profile("tree", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    line.breaks(Trouble::Cut, 1_000_000, 3);
    backup(&daemon, &["tree"], 0);
    assert_eq!(line.broken(), 3);
    // For some seconds there and back.
    line.slow(2 << 20);
    line.breaks(Trouble::Silence, 1_000_000, 1);
    daemon.ctl(&["restore", "main", "latest", "--to", target.to_str().unwrap()]).ok();
    assert_eq!(line.broken(), 1);
    assert_same_tree(&source, &target);
    // Nothing is wrong in it but temporary files. rclone takes its time until all is there.
    let verify = [OsStr::new("verify"), repository.as_os_str(), OsStr::new("--password"), OsStr::new(PASSWORD)];
    let sound = poll(|| (oracle(verify).code == 0).then_some(()));
    assert!(sound.is_some(), "{:?}", oracle(verify));
}

#[test]
fn jobs_outlive_a_line_that_breaks_and_falls_silent() {
    let Some(server) = Sshd::start("a line that breaks") else { return };
    let line = Line::start(server.port());
    let login = login(&server.key(), &server.known_hosts_by(line.port()));
    jobs_outlive(&line, &server.location_by(line.port(), "repository"), &login, &server.files().join("repository"));
}

#[test]
fn jobs_outlive_such_a_line_to_another_one_s_server() {
    let server = RcloneSftp::start("secret");
    let line = Line::start(server.port());
    let login = login(&server.key(), &server.known_hosts_by(line.port()));
    jobs_outlive(&line, &server.location_by(line.port(), "repository"), &login, &server.files().join("repository"));
}

/// Repositories in folders of a server, held against copies on this host.
fn come_back(files: &Path, location: impl Fn(&str) -> String, login: &str) {
    let mut site = Site::new();
    let names = ["plain", "nopack", "encrypted"];
    for name in names {
        let copy = site.path(&format!("{name}.repository"));
        golden::copy(name, &copy);
        golden::copy(name, &files.join(name));
        let credential = match name {
            "encrypted" => Credential::Password("golden-password"),
            _ => Credential::None,
        };
        site.repository(&format!("{name}-local"), &copy, credential);
        site.repository_at(&format!("{name}-server"), &location(name), credential).setting(login);
    }
    let daemon = site.start();
    for name in names {
        let restored = ["local", "server"].map(|place| {
            let (repository, target) = (format!("{name}-{place}"), site.path(&format!("{name} from {place}")));
            daemon.ctl(&["restore", &repository, "latest", "--to", target.to_str().unwrap()]).ok();
            (target, snapshots(&daemon, &repository))
        });
        assert_eq!(restored[0].1, restored[1].1);
        assert_eq!(restored[0].1.len(), 3);
        assert_same_tree(&restored[0].0, &restored[1].0);
    }
}

#[test]
fn repositories_of_another_program_open_on_a_server_too() {
    let Some(server) = Sshd::start("golden repositories on an SFTP server") else { return };
    come_back(&server.files(), |name| server.location(name), &by_key(&server));
}

#[test]
fn repositories_of_another_program_open_on_another_one_s_server_too() {
    let server = RcloneSftp::start("secret");
    let login = login(&server.key(), &server.known_hosts());
    come_back(&server.files(), |name| server.location(name), &login);
}

#[test]
fn a_password_logs_in_and_nobody_sees_it() {
    let secret = "hunter2 is the secret";
    let Some(server) = Sshd::start_with_password("logins by password at an SFTP server", secret) else { return };
    let mut site = Site::new();
    let (good, bad) = (site.path("good"), site.path("bad"));
    for (path, text) in [(&good, secret), (&bad, "hunter3")] {
        write_secret(path, text);
    }
    for (name, password) in [("good", &good), ("bad", &bad)] {
        site.repository_at(name, &server.location(name), Credential::None);
        let (password, known) = (password.display(), server.known_hosts());
        site.setting(&format!("sftp = {{ password = \"file:{password}\", known_hosts = \"{}\" }}", known.display()));
    }
    let daemon = site.start();
    daemon.ctl(&["init", "good", "--unencrypted"]).ok();
    let refused = daemon.ctl(&["init", "bad", "--unencrypted"]).expect(1);
    refused.says(&["refuses access: the server does not accept the password"]);
    assert!(!daemon.log().contains("hunter"), "{}", daemon.log());
}

fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_host_key_that_changed_ends_everything_and_says_so() {
    let Some(server) = Sshd::start("changed host keys") else { return };
    let mut site = Site::new();
    site.repository_at("main", &server.location("repository"), Credential::None).setting(&by_key(&server));
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    server.change_host_key();
    server.cut();
    let refused = daemon.ctl(&["list", "main"]).expect(1);
    refused.says(&["is not to be trusted: the server's host key is not the known one, and is now SHA256:"]);
}
