//! Looking at locks, and removing them.

use cloudstic_proto::v1::{BackupSpec, BreakLocksResponse, JobState, ListLocksResponse, Lock, job_spec::Operation};

use super::World;
use super::fake::job;

fn prune() -> Lock {
    Lock {
        key: "index/lock.exclusive".into(),
        operation: "prune".into(),
        holder: "vm\x1b[2J (pid 7)".into(),
        acquired_at: "2026-11-21T03:57:55Z".into(),
        expires_at: "2026-11-21T03:58:55Z".into(),
        ..Lock::default()
    }
}

#[test]
fn locks_are_listed_and_none_is_said_to_be_none() {
    let world = World::new();
    let run = world.run(&["lock", "list", "home"]);
    assert_eq!((run.code, run.out.as_str()), (0, "no locks: nobody uses the repository\n"));
    world.fake.script().locks = ListLocksResponse { locks: vec![prune()] };
    let run = world.run(&["lock", "list", "home"]);
    assert!(run.out.contains("prune      vm\\x1b[2J (pid 7)  exclusive"), "{run:?}");
    let document = world.run(&["lock", "list", "home", "--json"]).json();
    assert_eq!((&document["locks"][0]["operation"], &document["locks"][0]["stale"]), (&"prune".into(), &().into()));
}

#[test]
fn breaking_locks_does_not_ask_where_there_is_no_terminal() {
    let world = World::new();
    world.fake.script().locks = ListLocksResponse { locks: vec![prune()] };
    world.fake.script().broken = BreakLocksResponse { removed: vec![prune()], cancelled_jobs: Vec::new() };
    let run = world.run(&["break-lock", "home"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.out.starts_with("removed index/lock.exclusive: operation: prune, holder: vm\\x1b[2J (pid 7),"),
        "{run:?}"
    );
    assert_eq!(world.fake.script().asked_break.take().unwrap().repository, "home");
    assert_eq!(world.run(&["break-lock", "home", "--json"]).json()["removed"][0]["operation"], "prune");

    world.fake.script().broken = BreakLocksResponse::default();
    let run = world.run(&["break-lock", "home"]);
    assert_eq!((run.code, run.out.as_str()), (0, "No lock found: the repository is not locked.\n"));
}

#[test]
fn a_job_waits_for_a_lock_as_long_as_it_is_told() {
    let world = World::new();
    world.fake.script().jobs = vec![job(JobState::Succeeded)];
    let asked = |args: &[&str]| {
        assert_eq!(world.run(args).code, 0);
        match world.fake.script().submitted.take().unwrap().operation {
            Some(Operation::Backup(BackupSpec { lock_wait, .. })) => lock_wait.map(|wait| wait.seconds),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(asked(&["backup", "daily"]), None);
    assert_eq!(asked(&["backup", "daily", "--lock-wait", "10m"]), Some(600));
    assert_eq!(world.run(&["backup", "daily", "--lock-wait", "soon"]).code, 2);
}
