//! `list` and `ls`.

use std::io::{BufRead, BufReader};

use cloudstic_proto::Reason;
use cloudstic_proto::v1::{
    Entries, Entry, ListSnapshotsRequest, ListSnapshotsResponse, RepositoryInfo, Snapshot, SnapshotFilter, Source,
    Warning,
};
use prost_types::Timestamp;

use super::fake::status;
use super::{Run, World};

fn snapshot() -> Snapshot {
    Snapshot {
        r#ref: "snapshot/99bb1f6cd4d1281419f3f6e61307a634cb6a69f3b1af56c774012664eddc6e66".to_owned(),
        seq: 3,
        created: Some(Timestamp { seconds: 1_795_232_795, nanos: 0 }),
        source: Some(Source { r#type: "local".to_owned(), path: "/srv".to_owned(), ..Source::default() }),
        tags: vec!["golden".to_owned(), "second".to_owned()],
        ..Snapshot::default()
    }
}

fn entry(path: &[u8]) -> Entry {
    Entry { path: path.to_vec(), r#type: "file".to_owned(), mode: 0o644, ..Entry::default() }
}

fn entries(paths: &[&[u8]]) -> Result<Entries, tonic::Status> {
    Ok(Entries { entries: paths.iter().map(|path| entry(path)).collect(), ..Entries::default() })
}

#[test]
fn list_finds_the_only_repository_and_passes_filters_on() {
    let world = World::new();
    world.fake.script().repositories.repositories =
        vec![RepositoryInfo { name: "home".to_owned(), ..RepositoryInfo::default() }];
    world.fake.script().snapshots =
        ListSnapshotsResponse { snapshots: vec![snapshot()], ..ListSnapshotsResponse::default() };
    let run = world.run(&["list", "--tag", "golden", "--source", "local", "--account", "vm", "--path", "/srv"]);
    assert_eq!(
        run.out,
        "\
SEQ  CREATED                    SNAPSHOT      SOURCE  ACCOUNT  PATH  TAGS
  3  2026-11-21 03:46:35 +0000  99bb1f6cd4d1  local            /srv  golden, second
1 snapshot
"
    );
    let asked = world.fake.script().asked_snapshots.take().unwrap();
    let only = |word: &str| vec![word.to_owned()];
    let (tags, sources, accounts, paths) = (only("golden"), only("local"), only("vm"), only("/srv"));
    let filter = SnapshotFilter { tags, sources, accounts, paths };
    assert_eq!(asked, ListSnapshotsRequest { repository: "home".to_owned(), filter: Some(filter) });
    assert_eq!(world.run(&["list", "--json"]).json()["snapshots"][0]["seq"], 3);
}

#[test]
fn list_tells_what_it_cannot_read() {
    let world = World::new();
    let warnings = vec![Warning { path: "snapshot/77".to_owned(), problem: "snapshot/77 is damaged".to_owned() }];
    world.fake.script().snapshots = ListSnapshotsResponse { snapshots: vec![snapshot()], warnings, warning_count: 1 };
    let run = world.run(&["list", "home"]);
    assert!(run.code == 3 && run.out.ends_with("1 snapshot\n"), "{run:?}");
    assert!(run.err.contains("warning: snapshot/77: ") && run.err.contains("PARTIAL: 1 snapshot"), "{run:?}");
    let run = world.run(&["list", "home", "--json"]);
    assert_eq!((run.code, run.err.as_str(), &run.json()["warnings"][0]["path"]), (3, "", &"snapshot/77".into()));
}

#[test]
fn list_asks_which_of_several_repositories() {
    let world = World::new();
    world.fake.script().repositories.repositories =
        ["a", "b"].map(|name| RepositoryInfo { name: name.to_owned(), ..RepositoryInfo::default() }).to_vec();
    let run = world.run(&["list"]);
    assert_eq!((run.code, run.err.as_str()), (1, "cloudsticctl: say which repository: a, b\n"));
}

#[test]
fn odd_names_stay_one_line_each_unless_raw() {
    let world = World::new();
    world.fake.script().entries = vec![entries(&[b"plain", b"new\nline", b"\xff\x1b"]), entries(&[b"back\\slash"])];
    let run = world.run(&["ls", "home", "latest", "a", "--shallow"]);
    assert_eq!((run.code, run.out.as_str()), (0, "plain\nnew\\nline\n\\xff\\x1b\nback\\\\slash\n"));
    let asked = world.fake.script().asked_entries.take().unwrap();
    assert!(asked.shallow && asked.paths == [b"a"], "{asked:?}");
    let run = world.run(&["ls", "home", "latest", "-0"]);
    assert_eq!(run.bytes, b"plain\0new\nline\0\xff\x1b\0back\\slash\0");
    let run = world.run(&["ls", "home", "latest", "-l"]);
    assert!(run.out.starts_with("-rw-r--r--     0     0            0 - plain\n"), "{run:?}");
}

#[test]
fn json_lines_say_what_they_are() {
    let world = World::new();
    let first = Entries { entries: vec![entry(b"\xff")], snapshot: Some(snapshot()), ..Entries::default() };
    world.fake.script().entries = vec![Ok(first), entries(&[b"b"])];
    let lines = world.run(&["ls", "home", "latest", "--json"]).json_lines();
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["snapshot", "entry", "entry"]);
    assert_eq!(world.run(&["--json", "ls", "home", "latest", "--raw"]).code, 1);
    assert_eq!((&lines[1]["path_b64"], &lines[2]["path"]), (&"/w==".into(), &"b".into()));
}

#[test]
fn an_incomplete_listing_is_partial() {
    let world = World::new();
    let warnings = vec![Warning { path: "a".to_owned(), problem: "node is damaged".to_owned() }];
    world.fake.script().entries = vec![Ok(Entries { entries: vec![entry(b"b")], warnings, ..Entries::default() })];
    let run = world.run(&["ls", "home", "latest"]);
    assert_eq!((run.code, run.out.as_str()), (3, "b\n"));
    assert!(run.err.contains("warning: a: node is damaged") && run.err.contains("PARTIAL"), "{run:?}");
}

#[test]
fn what_came_before_an_error_is_shown() {
    let world = World::new();
    world.fake.script().entries = vec![entries(&[b"a"]), Err(status(Reason::Damaged, "node is damaged"))];
    let run = world.run(&["ls", "home", "latest"]);
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (1, "a\n", "cloudsticctl: node is damaged\n"));
}

#[test]
fn a_reader_that_leaves_ends_an_endless_listing_quietly() {
    let world = World::new();
    world.fake.script().entries = vec![entries(&[&b"a"[..]; 1000])];
    world.fake.script().endless = true;
    let mut child = world.command(&["ls", "home", "latest"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!((line.as_str(), run.code, run.err.as_str()), ("a\n", 0, ""));
}
