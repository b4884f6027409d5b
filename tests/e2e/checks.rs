//! Checks as a user has them: what they remember, and what makes no sense.

use std::fs;

use cloudstic_e2e::site::{Credential, Site};
use cloudstic_e2e::{random, tree};

use crate::client::backup;
use crate::locks::scrape;

/// Each is large enough to be read by itself.
const FILES: u64 = 3;

fn site() -> Site {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    for n in 0..FILES {
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

    // The state stays, and the name is another one each time.
    let check = |name: &str| {
        let mut renamed = Site::new();
        renamed.repository(name, &site.path("repository"), Credential::None);
        fs::rename(site.path("state"), renamed.path("state")).unwrap();
        let daemon = renamed.start();
        let read = daemon.ctl(&["--json", "check", name, "--read-data-subset", "1"]).ok().json();
        daemon.stop();
        fs::rename(renamed.path("state"), site.path("state")).unwrap();
        let read = &read["report"]["data"];
        assert_eq!(read["complete"], false);
        [&read["contents"], &read["packs"]].map(|count| count.as_u64().unwrap())
    };
    // One file or pack each time, so all of them are read once in one round.
    let packs = fs::read_dir(site.path("repository/packs")).unwrap().count() as u64;
    let read = (0..FILES + packs).map(|n| check(&format!("name-{n}")));
    let sum = read.fold([0, 0], |sum, read| [sum[0] + read[0], sum[1] + read[1]]);
    assert_eq!(sum, [FILES, packs]);
}
