#![allow(clippy::unwrap_used)]

use std::path::Path;

use prost_types::Timestamp;

use super::*;
use crate::output::json::text;

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: 1_795_232_795 + seconds, nanos: 0 })
}

#[test]
fn a_backup_job_has_its_documented_shape() {
    let job = v1::Job {
        id: "00000000000000a1".to_owned(),
        spec: Some(v1::JobSpec {
            operation: Some(job_spec::Operation::Backup(v1::BackupSpec {
                profile: "home".to_owned(),
                tags: vec!["t".to_owned()],
                ..v1::BackupSpec::default()
            })),
        }),
        state: JobState::Partial.into(),
        submitted_at: at(0),
        started_at: at(1),
        ended_at: at(2),
        uid: 1000,
        progress: Some(v1::Progress { phase: "writing".to_owned(), files_done: 1, ..v1::Progress::default() }),
        failure: None,
        report: Some(job::Report::Backup(v1::BackupReport {
            snapshot: "snapshot/99bb".to_owned(),
            root: "node/1".to_owned(),
            seq: 3,
            files: Some(v1::Counts { new: 1, changed: 2, unmodified: 3, removed: 4 }),
            folders: None,
            total_bytes: 10,
            read_bytes: 9,
            added_bytes: 8,
            stored_bytes: 7,
            warnings: vec![v1::Warning { path: "a".to_owned(), problem: "denied".to_owned() }],
            warning_count: 2,
            dry_run: false,
        })),
        repository: "r".to_owned(),
        profile: "home".to_owned(),
    };
    assert_eq!(
        text(&Job::from(&job)),
        concat!(
            r#"{"id":"00000000000000a1","operation":"backup","state":"partial","repository":"r","profile":"home","#,
            r#""uid":1000,"submitted_at":"2026-11-21T03:46:35Z","started_at":"2026-11-21T03:46:36Z","#,
            r#""ended_at":"2026-11-21T03:46:37Z","spec":{"profile":"home","repository":null,"path":null,"#,
            r#""tags":["t"],"excludes":[],"dry_run":false,"read_all":false,"skip_if_busy":false,"lock_wait":null},"progress":{"phase":"writing","#,
            r#""files_done":1,"files_total":null,"bytes_done":0,"bytes_total":null,"path":null,"warnings":0},"#,
            r#""failure":null,"report":{"snapshot":"snapshot/99bb","root":"node/1","seq":3,"#,
            r#""files":{"new":1,"changed":2,"unmodified":3,"removed":4},"#,
            r#""folders":{"new":0,"changed":0,"unmodified":0,"removed":0},"total_bytes":10,"read_bytes":9,"#,
            r#""added_bytes":8,"stored_bytes":7,"warning_count":2,"#,
            r#""warnings":[{"path":"a","problem":"denied"}],"dry_run":false}}"#
        )
    );
}

#[test]
fn a_failed_restore_has_its_documented_shape() {
    let job = v1::Job {
        id: "1".to_owned(),
        spec: Some(v1::JobSpec {
            operation: Some(job_spec::Operation::Restore(v1::RestoreSpec {
                repository: "r".to_owned(),
                snapshot: "latest".to_owned(),
                target: b"/t".to_vec(),
                ..v1::RestoreSpec::default()
            })),
        }),
        state: JobState::Failed.into(),
        failure: Some(v1::Failure { reason: "LOCKED".to_owned(), message: "by vm".to_owned() }),
        repository: "r".to_owned(),
        ..v1::Job::default()
    };
    assert_eq!(
        text(&Job::from(&job)),
        concat!(
            r#"{"id":"1","operation":"restore","state":"failed","repository":"r","profile":null,"uid":0,"#,
            r#""submitted_at":null,"started_at":null,"ended_at":null,"spec":{"repository":"r","snapshot":"latest","#,
            r#""paths":[],"target":"/t","overwrite":"if-changed","dry_run":false,"lock_wait":null},"progress":null,"#,
            r#""failure":{"reason":"LOCKED","message":"by vm"},"report":null}"#
        )
    );
}

#[test]
fn a_prune_has_its_documented_shape() {
    let spec = v1::PruneSpec { repository: "r".to_owned(), max_waste_percent: Some(5), ..Default::default() };
    assert_eq!(
        text(&Spec::from(&job_spec::Operation::Prune(spec))),
        r#"{"repository":"r","dry_run":false,"max_waste_percent":5,"max_repack_bytes":null,"despite_unknown":false,"lock_wait":null}"#
    );
    let report = v1::PruneReport { snapshots: 1, freed_bytes: 9, dry_run: true, ..Default::default() };
    let job = v1::Job { report: Some(job::Report::Prune(report)), ..Default::default() };
    let report = concat!(
        r#""report":{"snapshots":1,"needed_objects":0,"packs_before":0,"packs_after":0,"packs_deleted":0,"#,
        r#""packs_rewritten":0,"packs_written":0,"removed_objects":0,"deleted_bytes":0,"written_bytes":0,"#,
        r#""freed_bytes":9,"unused_bytes":0,"unknown_packs":0,"unknown_bytes":0,"warning_count":0,"warnings":[],"dry_run":true}}"#
    );
    assert!(text(&Job::from(&job)).ends_with(report), "{}", text(&Job::from(&job)));
}

#[test]
fn paths_of_a_job_that_are_not_utf8_keep_their_bytes() {
    let spec = |operation| text(&Spec::from(&operation));
    let backup = v1::BackupSpec { path: b"/\xff".to_vec(), ..Default::default() };
    let backup = spec(job_spec::Operation::Backup(backup));
    assert!(backup.contains("\"path\":\"/\u{fffd}\",\"path_b64\":\"L/8=\""), "{backup}");
    let restore = v1::RestoreSpec {
        paths: vec![b"a".to_vec(), b"\xff".to_vec()],
        target: b"/\xff".to_vec(),
        ..Default::default()
    };
    assert_eq!(
        spec(job_spec::Operation::Restore(restore)),
        concat!(
            r#"{"repository":"","snapshot":"","paths":["a",""#,
            "\u{fffd}",
            r#""],"paths_b64":["YQ==","/w=="],"target":"/"#,
            "\u{fffd}",
            r#"","target_b64":"L/8=","overwrite":"if-changed","dry_run":false,"lock_wait":null}"#
        )
    );
}

#[test]
fn an_archive_has_its_documented_shape() {
    let report = v1::RestoreReport { snapshot: "snapshot/99bb".to_owned(), files: 2, bytes: 5, ..Default::default() };
    assert_eq!(
        text(&Archive::new("1", Some(Path::new("out.zip")), 300, &report)),
        concat!(
            r#"{"job_id":"1","archive":"out.zip","archive_bytes":300,"report":{"snapshot":"snapshot/99bb","files":2,"#,
            r#""folders":0,"others":0,"bytes":5,"skipped":0,"warning_count":0,"warnings":[],"dry_run":false}}"#
        )
    );
}

#[test]
fn a_log_line_has_its_documented_shape() {
    let line = v1::LogLine { time: at(0), level: "info".to_owned(), message: "x".to_owned() };
    assert_eq!(text(&LogLine::from(&line)), r#"{"time":"2026-11-21T03:46:35Z","level":"info","message":"x"}"#);
}

#[test]
fn every_state_has_a_word_of_its_own() {
    let mut words: Vec<_> = (0..9).map(|number| state(JobState::try_from(number).unwrap())).collect();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), 9);
}

#[test]
fn a_check_job_has_its_documented_shape() {
    let harm =
        v1::Harm { snapshot: "snapshot/1".to_owned(), paths: vec!["a".to_owned()], path_count: 2, unknown: true };
    let fault = v1::Fault {
        object: "node/1".to_owned(),
        pack: String::new(),
        kind: "missing".to_owned(),
        problem: "is missing".to_owned(),
        lost_objects: 1,
        harm: vec![harm],
        snapshots: 3,
    };
    let report = v1::CheckReport {
        snapshots: 1,
        objects: 2,
        data: Some(v1::DataRead { contents: 3, bytes: 4, packs: 5, complete: true }),
        faults: vec![fault],
        fault_count: 6,
        ..v1::CheckReport::default()
    };
    let report = serde_json::to_value(check::Report::from(&report)).unwrap();
    assert_eq!(
        report,
        serde_json::json!({
            "snapshots": 1, "objects": 2, "unreferenced_objects": 0, "unneeded_packs": 0, "packs": 0,
            "data": {"contents": 3, "bytes": 4, "packs": 5, "complete": true},
            "fault_count": 6,
            "faults": [{
                "object": "node/1", "pack": null, "kind": "missing", "problem": "is missing", "lost_objects": 1,
                "snapshots": 3,
                "harm": [{"snapshot": "snapshot/1", "path_count": 2, "paths": ["a"], "unknown": true}],
            }],
            "remark_count": 0, "remarks": [], "damaged_snapshots": 0,
        })
    );
}

#[test]
fn a_repair_job_has_its_documented_shape() {
    let snapshot = v1::SnapshotRepair {
        old: "snapshot/1".to_owned(),
        kept: 2,
        lost: vec![v1::LostPath { path: "a".to_owned(), object: "chunk/1".to_owned() }],
        lost_count: 1,
        ..v1::SnapshotRepair::default()
    };
    let report = v1::RepairReport { dry_run: true, fault_count: 1, snapshots: vec![snapshot], ..Default::default() };
    let report = serde_json::to_value(repair::Report::from(&report)).unwrap();
    assert_eq!(
        report,
        serde_json::json!({
            "dry_run": true, "fault_count": 1,
            "catalog": {"rewritten": false, "dropped": 0, "recovered": 0, "salvaged": 0},
            "indexes": false,
            "snapshots": [{
                "old": "snapshot/1", "new": null, "kept": 2, "lost_count": 1,
                "lost": [{"path": "a", "object": "chunk/1"}],
                "unknown": false, "remade_folders": 0, "removed": false, "problem": null,
            }],
            "removed_objects": 0, "damaged_objects": 0, "beyond_repair": [], "left_out": 0,
        })
    );
}
