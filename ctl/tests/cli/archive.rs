//! Archives: whole ones appear, others do not.

use std::fs;
use std::io::Read;

use cloudstic_proto::Reason;
use cloudstic_proto::v1::archive_part::Part;
use cloudstic_proto::v1::{ArchivePart, RestoreReport, Warning};
use rustix::process::{Pid, Signal, kill_process};
use tonic::Status;

use super::fake::status;
use super::{Run, World};

fn part(part: Part) -> Result<ArchivePart, Status> {
    Ok(ArchivePart { part: Some(part) })
}

fn data(text: &str) -> Result<ArchivePart, Status> {
    part(Part::Data(text.as_bytes().to_vec().into()))
}

fn report(warning_count: u64) -> Result<ArchivePart, Status> {
    let warnings = vec![Warning { path: "a".to_owned(), problem: "damaged".to_owned() }; warning_count as usize];
    part(Part::Report(RestoreReport { files: 2, bytes: 6, warnings, warning_count, ..RestoreReport::default() }))
}

fn world(parts: &[Result<ArchivePart, Status>]) -> World {
    let world = World::new();
    let first = part(Part::JobId("a1".to_owned()));
    world.fake.script().archive = std::iter::once(first).chain(parts.iter().cloned()).collect();
    world
}

/// What is in the folder, the socket apart.
fn files(world: &World) -> Vec<String> {
    let names = fs::read_dir(&world.dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "socket").collect()
}

#[test]
fn a_complete_archive_appears() {
    let world = world(&[data("abc"), data("\ndef"), report(0)]);
    let run = world.run(&["restore", "home", "latest", "docs", "--zip", "out.zip"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(fs::read(world.path("out.zip")).unwrap(), b"abc\ndef");
    assert_eq!(files(&world), ["out.zip"]);
    assert!(run.out.contains("archive out.zip: 7 B"), "{run:?}");
    let asked = world.fake.script().asked_archive.take().unwrap();
    assert_eq!((asked.snapshot.as_str(), asked.paths), ("latest", vec![b"docs".to_vec()]));
}

#[test]
fn a_cut_stream_leaves_no_file() {
    let world = world(&[data("abc")]);
    let run = world.run(&["restore", "home", "latest", "--zip", "out.zip"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("the archive is not complete"), "{run:?}");
    assert!(files(&world).is_empty());
}

#[test]
fn a_failure_in_the_middle_leaves_no_file_and_keeps_its_reason() {
    let world = world(&[data("abc"), Err(status(Reason::Locked, "lock lost"))]);
    let run = world.run(&["restore", "home", "latest", "--zip", "out.zip"]);
    assert_eq!((run.code, run.err.ends_with("lock lost\n")), (11, true), "{run:?}");
    assert!(files(&world).is_empty());
}

#[test]
fn an_existing_file_is_only_replaced_by_force_and_a_whole_archive() {
    let world = world(&[data("new"), report(0)]);
    fs::write(world.path("out.zip"), "old").unwrap();
    let run = world.run(&["restore", "home", "latest", "--zip", "out.zip"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("--force"), "{run:?}");
    assert!(world.fake.script().asked_archive.is_none(), "no job for nothing");
    assert_eq!(world.run(&["restore", "home", "latest", "--zip", "out.zip", "--force"]).code, 0);
    assert_eq!(fs::read(world.path("out.zip")).unwrap(), b"new");
    world.fake.script().archive.pop();
    assert_eq!(world.run(&["restore", "home", "latest", "--zip", "out.zip", "--force"]).code, 1);
    assert_eq!(fs::read(world.path("out.zip")).unwrap(), b"new");
}

#[test]
fn standard_output_is_the_archive_and_nothing_else() {
    let world = world(&[data("abc"), data("\u{ff}\n"), report(1)]);
    let run = world.run(&["restore", "home", "latest", "--zip", "-"]);
    assert_eq!((run.code, run.bytes.as_slice()), (3, "abc\u{ff}\n".as_bytes()), "{run:?}");
    assert!(run.err.contains("warning: a: damaged") && run.err.contains("PARTIAL: 1 warning"), "{run:?}");
    let run = world.run(&["restore", "home", "latest", "--zip", "-", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&run.err).unwrap();
    assert_eq!((run.code, &document["archive"], &document["archive_bytes"]), (3, &"-".into(), &6.into()));
}

#[test]
fn a_cut_stream_to_standard_output_is_an_error() {
    let world = world(&[data("abc")]);
    let run = world.run(&["restore", "home", "latest", "--zip", "-"]);
    assert_eq!((run.code, run.bytes.as_slice()), (1, &b"abc"[..]));
    assert!(run.err.contains("the archive is not complete"), "{run:?}");
}

#[test]
fn a_reader_that_leaves_early_is_told_that_the_archive_is_not_whole() {
    let big = "x".repeat(1 << 20);
    let world = world(&[data(&big), data(&big), data(&big), report(0)]);
    let mut child = world.command(&["restore", "home", "latest", "--zip", "-"]).spawn().unwrap();
    let mut reader = child.stdout.take().unwrap();
    reader.read_exact(&mut [0; 10]).unwrap();
    drop(reader);
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("cannot write standard output"), "{run:?}");
}

#[test]
fn a_dry_run_writes_nothing() {
    let world = world(&[report(0)]);
    let run = world.run(&["restore", "home", "latest", "--zip", "out.zip", "--dry-run", "--json"]);
    assert_eq!(run.json()["report"]["files"], 2);
    assert!(files(&world).is_empty());
}

#[test]
fn an_interrupt_leaves_no_file() {
    let world = world(&[data("abc")]);
    world.fake.script().archive_stays_open = true;
    let child = world.command(&["restore", "home", "latest", "--zip", "out.zip", "--quiet"]).spawn().unwrap();
    world.wait_until_sent();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 130, "{run:?}");
    assert!(files(&world).is_empty());
}
