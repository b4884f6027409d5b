//! Documents about the daemon and its repositories: `status` and `init`.

use cloudstic_proto::v1;
use serde::Serialize;

use super::{Job, Time};

/// `status`.
#[derive(Serialize)]
pub(crate) struct Status<'a> {
    version: &'a str,
    pid: u32,
    started_at: Time<'a>,
    config_path: &'a str,
    active_jobs: Vec<Job<'a>>,
    repositories: Vec<Repository<'a>>,
}

#[derive(Serialize)]
struct Repository<'a> {
    name: &'a str,
    store: &'a str,
    last_backup: Option<Job<'a>>,
}

impl<'a> From<&'a v1::StatusResponse> for Status<'a> {
    fn from(status: &'a v1::StatusResponse) -> Self {
        Self {
            version: &status.version,
            pid: status.pid,
            started_at: Time(status.started_at.as_ref()),
            config_path: &status.config_path,
            active_jobs: status.active_jobs.iter().map(Job::from).collect(),
            repositories: status
                .repositories
                .iter()
                .map(|repository| Repository {
                    name: &repository.name,
                    store: &repository.store,
                    last_backup: repository.last_backup.as_ref().map(Job::from),
                })
                .collect(),
        }
    }
}

/// `init`.
#[derive(Serialize)]
pub(crate) struct Init<'a> {
    repository: &'a str,
    encrypted: bool,
    slots: &'a [String],
}

impl<'a> Init<'a> {
    /// What was made of a repository of this name.
    pub(crate) fn new(repository: &'a str, made: &'a v1::InitResponse) -> Self {
        Self { repository, encrypted: made.encrypted, slots: &made.slots }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    #[test]
    fn status_has_its_documented_shape() {
        let status = v1::StatusResponse {
            version: "0.1.0".to_owned(),
            pid: 7,
            started_at: Some(prost_types::Timestamp { seconds: 1_795_232_795, nanos: 0 }),
            config_path: "/etc/cloudstic/config.toml".to_owned(),
            active_jobs: Vec::new(),
            repositories: vec![v1::RepositoryStatus {
                name: "home".to_owned(),
                store: "local:/srv".to_owned(),
                last_backup: None,
            }],
        };
        assert_eq!(
            text(&Status::from(&status)),
            concat!(
                r#"{"version":"0.1.0","pid":7,"started_at":"2026-11-21T03:46:35Z","#,
                r#""config_path":"/etc/cloudstic/config.toml","active_jobs":[],"#,
                r#""repositories":[{"name":"home","store":"local:/srv","last_backup":null}]}"#
            )
        );
    }

    #[test]
    fn init_names_the_slots_and_no_words() {
        let made = v1::InitResponse {
            encrypted: true,
            slots: vec!["password-default".to_owned(), "recovery-default".to_owned()],
            recovery_words: Some("one two".into()),
        };
        assert_eq!(
            text(&Init::new("home", &made)),
            r#"{"repository":"home","encrypted":true,"slots":["password-default","recovery-default"]}"#
        );
    }
}
