//! Backups of profiles, and of any path.

use cloudstic_engine::lock::Kind;
use cloudstic_proto::{Reason, v1};
use v1::job_spec::Operation;

use super::{denied, repository, submission};
use crate::access::{Access, Caller};
use crate::config::Config;
use crate::failure::Failure;
use crate::supervisor::{Needs, Submission};

pub(super) fn admit(
    spec: v1::BackupSpec,
    caller: &Caller,
    access: &Access,
    config: &Config,
) -> Result<Submission, Failure> {
    if spec.profile.is_empty() {
        if !access.is_master(caller) {
            return Err(denied(
                "only root and the daemon's own user may back up any path: add a profile for it to the configuration",
            ));
        }
        if !spec.path.starts_with(b"/") {
            return Err(Failure::bad_request("the path to back up must be absolute"));
        }
        let repository = repository(&spec.repository, config)?;
        let needs = Needs { repository, lock: lock(&spec), ..Needs::default() };
        return Ok(submission(Operation::Backup(spec), needs, caller));
    }
    if !spec.repository.is_empty() || !spec.path.is_empty() {
        return Err(Failure::bad_request("give a profile, or a repository and a path, not both"));
    }
    if !spec.excludes.is_empty() && !access.is_master(caller) {
        return Err(denied(
            "only root and the daemon's own user may leave out more than the profile does: see its excludes in the \
             configuration",
        ));
    }
    let name = spec.profile.clone();
    let profile = config.profiles.get(&name).ok_or_else(|| no_such_profile(&name, config))?;
    let needs = Needs {
        profiles: vec![name.clone()],
        repository: profile.repository.clone(),
        lock: lock(&spec),
        ..Needs::default()
    };
    let skip_if_busy = spec.skip_if_busy;
    let mut submission = submission(Operation::Backup(spec), needs, caller);
    submission.description.profile = name;
    Ok(Submission { skip_if_busy, ..submission })
}

/// A backup that writes nothing takes no lock.
const fn lock(spec: &v1::BackupSpec) -> Option<Kind> {
    if spec.dry_run { None } else { Some(Kind::Shared) }
}

fn no_such_profile(name: &str, config: &Config) -> Failure {
    let known: Vec<&str> = config.profiles.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
    Failure::new(Reason::NoSuchProfile, format!("no profile {name:?} is configured (configured: {known})"))
}
