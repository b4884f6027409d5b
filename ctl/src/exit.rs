//! What the exit code says, and how it follows from a job's state or an error's reason.
//!
//! The codes are a promise to scripts: they are listed in `--help` and in `docs/json.md`, and never change meaning.

use std::process::ExitCode;

use cloudstic_proto::Reason;
use cloudstic_proto::v1::{Job, JobState};

/// How the program ends. Wrong usage is not here: that is 2, and clap's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All of it was done.
    Success,
    /// It was not done.
    Failure,
    /// It was done, with warnings.
    Partial,
    /// The store has no repository.
    NotInitialised,
    /// Another operation holds the repository.
    Locked,
    /// No credential opens the repository.
    Credential,
    /// Somebody or something stopped it.
    Interrupted,
}

impl Exit {
    /// All of them, by their numbers.
    pub(crate) const ALL: [Self; 7] = [
        Self::Success,
        Self::Failure,
        Self::Partial,
        Self::NotInitialised,
        Self::Locked,
        Self::Credential,
        Self::Interrupted,
    ];

    /// What it tells a script.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "error",
            Self::Partial => "partial: it was done, with warnings that say what is missing, damaged or uncertain",
            Self::NotInitialised => "the store has no repository",
            Self::Locked => "the repository is locked by another operation",
            Self::Credential => "wrong or missing credential",
            Self::Interrupted => "interrupted or cancelled",
        }
    }

    /// The number.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Partial => 3,
            Self::NotInitialised => 10,
            Self::Locked => 11,
            Self::Credential => 12,
            Self::Interrupted => 130,
        }
    }

    /// What an error with this reason ends with. A reason that this version does not know is a plain failure.
    pub(crate) fn of_reason(reason: &str) -> Self {
        match reason.parse() {
            Ok(Reason::NotInitialised) => Self::NotInitialised,
            Ok(Reason::Locked) => Self::Locked,
            Ok(Reason::WrongCredential | Reason::NoCredential) => Self::Credential,
            Ok(Reason::Cancelled) => Self::Interrupted,
            _ => Self::Failure,
        }
    }

    /// What a job that has ended ends the program with. A job that was skipped had nothing left to do.
    pub(crate) fn of_job(job: &Job) -> Self {
        match job.state() {
            JobState::Succeeded | JobState::Skipped => Self::Success,
            JobState::Partial => Self::Partial,
            JobState::Cancelled | JobState::Interrupted => Self::Interrupted,
            JobState::Failed | JobState::Unspecified | JobState::Queued | JobState::Running => {
                job.failure.as_ref().map_or(Self::Failure, |failure| Self::of_reason(&failure.reason))
            }
        }
    }
}

/// Every code of the program and its meaning, wrong usage among them: for `--help` and the manual page.
pub(crate) fn codes() -> Vec<(u8, &'static str)> {
    let mut codes: Vec<_> = Exit::ALL.iter().map(|exit| (exit.code(), exit.meaning())).collect();
    codes.push((2, "wrong usage"));
    codes.sort_unstable_by_key(|(code, _)| *code);
    codes
}

/// The codes as `--help` shows them.
pub(crate) fn help() -> String {
    let line = |(code, meaning)| format!("\n  {code:>3}  {meaning}");
    format!("Exit codes:{}", codes().into_iter().map(line).collect::<String>())
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use cloudstic_proto::v1::Failure;

    use super::*;

    fn job(state: JobState, reason: Option<Reason>) -> Job {
        Job {
            state: state.into(),
            failure: reason.map(|reason| Failure { reason: reason.to_string(), message: String::new() }),
            ..Job::default()
        }
    }

    #[test]
    fn codes_are_those_of_the_documents() {
        let all = [
            (Exit::Success, 0),
            (Exit::Failure, 1),
            (Exit::Partial, 3),
            (Exit::NotInitialised, 10),
            (Exit::Locked, 11),
            (Exit::Credential, 12),
            (Exit::Interrupted, 130),
        ];
        for (exit, code) in all {
            assert_eq!(exit.code(), code);
        }
        let document = include_str!("../../docs/json.md");
        for (code, _) in codes() {
            assert!(document.contains(&format!("\n| {code} | ")), "docs/json.md does not have {code}");
        }
    }

    #[test]
    fn help_lists_every_code_in_order() {
        let numbers: Vec<_> = codes().into_iter().map(|(code, _)| code).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 10, 11, 12, 130]);
        assert!(help().starts_with("Exit codes:\n    0  success\n    1  error\n    2  wrong usage\n"), "{}", help());
    }

    #[test]
    fn every_reason_has_a_code_and_unknown_ones_fail() {
        for reason in Reason::ALL {
            assert_ne!(Exit::of_reason(reason.as_str()), Exit::Success, "{reason}");
        }
        assert_eq!(Exit::of_reason("NOT_INITIALISED").code(), 10);
        assert_eq!(Exit::of_reason("LOCKED").code(), 11);
        assert_eq!(Exit::of_reason("WRONG_CREDENTIAL").code(), 12);
        assert_eq!(Exit::of_reason("NO_CREDENTIAL").code(), 12);
        assert_eq!(Exit::of_reason("OF_A_LATER_VERSION").code(), 1);
        assert_eq!(Exit::of_reason("").code(), 1);
    }

    #[test]
    fn a_failed_job_ends_with_its_reason() {
        assert_eq!(Exit::of_job(&job(JobState::Failed, Some(Reason::Locked))), Exit::Locked);
        assert_eq!(Exit::of_job(&job(JobState::Failed, Some(Reason::NoCredential))), Exit::Credential);
        assert_eq!(Exit::of_job(&job(JobState::Failed, Some(Reason::LockLost))), Exit::Failure);
        assert_eq!(Exit::of_job(&job(JobState::Failed, None)), Exit::Failure);
    }

    #[test]
    fn a_partial_job_is_no_success() {
        assert_eq!(Exit::of_job(&job(JobState::Partial, None)), Exit::Partial);
        assert_eq!(Exit::of_job(&job(JobState::Cancelled, Some(Reason::Cancelled))), Exit::Interrupted);
        assert_eq!(Exit::of_job(&job(JobState::Interrupted, None)), Exit::Interrupted);
        assert_eq!(Exit::of_job(&job(JobState::Skipped, None)), Exit::Success);
        assert_eq!(Exit::of_job(&job(JobState::Succeeded, None)), Exit::Success);
    }
}
