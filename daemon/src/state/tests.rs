//! What the state remembers, and whom it lets in.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use cloudstic_proto::v1::JobState;

use super::*;
use crate::supervisor::is_terminal;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn job(id: u64, state: JobState) -> v1::Job {
    v1::Job { id: JobId(id).to_string(), state: state.into(), ..v1::Job::default() }
}

fn lines(first: u64, words: &[&str]) -> NewLines {
    let line = |word: &&str| v1::LogLine { message: (*word).to_owned(), ..v1::LogLine::default() };
    NewLines { first, lines: words.iter().map(line).collect() }
}

async fn save(state: &State, id: u64, job_state: JobState) -> Result<(), StateError> {
    state.save(JobId(id), job(id, job_state), NewLines::default()).await
}

#[tokio::test]
async fn what_ran_or_waited_when_the_daemon_died_is_interrupted_and_what_ended_is_not() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (state, _) = State::open(folder.path(), 10, at(0)).unwrap();
        for (id, job_state) in [(1, JobState::Succeeded), (2, JobState::Running), (3, JobState::Queued)] {
            save(&state, id, job_state).await.unwrap();
        }
        state.append(JobId(2), lines(0, &["started"]));
        state.close().await;
    }
    let (state, recovered) = State::open(folder.path(), 10, at(100)).unwrap();
    assert_eq!(recovered.last_id, Some(JobId(3)));
    assert_eq!(recovered.interrupted.len(), 2);
    let states = state.newest(9, |_| true).await.unwrap().iter().map(|job| job.state()).collect::<Vec<_>>();
    assert_eq!(states, [JobState::Interrupted, JobState::Interrupted, JobState::Succeeded]);
    let running = state.job(JobId(2)).await.unwrap().unwrap();
    assert_eq!(running.ended_at.unwrap().seconds, 100);
    let log = state.log(JobId(2)).await.unwrap();
    let log: Vec<_> = log.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(log, ["started", "the daemon ended before the job did"]);
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_told_the_pid() {
    let folder = tempfile::tempdir().unwrap();
    let _first = State::open(folder.path(), 10, at(0)).unwrap();
    let refused = State::open(folder.path(), 10, at(0)).unwrap_err().to_string();
    assert!(refused.contains(&format!("pid {}", std::process::id())), "{refused}");
}

#[tokio::test]
async fn a_damaged_file_is_said_to_be_damaged_and_what_is_lost_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.redb");
    {
        let (state, _) = State::open(folder.path(), 10, at(0)).unwrap();
        save(&state, 1, JobState::Succeeded).await.unwrap();
        state.close().await;
    }
    let good = std::fs::read(&path).unwrap();
    let mut damages = vec![b"nonsense".to_vec(), vec![0; good.len()], good[..good.len() / 2].to_vec()];
    damages.extend([0, 12, 70, 130].map(|at| [&good[..at], &[0xff; 32], &good[at + 32..]].concat()));
    damages.push([&good[..4096], &vec![0xff; good.len() - 4096][..]].concat());
    for (n, damaged) in damages.into_iter().enumerate() {
        std::fs::write(&path, damaged).unwrap();
        match State::open(folder.path(), 10, at(0)) {
            // Not every byte of it is used.
            Ok((state, _)) => {
                assert!(n > 2, "damage {n} is not seen");
                state.close().await;
            }
            Err(error) => {
                let said = error.to_string();
                assert!(matches!(error, StateError::Damaged { .. }), "damage {n}: {said}");
                assert!(said.contains("state.redb is damaged") && said.contains("move it away"), "{said}");
            }
        }
    }
    std::fs::remove_file(path).unwrap();
    State::open(folder.path(), 10, at(0)).unwrap();
}

#[tokio::test]
async fn an_ended_job_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open(folder.path(), 10, at(0)).unwrap();
    save(&state, 1, JobState::Cancelled).await.unwrap();
    for next in [JobState::Running, JobState::Succeeded, JobState::Cancelled] {
        assert!(matches!(save(&state, 1, next).await, Err(StateError::AlreadyEnded(JobId(1)))));
    }
    assert_eq!(state.job(JobId(1)).await.unwrap().unwrap().state(), JobState::Cancelled);
}

#[tokio::test]
async fn old_jobs_are_forgotten_with_their_logs_and_unended_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open(folder.path(), 2, at(0)).unwrap();
    save(&state, 1, JobState::Running).await.unwrap();
    for id in 2..=5 {
        state.save(JobId(id), job(id, JobState::Failed), lines(0, &["x"])).await.unwrap();
    }
    let left = state.newest(9, |_| true).await.unwrap();
    assert_eq!(left.iter().map(|job| job.id.clone()).collect::<Vec<_>>(), [JobId(5).to_string(), JobId(1).to_string()]);
    assert!(left.iter().any(|job| !is_terminal(job.state())));
    assert!(state.log(JobId(2)).await.unwrap().is_empty());
    assert_eq!(state.log(JobId(5)).await.unwrap().len(), 1);
}

fn find_something(state: &State, id: u64) {
    let log = state.findings_log(JobId(id));
    let warning = v1::finding::Finding::Warning(v1::Warning::default());
    log.add(&v1::Finding { finding: Some(warning) });
    assert_eq!(log.close(), None);
}

#[tokio::test]
async fn what_a_job_found_survives_a_restart_and_goes_with_the_job() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (state, _) = State::open(folder.path(), 2, at(0)).unwrap();
        for id in 1..=2 {
            find_something(&state, id);
            save(&state, id, JobState::Succeeded).await.unwrap();
        }
        // Of a job that was never stored.
        find_something(&state, 9);
        state.close().await;
    }
    let (state, _) = State::open(folder.path(), 2, at(0)).unwrap();
    assert!(state.findings(JobId(9)).await.unwrap().is_none());
    assert_eq!(state.findings(JobId(1)).await.unwrap().unwrap().batch("cut").len(), 2);
    save(&state, 3, JobState::Succeeded).await.unwrap();
    // The writer removes it before it does anything else.
    save(&state, 4, JobState::Running).await.unwrap();
    assert!(state.findings(JobId(1)).await.unwrap().is_none());
    assert!(state.findings(JobId(2)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_long_log_keeps_its_last_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (state, _) = State::open(folder.path(), 2, at(0)).unwrap();
    state.append(JobId(1), lines(0, &["old"]));
    state.append(JobId(1), lines(1, &vec!["new"; LOG_LINES_KEPT as usize]));
    save(&state, 1, JobState::Running).await.unwrap();
    let log = state.log(JobId(1)).await.unwrap();
    assert_eq!(log.len() as u64, LOG_LINES_KEPT);
    assert!(log.iter().all(|line| line.message == "new"));
}

#[tokio::test]
async fn where_a_check_goes_on_and_when_all_was_whole_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (state, _) = State::open(folder.path(), 2, at(0)).unwrap();
        assert_eq!(state.next_read("main").await.unwrap(), 0);
        state.read_up_to("main", u64::MAX).await.unwrap();
        state.read_up_to("other", 7).await.unwrap();
        assert_eq!(state.last_whole("local:/a").await.unwrap(), None);
        for (repository, second) in [("local:/a 2", 76), ("local:/a 1", 77), ("local:/a 3", 75), ("local:/a b 1", 99)] {
            state.checked_whole(repository, at(second)).await.unwrap();
        }
        state.close().await;
    }
    let (state, _) = State::open(folder.path(), 2, at(0)).unwrap();
    let whole = [state.last_whole("local:/a").await.unwrap(), state.last_whole("local:/b").await.unwrap()];
    assert_eq!(whole, [Some(("local:/a 1".to_owned(), at(77))), None]);
    assert_eq!((state.next_read("main").await.unwrap(), state.next_read("other").await.unwrap()), (u64::MAX, 7));
}
