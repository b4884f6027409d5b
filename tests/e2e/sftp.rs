//! Repositories on SFTP servers.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use cloudstic_e2e::oracle::{assert_same_tree, assert_sound, oracle};
use cloudstic_e2e::servers::proxy::CuttingProxy;
use cloudstic_e2e::servers::sshd::Sshd;
use cloudstic_e2e::site::{Credential, Site};
use cloudstic_e2e::{golden, tree};

use crate::client::{backup, snapshots};

const PASSWORD: &str = "correct horse battery staple";

/// Settings for logins by key.
fn by_key(server: &Sshd) -> String {
    by_key_through(server, server.port())
}

/// The same by way of another port.
fn by_key_through(server: &Sshd, port: u16) -> String {
    let (key, known) = (server.key(), server.known_hosts_by(port));
    format!("sftp = {{ key = \"{}\", known_hosts = \"{}\" }}", key.display(), known.display())
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

/// Locks are not tried twice, so a job may fail; then it says why.
#[test]
fn on_a_line_that_breaks_again_and_again_jobs_end_right_or_say_why() {
    let Some(server) = Sshd::start("a line that breaks") else { return };
    let line = CuttingProxy::start(server.port(), 1_000_000, 4);
    let mut site = Site::new();
    let source = site.path("source");
    tree::full(&source);
    let credential = Credential::Password(PASSWORD);
    site.repository_at("direct", &server.location("repository"), credential).setting(&by_key(&server));
    site.repository_at("main", &server.location_by(line.port(), "repository"), credential);
    site.setting(&by_key_through(&server, line.port())).profile("tree", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "direct"]).ok();
    let until_done = |arguments: &[&str]| {
        let done = (0..10).any(|_| {
            let ran = daemon.ctl(arguments);
            let is_done = ran.code == 0;
            if !is_done {
                ran.expect(1).says(&[]);
            }
            is_done
        });
        assert!(done, "{arguments:?} ended badly ten times");
    };
    until_done(&["backup", "tree"]);
    assert_eq!(line.cut(), 4);
    // Nothing is wrong in it but temporary files.
    let repository = server.files().join("repository");
    oracle([OsStr::new("verify"), repository.as_os_str(), OsStr::new("--password"), OsStr::new(PASSWORD)]).ok();
    let target = site.path("target");
    until_done(&["restore", "main", "latest", "--to", target.to_str().unwrap()]);
    assert_same_tree(&source, &target);
    until_done(&["check", "main"]);
}

#[test]
fn a_repository_of_another_program_opens_on_a_server_too() {
    let Some(server) = Sshd::start("a golden repository on an SFTP server") else { return };
    let mut site = Site::new();
    let copy = server.files().join("golden");
    golden::copy("encrypted", &copy);
    let credential = Credential::Password("golden-password");
    site.repository("local", &copy, credential);
    site.repository_at("server", &server.location("golden"), credential).setting(&by_key(&server));
    let daemon = site.start();
    let restored = ["local", "server"].map(|name| {
        let target = site.path(&format!("from {name}"));
        daemon.ctl(&["restore", name, "latest", "--to", target.to_str().unwrap()]).ok();
        (target, snapshots(&daemon, name).len())
    });
    assert_eq!(restored[0].1, restored[1].1);
    assert_same_tree(&restored[0].0, &restored[1].0);
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
