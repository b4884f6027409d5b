//! Key slots: who changes one is not locked out, and no secret is left anywhere.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cloudstic_e2e::site::{Credential, Daemon, Site};
use cloudstic_e2e::skip::{is_root, skipped};
use cloudstic_e2e::tree;
use serde_json::json;

use crate::client::{backup, running_backup, snapshots};

const OLD: &str = "correct horse";
const NEW: &str = "battery staple & more";

fn site() -> Site {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    tree::plain(&source);
    site.repository("main", &store, Credential::Password(OLD)).profile("tree", "main", &source, "");
    site
}

/// Another site with a daemon that knows the same repository by another credential.
fn elsewhere(site: &Site, credential: Credential<'_>) -> Site {
    let mut other = Site::new();
    other.repository("main", &site.path("repository"), credential);
    other
}

/// Makes recovery words, on a terminal: they are seen there and nowhere else.
fn add_recovery(site: &Site, args: &[&str]) -> String {
    let document = site.path("document.json");
    let seen = site.ctl_on_terminal(&[&["--json", "key", "add-recovery", "main"], args].concat(), &document).ok();
    let written = fs::read_to_string(&document).unwrap();
    let slot: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert!(slot["slot"].as_str().unwrap().starts_with("recovery-"), "{written}");
    let seen = seen.text();
    let cells = seen.split_whitespace().collect::<Vec<_>>();
    let number = |cell: &str| cell.strip_suffix('.').and_then(|number| number.parse::<usize>().ok());
    let words = cells.windows(2).filter(|pair| number(pair[0]).is_some()).map(|pair| pair[1]);
    let words = words.collect::<Vec<_>>().join(" ");
    assert!(words.split(' ').all(|word| !written.contains(&format!("{word} "))), "{written}");
    words
}

fn slots(daemon: &Daemon<'_>) -> Vec<String> {
    let listed = daemon.ctl(&["--json", "key", "list", "main"]).ok().json();
    listed["slots"].as_array().unwrap().iter().map(|slot| slot["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_new_password_opens_at_once_and_after_a_restart_and_the_old_one_never_again() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    let file = site.path("new-password");
    fs::write(&file, format!("{NEW}\n")).unwrap();
    let passwd = ["key", "passwd", "main", "--new-password-file", file.to_str().unwrap()];
    daemon.ctl(&[&passwd[..], &["-n"]].concat()).ok().shows(&["dry run: would change key slot password-default"]);
    backup(&daemon, &["tree"], 0);
    let changed = daemon.ctl(&passwd).ok().shows(&["what opened it before opens nothing any more"]);
    changed.says(&["warning", "cannot open it again", "[repositories.main]"]);
    // What is open goes on, also when the configuration does not open it.
    daemon.ctl(&passwd).expect(12);
    backup(&daemon, &["tree"], 0);
    assert_eq!(daemon.ctl(&["--json", "key", "list", "main"]).ok().json()["slots"][0]["in_use"], json!(true));
    daemon.stop();

    site.start().ctl(&["list", "main"]).expect(12);
    let other = elsewhere(&site, Credential::Password(NEW));
    assert_eq!(snapshots(&other.start(), "main").len(), 3);
    cloudstic_e2e::oracle::assert_sound(&site.path("repository"), &["--password", NEW]);
}

#[test]
fn new_recovery_words_and_platform_keys_open_the_repository() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    backup(&daemon, &["tree"], 0);
    for json in [&[][..], &["--json"]] {
        let refused = site.ctl_without_terminal(&[json, &["key", "add-recovery", "main"]].concat()).expect(1);
        assert_eq!(refused.text(), "");
        refused.says(&["shown once", "terminal", "nothing was changed"]);
    }
    assert_eq!(slots(&daemon), ["password-default"]);
    let words = &add_recovery(&site, &["--label", "paper"]);
    assert_eq!(words.split(' ').count(), 24);
    let file = site.path("platform.key");
    daemon.ctl(&["key", "add-platform", "main", "--generate", file.to_str().unwrap()]).ok().shows(&["platform.key"]);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read_to_string(&file).unwrap();
    // A file that is refused for an existing slot is not left behind.
    let second = site.path("second.key");
    daemon.ctl(&["key", "add-platform", "main", "--generate", second.to_str().unwrap()]).expect(1);
    assert!(!second.exists());

    assert_eq!(slots(&daemon), ["password-default", "platform-default", "recovery-paper"]);
    for credential in [Credential::RecoveryWords(words), Credential::PlatformKey(key.trim())] {
        let other = elsewhere(&site, credential);
        assert_eq!(snapshots(&other.start(), "main").len(), 1);
    }
    cloudstic_e2e::oracle::assert_sound(&site.path("repository"), &["--recovery-words", words]);
}

#[test]
fn nobody_locks_out_the_daemon_or_everybody_by_mistake() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    daemon.ctl(&["key", "remove", "main", "password-default", "--force"]).expect(1).says(&["last key slot"]);
    add_recovery(&site, &[]);
    daemon.ctl(&["key", "remove", "main", "password-default"]).expect(1).says(&["configured credentials", "--force"]);
    daemon.ctl(&["key", "remove", "main", "recovery-default"]).ok().shows(&["removed key slot recovery-default"]);
    assert_eq!(slots(&daemon), ["password-default"]);
    daemon.ctl(&["key", "rotate-master", "main"]).expect(1).says(&["cannot be changed", "cloudsticctl copy"]);
    if is_root() {
        let mut open = Site::new();
        open.repository("main", &site.path("repository"), Credential::Password(OLD));
        open.setting("[access]\nusers = [\"nobody\"]");
        let _daemon = open.start();
        fs::set_permissions(open.path("daemon.sock"), PermissionsExt::from_mode(0o666)).unwrap();
        open.ctl_as_nobody(&["key", "list", "main"]).expect(1).says(&["only root and the daemon's own user"]);
    } else {
        skipped("keys::nobody_locks_out_the_daemon_or_everybody_by_mistake", "another user's calls need root");
    }
}

#[test]
fn keys_are_not_changed_while_somebody_works() {
    let mut site = site();
    let endless = site.path("endless");
    tree::endless(&endless);
    site.profile("endless", "main", &endless, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    let id = running_backup(&daemon, &["endless"]);
    let has_lock = || fs::read_dir(site.path("repository/index/lock.shared")).ok()?.next();
    assert!(cloudstic_e2e::site::poll(has_lock).is_some(), "{}", daemon.log());
    site.ctl_on_terminal(&["key", "add-recovery", "main"], Path::new("/dev/null")).expect(11);
    daemon.ctl(&["job", "cancel", &id]).ok();
    add_recovery(&site, &["--lock-wait", "30s"]);
}

#[test]
fn no_secret_is_left_in_logs_or_state() {
    let mut site = Site::new();
    let store = site.path("repository");
    site.setting("log_level = \"trace\"").repository("main", &store, Credential::Password(OLD));
    let daemon = site.start();
    daemon.ctl(&["init", "main"]).ok();
    let file = site.path("new-password");
    fs::write(&file, NEW).unwrap();
    let words = add_recovery(&site, &[]);
    let passwd = ["key", "passwd", "main", "--new-password-file", file.to_str().unwrap()];
    daemon.ctl(&passwd).ok();
    let failed = daemon.ctl(&passwd).expect(12);
    let log = daemon.log();
    assert!(log.contains("set password"), "{log}");
    daemon.stop();

    let state = fs::read(site.path("state/state.redb")).unwrap();
    let bytes = |secret: &str| format!("{:?}", secret.as_bytes()).trim_matches(['[', ']']).to_owned();
    for secret in [NEW, words.as_str(), OLD] {
        let found = |haystack: &[u8]| haystack.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found(&state) && !found(log.as_bytes()) && !found(failed.stderr.as_bytes()));
        assert!(!log.contains(&bytes(secret)));
    }
}
