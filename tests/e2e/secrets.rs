//! No secret is in anything that a person or a program can see of the daemon, whatever goes wrong.

use std::fs;
use std::path::Path;

use cloudstic_e2e::servers::answers::backblaze;
use cloudstic_e2e::servers::ministack::Ministack;
use cloudstic_e2e::servers::rclone::RcloneS3;
use cloudstic_e2e::servers::sshd::Sshd;
use cloudstic_e2e::site::{Credential, Site};
use cloudstic_e2e::tree;

use crate::locks::scrape;

/// In each secret, and in nothing else.
const NEEDLE: &str = "hunter";

#[test]
fn secrets_of_stores_are_seen_nowhere() {
    let login = "hunter2 logs in";
    let service = RcloneS3::start("AKIDHUNTER", "hunter2-secret-access-key", "backups");
    let keys = Ministack::start();
    let server = Sshd::start_with_password("secrets of stores", login);
    let mut site = Site::new();
    let (source, good, wrong) = (site.path("source"), site.path("good"), site.path("wrong"));
    tree::plain(&source);
    fs::write(site.path("id"), "AKIDHUNTER").unwrap();
    fs::write(&good, "hunter2-secret-access-key").unwrap();
    fs::write(&wrong, "hunter3-secret-access-key").unwrap();
    site.setting("log_level = \"trace\"");
    let port = site.metrics();
    let mut names = vec!["bucket", "refused", "key", "token", "account", "no-account"];
    for (name, secret) in [("bucket", &good), ("refused", &wrong)] {
        let id = site.path("id");
        site.repository_at(name, &format!("s3:backups/{name}"), Credential::Password("hunter2 opens"))
            .setting(&format!("s3.endpoint = \"{}\"", service.url()))
            .setting(&format!("s3.access_key_id = \"file:{}\"", id.display()))
            .setting(&format!("s3.secret_access_key = \"file:{}\"", secret.display()));
    }
    // One takes any credentials, also those that are for a while.
    keys.make_bucket("backups");
    let id = site.path("id");
    site.repository_at("token", "s3:backups/token", Credential::Password("hunter2 opens"))
        .setting(&format!("s3.endpoint = \"{}\"\ns3.access_key_id = \"file:{}\"", keys.url(), id.display()))
        .setting(&format!("s3.secret_access_key = \"file:{}\"", good.display()))
        .setting("s3.session_token = \"command:echo hunter2-session-token\"");
    let account = backblaze("004hunter", "hunter2-application-key", &keys.url());
    for (name, key) in [("account", "hunter2-application-key"), ("no-account", "hunter3-application-key")] {
        site.repository_at(name, &format!("b2:backups/{name}"), Credential::Password("hunter2 opens"))
            .setting(&format!("b2.endpoint = \"{account}\"\nb2.key_id = \"command:echo 004hunter\""))
            .setting(&format!("b2.application_key = \"command:echo {key}\""));
    }
    let store = site.path("store");
    site.repository("key", &store, Credential::None)
        .setting(&format!("kms.key = \"{}\"\nkms.endpoint = \"{}\"", keys.make_key(), keys.url()))
        .setting(
            "kms.access_key_id = \"command:echo hunter2-id\"\nkms.secret_access_key = \"command:echo hunter2-key\"",
        );
    if let Some(server) = &server {
        for (name, password) in [("login", login), ("no-login", "hunter3 does not")] {
            let file = site.path(&format!("{name}.password"));
            fs::write(&file, password).unwrap();
            let known = server.known_hosts();
            site.repository_at(name, &server.location(name), Credential::Password("hunter2 opens")).setting(&format!(
                "sftp = {{ password = \"file:{}\", known_hosts = \"{}\" }}",
                file.display(),
                known.display()
            ));
            names.push(name);
        }
    }
    for name in &names {
        site.profile(name, name, &source, "");
    }
    let daemon = site.start();
    let mut shown = String::new();
    for name in names {
        for command in [
            &["init", name][..],
            &["backup", name],
            &["--json", "list", name],
            &["key", "list", name],
            &["check", name],
        ] {
            let ran = daemon.ctl(command);
            assert_eq!(ran.code == 0, !matches!(name, "refused" | "no-login" | "no-account"), "{ran:?}");
            shown += &format!("{ran:?}");
        }
    }
    shown += &format!("{:?}", daemon.ctl(&["--json", "job", "list"]).ok());
    shown += &scrape(port);
    shown += &arguments(daemon.pid());
    shown += &daemon.log();
    assert!(shown.contains("ssh") || server.is_none(), "{shown}");
    assert!(daemon.stop().success());
    shown += &contents(&site.path("state"));
    // The id of a key is no secret, but nobody needs it.
    let shown = shown.to_lowercase();
    let seen: Vec<_> = shown.lines().filter(|line| line.contains(NEEDLE)).collect();
    assert_eq!(seen, Vec::<&str>::new());
}

/// The command lines and environments of a process and its children.
fn arguments(of: u32) -> String {
    let read = |path: String| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\0', " ");
    let is_child = |id: &u32| {
        let stat = read(format!("/proc/{id}/stat"));
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        parent == Some(of)
    };
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let family = all.filter(|id| *id == of || is_child(id));
    family.map(|id| read(format!("/proc/{id}/cmdline")) + &read(format!("/proc/{id}/environ")) + "\n").collect()
}

/// All bytes of all files in a folder.
fn contents(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => all += &contents(&entry.path()),
            false => all += &String::from_utf8_lossy(&fs::read(entry.path()).unwrap()),
        }
    }
    all
}
