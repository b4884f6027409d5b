//! Without a daemon, and with one that refuses.

use std::io::Read;
use std::os::unix::net::{UnixListener, UnixStream};

use cloudstic_proto::v1::{InitResponse, RepositoryStatus, StatusResponse};
use cloudstic_proto::{REASON_KEY, Reason};

use rustix::process::{Pid, Signal, kill_process};

use super::fake::status;
use super::{Run, World};

#[test]
fn a_missing_socket_is_one_line_that_says_what_to_do() {
    let world = World::new();
    let run = world.run(&["--socket", "/nonexistent/socket", "status"]);
    assert_eq!(run.code, 1);
    assert_eq!(run.out, "");
    assert_eq!(run.err.lines().count(), 1, "{run:?}");
    assert!(run.err.starts_with("cloudsticctl: nothing answers at /nonexistent/socket"), "{run:?}");
    assert!(run.err.contains("start `cloudsticd`"), "{run:?}");
}

#[test]
fn a_socket_that_nobody_listens_on_is_the_same() {
    let world = World::new();
    drop(UnixListener::bind(world.path("dead")).unwrap());
    let run = world.run(&["--socket", "dead", "status"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("is not running"), "{run:?}");
}

#[test]
fn a_daemon_that_says_nothing_can_be_left() {
    let world = World::new();
    let listener = UnixListener::bind(world.path("silent")).unwrap();
    for args in [&["backup", "daily"][..], &["restore", "home", "latest", "--zip", "out.zip"]] {
        let child = world.command(&[&["--socket", "silent"], args].concat()).spawn().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        // The last thing that the client sends by itself is its request: now it waits for the answer.
        read_until(&mut stream, if args[0] == "backup" { b"daily" } else { b"latest" });
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, 130, "{run:?}");
        assert!(!world.path("out.zip").exists());
    }
}

fn read_until(stream: &mut UnixStream, end: &[u8]) {
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while !seen.windows(end.len()).any(|part| part == end) {
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the client left");
        seen.extend_from_slice(&buffer[..count]);
    }
}

#[test]
fn in_json_mode_errors_are_json() {
    let world = World::new();
    let run = world.run(&["--json", "--socket", "/nonexistent/socket", "status"]);
    let error: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!(error["error"]["reason"], "UNREACHABLE");
    assert_eq!((run.code, run.out.as_str()), (1, ""));
}

#[test]
fn refusals_end_with_the_code_of_their_reason() {
    let world = World::new();
    for (reason, code) in [
        (Reason::NotInitialised, 10),
        (Reason::Locked, 11),
        (Reason::WrongCredential, 12),
        (Reason::NoSuchRepository, 1),
    ] {
        world.fake.script().refusal = Some(status(reason, "no, because"));
        let run = world.run(&["list", "home"]);
        assert_eq!((run.code, run.err.as_str()), (code, "cloudsticctl: no, because\n"), "{REASON_KEY} {reason}");
    }
}

#[test]
fn status_shows_what_is_configured() {
    let world = World::new();
    world.fake.script().status = StatusResponse {
        version: "9.9.9".to_owned(),
        repositories: vec![RepositoryStatus { name: "home".to_owned(), ..RepositoryStatus::default() }],
        ..StatusResponse::default()
    };
    let run = world.run(&["status"]);
    assert_eq!(run.code, 0);
    assert!(run.out.starts_with("cloudsticd 9.9.9") && run.out.contains("no active jobs"), "{run:?}");
    assert_eq!(world.run(&["status", "--json"]).json()["repositories"][0]["name"], "home");
}

#[test]
fn recovery_words_never_go_where_nobody_sees_them() {
    let world = World::new();
    world.fake.script().init =
        InitResponse { encrypted: true, slots: Vec::new(), recovery_words: Some("one two".into()) };
    for json in [&[][..], &["--json"]] {
        let run = world.run_without_terminal(&[&["init", "home", "--recovery"], json].concat());
        assert_eq!((run.code, run.out.as_str()), (1, ""), "{run:?}");
        assert!(run.err.contains("on a terminal, and here is none") && !run.err.contains("one two"), "{run:?}");
        assert!(world.fake.script().asked_init.is_none(), "nothing may be made before that is clear");
    }
}

#[test]
fn wrong_usage_is_code_2() {
    let world = World::new();
    assert_eq!(world.run(&["restore", "home", "latest"]).code, 2);
    assert_eq!(world.run(&["no-such-command"]).code, 2);
    assert_eq!(world.run(&["--version"]).code, 0);
}
