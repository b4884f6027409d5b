//! Submitting jobs, waiting for them, and how that ends.

use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;

use cloudstic_proto::Reason;
use cloudstic_proto::v1::job::Report;
use cloudstic_proto::v1::job_spec::Operation;
use cloudstic_proto::v1::{
    BackupReport, BackupSpec, CheckReport, CheckSpec, Failure, Fault, Finding, Findings, FindingsEnd, ForgetGroup,
    ForgetReport, ForgetSpec, ForgetVerdict, Job, JobSpec, JobState, LogLine, Lost, Overwrite, Snapshot, SnapshotRun,
    Warning, finding,
};
use rustix::process::{Pid, Signal, kill_process};

use super::fake::{job, status};
use super::{Run, World};

fn backup(state: JobState, warning_count: u64) -> Job {
    let warnings = (0..warning_count.min(2))
        .map(|n| Warning { path: format!("bad{n}\n"), problem: "permission denied".to_owned() })
        .collect();
    let report = BackupReport {
        snapshot: "snapshot/99bb1f6cd4d1281419f3".to_owned(),
        seq: 3,
        warnings,
        warning_count,
        ..BackupReport::default()
    };
    let spec = JobSpec { operation: Some(Operation::Backup(BackupSpec::default())) };
    Job { report: Some(Report::Backup(report)), spec: Some(spec), ..job(state) }
}

fn world(jobs: &[Job]) -> World {
    let world = World::new();
    world.fake.script().jobs = jobs.to_vec();
    world
}

#[test]
fn a_backup_is_waited_for_and_summed_up() {
    let world = world(&[job(JobState::Queued), job(JobState::Running), backup(JobState::Succeeded, 0)]);
    let run = world.run(&["backup", "daily", "--tag", "a", "--tag", "b", "--exclude", "*.o", "-n", "--read-all"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("snapshot 99bb1f6cd4d1 (number 3)"), "{run:?}");
    assert_eq!(run.err.lines().count(), 2, "queued and running, no more: {run:?}");
    let Some(Operation::Backup(spec)) = world.fake.script().submitted.take().unwrap().operation else { panic!() };
    assert_eq!((spec.profile.as_str(), spec.repository.as_str(), spec.path.as_slice()), ("daily", "", &b""[..]));
    assert_eq!((spec.tags, spec.excludes), (vec!["a".to_owned(), "b".to_owned()], vec!["*.o".to_owned()]));
    assert!(spec.dry_run && spec.read_all);
}

#[test]
fn a_path_is_made_absolute_here() {
    let world = world(&[backup(JobState::Succeeded, 0)]);
    assert_eq!(world.run(&["backup", "--repository", "home", "sub"]).code, 0);
    let Some(Operation::Backup(spec)) = world.fake.script().submitted.take().unwrap().operation else { panic!() };
    let expected = world.dir.path().canonicalize().unwrap().join("sub");
    assert_eq!((spec.profile.as_str(), spec.path.as_slice()), ("", expected.as_os_str().as_bytes()));
}

#[test]
fn a_partial_backup_says_so_and_names_what_is_missing() {
    let world = world(&[backup(JobState::Partial, 3)]);
    let run = world.run(&["backup", "daily"]);
    assert_eq!(run.code, 3);
    assert!(run.err.contains("warning: bad0\\n: permission denied\n"), "{run:?}");
    let note = "and 1 more: `cloudsticctl job findings 00000000000000a1` has everything\n";
    assert!(run.err.contains(note), "{run:?}");
    assert!(world.run(&["job", "show", "a1"]).out.contains(note));
    assert!(run.err.contains("\ncloudsticctl: PARTIAL: 3 warnings, see above: "), "{run:?}");

    let run = world.run(&["backup", "daily", "--json"]);
    assert_eq!((run.code, run.err.as_str()), (3, ""));
    assert_eq!(run.json()["report"]["warning_count"], 3);
}

#[test]
fn a_failed_job_ends_with_the_code_of_its_reason() {
    for (reason, code) in [("LOCKED", 11), ("NOT_INITIALISED", 10), ("NO_CREDENTIAL", 12), ("SOURCE_UNREADABLE", 1)] {
        let failure = Failure { reason: reason.to_owned(), message: "it is so".to_owned() };
        let world = world(&[job(JobState::Running), Job { failure: Some(failure), ..job(JobState::Failed) }]);
        let run = world.run(&["backup", "daily", "--no-progress"]);
        assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (code, "", "cloudsticctl: it is so\n"));
        let run = world.run(&["backup", "daily", "--json"]);
        assert_eq!(run.json()["failure"]["reason"], reason);
        let error: serde_json::Value = serde_json::from_str(&run.err).unwrap();
        assert_eq!(error["error"]["reason"], reason);
    }
}

#[test]
fn a_refused_submit_ends_with_the_code_of_its_reason() {
    let world = world(&[]);
    world.fake.script().refusal = Some(status(Reason::Locked, "locked by vm"));
    assert_eq!(world.run(&["backup", "daily"]).code, 11);
}

#[test]
fn a_lost_connection_is_never_taken_for_an_outcome() {
    let world = world(&[job(JobState::Running)]);
    let run = world.run(&["backup", "daily", "--no-progress"]);
    assert_eq!((run.code, run.out.as_str()), (1, ""));
    assert!(run.err.contains("job 00000000000000a1 had not ended"), "{run:?}");
}

#[test]
fn without_waiting_only_the_id_is_printed() {
    let world = world(&[job(JobState::Queued)]);
    let run = world.run(&["backup", "daily", "--no-wait"]);
    assert_eq!((run.code, run.out.as_str()), (0, "00000000000000a1\n"));
    assert_eq!(world.run(&["backup", "daily", "--no-wait", "--json"]).json()["state"], "queued");
}

#[test]
fn a_restore_goes_to_an_absolute_folder() {
    let world = world(&[job(JobState::Succeeded)]);
    let run = world.run(&["restore", "home", "latest", "a", "--path", "b", "--to", "out", "--overwrite", "never"]);
    assert_eq!(run.code, 0, "{run:?}");
    let Some(Operation::Restore(spec)) = world.fake.script().submitted.take().unwrap().operation else { panic!() };
    assert!(spec.target.starts_with(b"/") && spec.target.ends_with(b"/out"), "{spec:?}");
    assert_eq!(spec.paths, [b"b", b"a"]);
    assert_eq!(spec.overwrite(), Overwrite::Never);
}

#[test]
fn an_interrupt_cancels_the_job_and_waits_for_its_end() {
    let world = world(&[job(JobState::Running)]);
    world.fake.script().when_cancelled = Some(job(JobState::Cancelled));
    let child = world.command(&["backup", "daily"]).spawn().unwrap();
    world.wait_until_sent();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let run = Run::from(child.wait_with_output().unwrap());
    assert_eq!(run.code, 130, "{run:?}");
    assert!(run.err.contains("cancelling job") && run.err.contains("was cancelled"), "{run:?}");
}

#[test]
fn a_job_that_ends_in_spite_of_an_interrupt_ends_as_it_ended() {
    for (end, code) in [
        (job(JobState::Succeeded), 0),
        (backup(JobState::Partial, 1), 3),
        (
            Job {
                failure: Some(Failure { reason: "LOCKED".to_owned(), message: "x".to_owned() }),
                ..job(JobState::Failed)
            },
            11,
        ),
        (job(JobState::Interrupted), 130),
    ] {
        let world = world(&[job(JobState::Running)]);
        world.fake.script().when_cancelled = Some(end);
        let child = world.command(&["backup", "daily"]).spawn().unwrap();
        world.wait_until_sent();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.err.contains("cancelling job"), "{run:?}");
    }
}

#[test]
fn a_second_interrupt_leaves_a_job_that_does_not_stop() {
    let world = world(&[job(JobState::Running)]);
    world.fake.script().when_cancelled = Some(job(JobState::Running));
    let mut child = world.command(&["backup", "daily"]).spawn().unwrap();
    world.wait_until_sent();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("interrupt again")));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let last = lines.last().unwrap().unwrap();
    assert_eq!(last, "cloudsticctl: interrupted: job 00000000000000a1 is still being cancelled");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn watching_shows_every_change_as_a_line() {
    let world = world(&[job(JobState::Queued), job(JobState::Running), backup(JobState::Partial, 1)]);
    let run = world.run(&["job", "watch", "a1", "--json"]);
    let states: Vec<_> = run.json_lines().iter().map(|job| job["state"].as_str().unwrap().to_owned()).collect();
    assert_eq!((run.code, states), (3, vec!["queued".to_owned(), "running".to_owned(), "partial".to_owned()]));
}

#[test]
fn jobs_are_listed_shown_and_cancelled() {
    let world = world(&[backup(JobState::Partial, 1)]);
    assert!(world.run(&["job", "list"]).out.contains("00000000000000a1  backup     home"));
    assert_eq!(world.run(&["job", "list", "--json"]).json()["jobs"][0]["operation"], "backup");
    let shown = world.run(&["job", "show", "a1"]);
    assert!(shown.code == 0 && shown.out.contains("warning: bad0\\n: permission denied"), "{shown:?}");
    assert_eq!(world.run(&["job", "show", "a1", "--json"]).json()["state"], "partial");
    assert_eq!(world.run(&["job", "cancel", "a1"]).out, "job 00000000000000a1 partial\n");
    assert_eq!(world.run(&["job", "cancel", "a1", "--json"]).json()["state"], "partial");
}

#[test]
fn logs_are_lines_even_if_messages_are_not() {
    let world = world(&[]);
    world.fake.script().logs = vec![LogLine { time: None, level: "info".to_owned(), message: "a\nb".to_owned() }; 2];
    assert_eq!(world.run(&["job", "logs", "a1", "-f"]).out, "- info    a\\nb\n- info    a\\nb\n");
    assert_eq!(world.run(&["job", "logs", "a1", "--json"]).json_lines()[1]["message"], "a\nb");
}

#[test]
fn findings_are_lines_and_a_list_that_is_not_whole_says_so() {
    let of = |findings: Vec<finding::Finding>| Findings {
        findings: findings.into_iter().map(|finding| Finding { finding: Some(finding) }).collect(),
    };
    let end = |missing: &str| of(vec![finding::Finding::End(FindingsEnd { missing: missing.to_owned() })]);
    let lost = |path: &str| {
        let snapshots = Some(SnapshotRun { start: 0, end: 1 });
        finding::Finding::Lost(Lost { path: path.to_owned(), object: "packs/ab".to_owned(), snapshots })
    };
    let snapshot = Snapshot { r#ref: "snapshot/99bb1f6cd4d1281419f3".to_owned(), ..Snapshot::default() };
    let all = [of(vec![finding::Finding::Snapshot(snapshot), lost("a\n\u{1b}b")]), of(vec![lost("c")])];
    let world = world(&[]);
    let script = |last: &[Findings]| world.fake.script().findings = [&all, last].concat();

    script(&[end("")]);
    let run = world.run(&["job", "findings", "a1"]);
    let told =
        "lost: a\\n\\x1bb (by packs/ab) of snapshot 99bb1f6cd4d1\nlost: c (by packs/ab) of snapshot 99bb1f6cd4d1\n";
    assert_eq!((run.code, run.out.as_str(), run.err.as_str()), (0, told, ""));
    let lines = world.run(&["job", "findings", "a1", "--json", "--each"]).json_lines();
    assert_eq!(lines[0]["snapshots"]["all"][0], "snapshot/99bb1f6cd4d1281419f3");
    assert_eq!((&lines[1]["path"], &lines[2]["kind"], &lines[2]["count"]), (&"c".into(), &"end".into(), &2.into()));

    script(&[end("it was cut off")]);
    let run = world.run(&["job", "findings", "a1"]);
    assert_eq!((run.code, run.out.as_str()), (3, told));
    assert!(run.err.contains("PARTIAL: this may not be all that was found: it was cut off"), "{run:?}");
    let run = world.run(&["job", "findings", "a1", "--json"]);
    assert_eq!((run.code, &run.json_lines()[2]["missing"]), (3, &"it was cut off".into()));

    // Without its last word the list ends because the daemon did.
    script(&[]);
    let run = world.run(&["job", "findings", "a1"]);
    assert_eq!((run.code, run.out.as_str()), (1, told));
    world.fake.script().findings = vec![end("")];
    assert_eq!(world.run(&["job", "findings", "a1"]).out, "nothing was found\n");
}

#[test]
fn a_check_with_faults_tells_all_of_them_and_exits_1() {
    let fault =
        Fault { object: "node/ab".into(), problem: "is missing".into(), kind: "missing".into(), ..Fault::default() };
    let report = CheckReport { faults: vec![fault], fault_count: 1, ..CheckReport::default() };
    let failure = Report::Check(report.clone()).failure();
    let spec = JobSpec { operation: Some(Operation::Check(CheckSpec::default())) };
    let failed = Job { report: Some(Report::Check(report)), spec: Some(spec), failure, ..job(JobState::Failed) };
    let world = world(&[failed]);
    let run = world.run(&["check", "home", "latest", "--read-data-subset", "1/3"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.out.contains("fault: node/ab is missing\n") && run.err.contains("the check found 1 fault"), "{run:?}");
    let Some(Operation::Check(spec)) = world.fake.script().submitted.take().unwrap().operation else { panic!() };
    assert_eq!((spec.repository, spec.snapshot, spec.read_data_subset), ("home".into(), "latest".into(), "1/3".into()));
    let quiet = world.run(&["check", "home", "--quiet"]);
    assert_eq!((quiet.code, quiet.out.as_str()), (1, "fault: node/ab is missing\n"));
    world.fake.script().submitted = None;
    let rotating = world.run(&["check", "home", "latest", "--read-data-subset", "1G"]);
    assert!(rotating.code == 1 && rotating.err.contains("\"1G\" is a part of the whole repository"), "{rotating:?}");
    assert!(world.fake.script().submitted.is_none());
}

#[test]
fn what_a_cancelled_job_had_done_is_told() {
    let gone = ForgetVerdict { r#ref: "snapshot/99bb".into(), goes: "named".into(), ..ForgetVerdict::default() };
    let groups = vec![ForgetGroup { snapshots: vec![gone], ..ForgetGroup::default() }];
    let report = Report::Forget(ForgetReport { groups, removed: 1, ..ForgetReport::default() });
    let spec = JobSpec { operation: Some(Operation::Forget(ForgetSpec::default())) };
    let world = world(&[Job { report: Some(report), spec: Some(spec), ..job(JobState::Cancelled) }]);
    let run = world.run(&["forget", "home", "99bb", "--prune"]);
    assert!(run.code == 130 && run.out.contains("99bb") && run.out.contains("removed 1 snapshot;"), "{run:?}");
    assert!(run.err.contains("was cancelled; what it had done by then stays"), "{run:?}");
    let json = world.run(&["--json", "forget", "home", "99bb", "--prune"]);
    let told = json.json();
    assert_eq!((&told["state"], &told["report"]["removed"]), (&"cancelled".into(), &1.into()));
    assert_eq!(told["report"]["groups"][0]["snapshots"][0]["reasons"][0], "named");
}
