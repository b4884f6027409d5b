//! Repositories at a cloud service.

use std::fs;

use cloudstic_e2e::oracle::assert_same_tree;
use cloudstic_e2e::servers::answers::backblaze;
use cloudstic_e2e::servers::ministack::Ministack;
use cloudstic_e2e::site::{Credential, Site};
use cloudstic_e2e::tree;

use crate::client::{backup, snapshots};

const SECRET: &str = "hunter2-secret-access-key";

#[test]
fn a_repository_in_a_bucket_is_as_good_as_one_in_a_folder_and_no_secret_is_told() {
    let service = Ministack::start();
    service.make_bucket("backups");
    let mut site = Site::new();
    let (source, secret) = (site.path("source"), site.path("s3.secret"));
    tree::full(&source);
    fs::write(&secret, SECRET).unwrap();
    site.repository_at("main", "s3:backups/one/two", Credential::Password("correct horse"))
        .setting("[repositories.main.s3]")
        .setting(&format!("endpoint = \"{}\"", service.url()))
        .setting(&format!("access_key_id = \"file:{0}\"\nsecret_access_key = \"file:{0}\"", secret.display()))
        .profile("tree", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    tree::change(&source);
    backup(&daemon, &["tree"], 0);
    assert_eq!(snapshots(&daemon, "main").len(), 2);
    daemon.ctl(&["restore", "main", "latest", "--to", site.path("restored").to_str().unwrap()]).ok();
    assert_same_tree(&source, &site.path("restored"));
    daemon.ctl(&["forget", "main", "--keep-last", "1", "--prune"]).ok();
    daemon.ctl(&["check", "main", "--read-data"]).ok();

    let known = fs::read_to_string(site.path("state").join("stores.json")).unwrap();
    assert!(known.contains("\"create\": true"), "{known}");
    let log = daemon.log();
    assert!(log.contains("the store was tried") && !log.contains("hunter2") && !known.contains("hunter2"), "{log}");
}

/// Who has the key is found in the environment, and asked for the place of the account's buckets.
#[test]
fn a_repository_at_backblaze_is_as_good_as_any_and_a_wrong_key_is_refused() {
    let service = Ministack::start();
    service.make_bucket("backups");
    let account = backblaze("004hunter", SECRET, &service.url());
    let mut site = Site::new();
    let source = site.path("source");
    tree::full(&source);
    for (name, key) in [("main", "env:B2_APP_KEY"), ("wrong", "command:echo hunter3")] {
        site.repository_at(name, &format!("b2:backups/{name}"), Credential::Password("correct horse"))
            .setting(&format!("b2 = {{ endpoint = \"{account}\", application_key = \"{key}\" }}"));
    }
    site.profile("tree", "main", &source, "");
    site.environment("B2_KEY_ID", "004hunter").environment("B2_APP_KEY", SECRET);
    let daemon = site.start();
    daemon
        .ctl(&["init", "wrong"])
        .expect(1)
        .says(&["b2:backups/wrong: Backblaze B2 does not accept the application key (401"]);
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    tree::change(&source);
    backup(&daemon, &["tree"], 0);
    daemon.ctl(&["forget", "main", "--keep-last", "1", "--prune"]).ok();
    assert_eq!(snapshots(&daemon, "main").len(), 1);
    daemon.ctl(&["restore", "main", "latest", "--to", site.path("restored").to_str().unwrap()]).ok();
    assert_same_tree(&source, &site.path("restored"));
    daemon.ctl(&["check", "main", "--read-data"]).ok();
    assert!(!daemon.log().contains("hunter"), "{}", daemon.log());
}

#[test]
fn a_key_of_kms_opens_a_repository_that_has_no_password() {
    let service = Ministack::start();
    let mut site = Site::new();
    let (source, store) = (site.path("source"), site.path("repository"));
    tree::plain(&source);
    site.repository("main", &store, Credential::None)
        .setting("[repositories.main.kms]")
        .setting(&format!("key = \"{}\"\nendpoint = \"{}\"", service.make_key(), service.url()))
        .setting("access_key_id = \"command:echo a\"\nsecret_access_key = \"command:echo b\"")
        .profile("tree", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok().shows(&["kms-platform-default"]);
    backup(&daemon, &["tree"], 0);
    assert!(daemon.stop().success());
    let daemon = site.start();
    daemon.ctl(&["restore", "main", "latest", "--to", site.path("restored").to_str().unwrap()]).ok();
    assert_same_tree(&source, &site.path("restored"));
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let service = Ministack::start();
    let mut site = Site::new();
    site.repository_at("main", "s3:nowhere", Credential::Password("correct horse"))
        .setting(&format!("s3.endpoint = \"{}\"", service.url()))
        .setting("s3.access_key_id = \"command:echo a\"\ns3.secret_access_key = \"command:echo b\"");
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).expect(10).says(&["s3:nowhere", "no such bucket"]);
}
