//! `diff`, `find`, `dump` and `cat`: what is cut off is not taken for all of it, and what was left out is said.

use std::fs;
use std::io::Read;

use cloudstic_proto::Reason;
use cloudstic_proto::v1::{
    Change, ChangeKind, DiffPart, DiffTotals, FileEnd, FileHead, FilePart, FindPart, ObjectHead, ObjectPart, Warning,
    file_part, object_part,
};
use rustix::process::{Pid, Signal, kill_process};
use tonic::Status;

use super::World;
use super::fake::status;

fn file(part: file_part::Part) -> Result<FilePart, Status> {
    Ok(FilePart { part: Some(part) })
}

fn file_parts(end: Option<FileEnd>) -> Vec<Result<FilePart, Status>> {
    let head = FileHead { snapshot: "snapshot/1".to_owned(), size: 3 };
    let parts = [file_part::Part::Head(head), file_part::Part::Data("abc".into())];
    parts.into_iter().chain(end.map(file_part::Part::End)).map(file).collect()
}

#[test]
fn half_a_file_does_not_appear_and_ends_standard_output_with_an_error() {
    let world = World::new();
    for (cut, code) in [(None, 1), (Some(Err(status(Reason::Damaged, "chunk/1 is damaged"))), 1)] {
        world.fake.script().file = file_parts(None).into_iter().chain(cut).collect();
        let run = world.run(&["dump", "home", "latest", "a", "-o", "out"]);
        assert_eq!((run.code, world.path("out").exists()), (code, false), "{run:?}");
        let run = world.run(&["dump", "home", "latest", "a"]);
        assert_eq!((run.code, run.out.as_str()), (code, "abc"), "{run:?}");
        assert!(!run.err.is_empty());
    }
}

#[test]
fn a_whole_file_appears_and_is_only_replaced_by_force() {
    let world = World::new();
    world.fake.script().file = file_parts(Some(FileEnd::default()));
    assert_eq!(world.run(&["dump", "home", "latest", "a", "-o", "out"]).code, 0);
    assert_eq!(fs::read(world.path("out")).unwrap(), b"abc");
    assert_eq!(world.run(&["dump", "home", "latest", "a", "-o", "out"]).code, 1);
    let run = world.run(&["--json", "dump", "home", "latest", "a", "-o", "out", "--force"]);
    let document = run.json();
    assert_eq!((run.code, &document["bytes"], &document["output"]), (0, &3.into(), &"out".into()));
    let warnings = vec![Warning { path: "packs/1".to_owned(), problem: "damaged".to_owned() }];
    world.fake.script().file = file_parts(Some(FileEnd { warnings }));
    let run = world.run(&["dump", "home", "latest", "a"]);
    assert_eq!((run.code, run.out.as_str()), (3, "abc"));
    assert!(run.err.contains("packs/1: damaged") && run.err.contains("PARTIAL"), "{run:?}");
}

#[test]
fn an_answer_that_nobody_reads_can_be_interrupted() {
    let world = World::new();
    let change = |n: u32| Change { path: format!("{n:0>200}").into_bytes(), ..Change::default() };
    world.fake.script().diff = vec![Ok(DiffPart { changes: (0..5000).map(change).collect(), ..DiffPart::default() })];
    let mut child = world.command(&["diff", "home", "1", "2"]).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0]).unwrap();
    // The pipe is full soon.
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let done = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(
        (done.status.code(), said.as_str()),
        (Some(130), "cloudsticctl: interrupted: the answer is not complete\n")
    );
}

#[test]
fn a_diff_or_a_search_with_warnings_is_partial() {
    let world = World::new();
    let warnings = vec![Warning { path: "node/1".to_owned(), problem: "is missing".to_owned() }];
    let change = Change { kind: ChangeKind::Added.into(), path: b"new".to_vec(), ..Change::default() };
    let totals = Some(DiffTotals::default());
    world.fake.script().diff = vec![
        Ok(DiffPart { warnings: warnings.clone(), changes: vec![change], ..DiffPart::default() }),
        Ok(DiffPart { warning_count: 1, totals, ..DiffPart::default() }),
    ];
    let run = world.run(&["diff", "home", "1", "2"]);
    assert_eq!((run.code, run.out.as_str()), (3, "A  new\n"), "{run:?}");
    assert!(run.err.contains("node/1: is missing"), "{run:?}");
    let run = world.run(&["--json", "diff", "home", "1", "2", "--stat"]);
    let kinds: Vec<_> = run.json_lines().iter().map(|line| line["kind"].clone()).collect();
    assert_eq!((run.code, kinds), (3, vec!["warning".into(), "totals".into()]));

    world.fake.script().find = vec![
        Ok(FindPart { warnings, ..FindPart::default() }),
        Ok(FindPart { warning_count: 1, ..FindPart::default() }),
    ];
    let run =
        world.run(&["find", "home", "*.txt", "--larger", "1K", "--type", "f", "--type", "d", "--newer", "1970-01-02"]);
    assert_eq!((run.code, run.out.as_str()), (3, "0 entries in 0 snapshots\n"), "{run:?}");
    let asked = world.fake.script().asked_find.take().unwrap();
    assert_eq!((asked.larger, asked.types), (Some(1024), vec!["file".to_owned(), "folder".to_owned()]));
    assert_eq!(asked.newer.unwrap().seconds, 86_400);
}

#[test]
fn an_object_that_is_cut_off_is_not_shown() {
    let world = World::new();
    let head = ObjectHead { key: "node/1".to_owned(), size: 7, proven: true, json: true };
    let part = |part| Ok(ObjectPart { part: Some(part) });
    let data = |text: &str| part(object_part::Part::Data(text.as_bytes().to_vec().into()));
    world.fake.script().object = vec![part(object_part::Part::Head(head)), data("{\"a\"")];
    let run = world.run(&["cat", "home", "node/1"]);
    assert_eq!((run.code, run.out.as_str()), (1, ""), "{run:?}");
    world.fake.script().object.push(data(":1}"));
    assert_eq!(world.run(&["cat", "home", "node/1"]).out, "{\n  \"a\": 1\n}\n");
    assert_eq!(world.run(&["cat", "home", "node/1", "--raw"]).out, "{\"a\":1}");
    assert_eq!(world.run(&["--json", "cat", "home", "node/1"]).json()["object"]["a"], 1);
}
