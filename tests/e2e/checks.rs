//! Checks as a user has them: what they remember, and what makes no sense.

use cloudstic_e2e::site::{Credential, Site};
use cloudstic_e2e::{random, tree};

use crate::client::backup;
use crate::locks::scrape;

fn site() -> Site {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    for n in 0..4 {
        tree::write(&source, format!("{n}"), &random::bytes(n, 700_000));
    }
    site.repository("main", &store, Credential::None).profile("tree", "main", &source, "");
    site
}

/// When the daemon says that all was last found whole, in seconds since 1970.
fn last_success(port: u16) -> f64 {
    let answer = scrape(port);
    let name = "cloudstic_check_last_full_success_timestamp_seconds{repository=\"main\"} ";
    let line = answer.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{name} is not in\n{answer}")).parse().unwrap()
}

#[test]
fn a_daemon_that_was_started_again_knows_when_all_was_last_whole() {
    let mut site = site();
    let port = site.metrics();
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["tree"], 0);
    for part in [&[][..], &["--read-data-subset", "50%"], &["latest", "--read-data"]] {
        daemon.ctl(&[&["check", "main"], part].concat()).ok();
        assert_eq!(last_success(port), 0.0, "{part:?} was not all");
    }
    daemon.ctl(&["check", "main", "--read-data"]).ok();
    let at = last_success(port);
    assert!(at > 1.7e9, "{at}");
    daemon.stop();
    let _daemon = site.start();
    assert_eq!(last_success(port), at.floor());
}

#[test]
fn a_part_goes_on_where_the_last_one_ended_whatever_the_repository_is_called() {
    let site = site();
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["tree"], 0);
    for part in ["10%", "1G"] {
        let one = daemon.ctl(&["check", "main", "latest", "--read-data-subset", part]).expect(1);
        one.says(&[part, "whole repository", "--read-data", "1/10"]);
    }
    daemon.ctl(&["check", "main", "latest", "--read-data-subset", "1/2"]).ok();
    daemon.stop();

    // The state stays, the names change: each part is another one until all were read, and the other repository begins anew.
    let check = |repository: &str| {
        let mut renamed = Site::new();
        renamed.repository(repository, &site.path("repository"), Credential::None);
        renamed.setting(&format!("[repositories.{}]", if repository == "main" { "other" } else { "main" }));
        renamed.setting(&format!("store = \"local:{}\"", renamed.path("elsewhere").display()));
        std::fs::remove_dir_all(renamed.path("state")).ok();
        if site.path("state").exists() {
            std::fs::rename(site.path("state"), renamed.path("state")).unwrap();
        }
        let daemon = renamed.start();
        let args = ["--json", "check", repository, "--read-data-subset", "1500K"];
        let read = daemon.ctl(&args).ok().json()["report"]["data"].clone();
        daemon.stop();
        std::fs::rename(renamed.path("state"), site.path("state")).unwrap();
        (read["contents"].as_u64().unwrap(), read["complete"].as_bool().unwrap())
    };
    let parts: Vec<_> = ["main", "home", "main", "home"].map(check).into();
    assert!(parts.iter().all(|(contents, complete)| *contents <= 2 && !complete), "{parts:?}");
    assert!(parts.iter().map(|(contents, _)| contents).sum::<u64>() >= 4, "{parts:?}");
}
