//! `diff`, `find`, `dump` and `cat`: what is cut off is not taken for all of it, and what was left out is said.

use std::fs;

use cloudstic_proto::Reason;
use cloudstic_proto::v1::{
    Change, ChangeKind, DiffPart, DiffTotals, FileEnd, FileHead, FilePart, FindPart, ObjectHead, ObjectPart, Warning,
    file_part, object_part,
};
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
