//! Recovery words: on the terminal or nowhere, and then their slot is not either.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use cloudstic_proto::v1::change_keys_request::Change;
use cloudstic_proto::v1::{ChangeKeysResponse, InitResponse};

use super::World;

const WORDS: &str = "abandon ability";

/// The program on a terminal of its own: what is written to the child is typed there, and what it prints was shown.
fn on_terminal(world: &World, args: &[&str]) -> Child {
    const SPAWN: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let program = world.command(args);
    let mut command = Command::new("python3");
    command.args(["-c", SPAWN]).arg(program.get_program()).args(program.get_args()).current_dir(&world.dir);
    command.env("CLOUDSTIC_SOCKET", world.path("socket")).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().unwrap()
}

fn world() -> World {
    let world = World::new();
    let keys = ChangeKeysResponse {
        slot: "recovery-paper".to_owned(),
        configured_opens: true,
        recovery_words: Some(WORDS.into()),
        ..ChangeKeysResponse::default()
    };
    let slots = vec!["password-default".to_owned(), "recovery-default".to_owned()];
    let mut script = world.fake.script();
    script.init = InitResponse { encrypted: true, slots, recovery_words: Some(WORDS.into()) };
    script.keys = keys;
    drop(script);
    world
}

/// The slots that the daemon was asked to remove.
fn removed(world: &World) -> Vec<String> {
    let script = world.fake.script();
    let slot = |change: Option<&Change>| match change {
        Some(Change::Remove(remove)) => Some(remove.slot.clone()),
        _ => None,
    };
    script.asked_keys.iter().filter_map(|asked| slot(asked.change.as_ref())).collect()
}

#[test]
fn words_that_were_shown_keep_their_slot() {
    for args in [&["key", "add-recovery", "home"][..], &["init", "home", "--recovery"]] {
        let world = world();
        let done = on_terminal(&world, args).wait_with_output().unwrap();
        let seen = String::from_utf8_lossy(&done.stdout).into_owned();
        assert_eq!(done.status.code(), Some(0), "{seen}");
        assert!(seen.contains(" 1. abandon ") && seen.contains(" 2. ability") && seen.contains("recovery-"), "{seen}");
        assert_eq!(removed(&world), [""; 0]);
    }
}

/// Whoever leaves before the words are there: the client, the keyboard, and what is on the screen after the line that says
/// so.
fn leaving(world: &World) -> (Child, ChildStdin, impl Iterator<Item = String> + use<>) {
    world.fake.script().keys_wait = true;
    let mut child = on_terminal(world, &["key", "add-recovery", "home"]);
    world.wait_until_sent();
    let mut keyboard = child.stdin.take().unwrap();
    keyboard.write_all(b"\x03").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("taking it back") && line.contains("interrupt again")));
    (child, keyboard, lines)
}

#[test]
fn who_leaves_before_the_words_are_there_leaves_no_slot_behind() {
    let world = world();
    let (mut child, _keyboard, lines) = leaving(&world);
    world.fake.answers.notify_one();
    let seen: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{seen:?}");
    let said = "interrupted: the words of key slot recovery-paper were not shown, so it was removed again";
    assert!(seen.iter().any(|line| line.contains(said)) && !seen.concat().contains("abandon"), "{seen:?}");
    assert_eq!(removed(&world), ["recovery-paper"]);
}

#[test]
fn who_does_not_want_to_wait_for_that_is_told_to_look() {
    let world = world();
    let (mut child, mut keyboard, lines) = leaving(&world);
    keyboard.write_all(b"\x03").unwrap();
    let seen: Vec<String> = lines.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{seen:?}");
    assert!(seen.iter().any(|line| line.contains("`cloudsticctl key list`")), "{seen:?}");
}
