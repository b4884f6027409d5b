//! Which jobs are let in, and with whose rights: the rules between what a caller asks for and what the daemon, which can
//! do more than the caller, does.
//!
//! - A backup of a profile is what the administrator has configured: every caller may run it, but not leave out more. A
//!   backup of any path reads with the daemon's rights, so only who has these anyway may ask for it.
//! - A restore to a folder writes with the caller's rights, never with more. A daemon that cannot take these on refuses.
//! - Whoever breaks locks can harm what others do, so only who has the daemon's rights may.
//! - An archive goes to the caller's own stream.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;
use cloudstic_engine::lock::Kind;
use cloudstic_proto::{Reason, v1};
use tokio::sync::mpsc;
use v1::job_spec::Operation;

use crate::access::{Access, Caller};
use crate::config::Config;
use crate::failure::Failure;
use crate::supervisor::{Description, Needs, Submission};

/// A job that [`v1::jobs_server::Jobs::submit`] may start.
pub(super) fn job(
    spec: Option<v1::JobSpec>,
    caller: &Caller,
    access: &Access,
    config: &Config,
) -> Result<Submission, Failure> {
    let operation = spec.and_then(|spec| spec.operation);
    match operation.ok_or_else(|| Failure::bad_request("the job has no operation"))? {
        Operation::Backup(spec) => backup(spec, caller, access, config),
        Operation::Restore(spec) => restore(spec, caller, access, config),
        Operation::Archive(_) => {
            Err(Failure::bad_request("an archive needs a stream for its output: call Repositories.RestoreArchive"))
        }
    }
}

/// An archive, which goes to `output`.
pub(super) fn archive(
    spec: v1::ArchiveSpec,
    caller: &Caller,
    config: &Config,
    output: mpsc::Sender<Bytes>,
) -> Result<Submission, Failure> {
    let repository = repository(&spec.repository, config)?;
    check_snapshot(&spec.snapshot)?;
    let needs = Needs { repository, lock: Some(Kind::Shared), streams: true, ..Needs::default() };
    Ok(Submission { output: Some(output), ..submission(Operation::Archive(spec), needs, caller) })
}

fn backup(spec: v1::BackupSpec, caller: &Caller, access: &Access, config: &Config) -> Result<Submission, Failure> {
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
        streams: false,
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

fn restore(spec: v1::RestoreSpec, caller: &Caller, access: &Access, config: &Config) -> Result<Submission, Failure> {
    let repository = repository(&spec.repository, config)?;
    check_snapshot(&spec.snapshot)?;
    if !spec.target.starts_with(b"/") {
        return Err(Failure::bad_request("the target folder must be an absolute path on the daemon's host"));
    }
    if v1::Overwrite::try_from(spec.overwrite).is_err() {
        return Err(Failure::bad_request("this daemon does not know that overwrite mode: it is older than the client"));
    }
    let identity = match access.is_master(caller) {
        true => None,
        false if access.can_impersonate() => Some(caller.identity()),
        false => {
            return Err(denied(
                "this daemon does not run as root, so it cannot write files as you: restore with --zip, \
                 which writes on your side",
            ));
        }
    };
    let needs = Needs {
        profiles: if spec.dry_run { Vec::new() } else { profiles_at(&spec.target, config) },
        repository,
        lock: Some(Kind::Shared),
        streams: false,
    };
    Ok(Submission { identity, ..submission(Operation::Restore(spec), needs, caller) })
}

/// The profiles whose files a restore to this folder writes: their backups would store what is half restored.
fn profiles_at(target: &[u8], config: &Config) -> Vec<String> {
    let target = Path::new(OsStr::from_bytes(target));
    let touched = config.profiles.iter().filter(|(_, profile)| {
        let source = &profile.source;
        source.starts_with(target) || target.starts_with(source)
    });
    touched.map(|(name, _)| name.clone()).collect()
}

/// Who may remove the locks of others: whoever still works under one may then lose data to a prune.
pub(super) fn break_locks(caller: &Caller, access: &Access) -> Result<(), Failure> {
    match access.is_master(caller) {
        true => Ok(()),
        false => Err(denied("only root and the daemon's own user may break locks")),
    }
}

fn submission(operation: Operation, needs: Needs, caller: &Caller) -> Submission {
    let spec = v1::JobSpec { operation: Some(operation) };
    let repository = needs.repository.clone();
    let description = Description { spec, repository, profile: String::new(), uid: caller.uid };
    Submission { description, needs, skip_if_busy: false, identity: None, output: None }
}

fn repository(name: &str, config: &Config) -> Result<String, Failure> {
    match config.repositories.contains_key(name) {
        true => Ok(name.to_owned()),
        false => Err(Failure::no_such_repository(name)),
    }
}

fn check_snapshot(name: &str) -> Result<(), Failure> {
    match name.is_empty() {
        true => Err(Failure::bad_request("name a snapshot: \"latest\", or the beginning of its hash")),
        false => Ok(()),
    }
}

fn no_such_profile(name: &str, config: &Config) -> Failure {
    let known: Vec<&str> = config.profiles.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "there are none".to_owned() } else { known.join(", ") };
    Failure::new(Reason::NoSuchProfile, format!("no profile {name:?} is configured (configured: {known})"))
}

fn denied(message: &str) -> Failure {
    Failure::new(Reason::PermissionDenied, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::accounts::Accounts;
    use crate::config::AccessConfig;
    use cloudstic_engine::restore::Identity;

    const ROOT: u32 = 0;
    const DAEMON: u32 = 500;
    const ADA: u32 = 1000;

    fn submit(operation: Operation, uid: u32, own_uid: u32) -> Result<Submission, Reason> {
        let text =
            "[repositories.main]\nstore = \"local:/srv\"\n[profiles.home]\nrepository = \"main\"\nsource = \"/home\"";
        let config = Config::parse("x".as_ref(), text, &Accounts::default()).unwrap();
        let caller = Caller { uid, gid: 7, groups: [7, 8].into() };
        let access = Access::new(AccessConfig::default(), own_uid);
        job(Some(v1::JobSpec { operation: Some(operation) }), &caller, &access, &config)
            .map_err(|failure| failure.reason)
    }

    fn backup_of(profile: &str, repository: &str, path: &str) -> Operation {
        let (profile, repository, path) = (profile.into(), repository.into(), path.as_bytes().to_vec());
        Operation::Backup(v1::BackupSpec { profile, repository, path, ..Default::default() })
    }

    fn restore_to(target: &str) -> Operation {
        let (repository, snapshot, target) = ("main".into(), "latest".into(), target.as_bytes().to_vec());
        Operation::Restore(v1::RestoreSpec { repository, snapshot, target, ..Default::default() })
    }

    #[test]
    fn anybody_may_run_a_profile_but_not_back_up_any_path() {
        let job = submit(backup_of("home", "", ""), ADA, ROOT).unwrap().description;
        assert_eq!((job.repository.as_str(), job.profile.as_str(), job.uid), ("main", "home", ADA));
        let ad_hoc = || backup_of("", "main", "/etc");
        assert_eq!(submit(ad_hoc(), ADA, ROOT).unwrap_err(), Reason::PermissionDenied);
        assert!(submit(ad_hoc(), ROOT, DAEMON).is_ok());
        assert!(submit(ad_hoc(), DAEMON, DAEMON).is_ok());
    }

    #[test]
    fn only_who_has_the_daemons_rights_may_leave_out_more_than_the_profile() {
        let with = |profile: &str, excludes: &[&str]| {
            let Operation::Backup(spec) = backup_of(profile, "", "") else { unreachable!() };
            Operation::Backup(v1::BackupSpec { excludes: excludes.iter().map(|it| (*it).into()).collect(), ..spec })
        };
        assert_eq!(submit(with("home", &["*"]), ADA, ROOT).unwrap_err(), Reason::PermissionDenied);
        assert!(submit(with("home", &["*"]), ROOT, ROOT).is_ok());
    }

    #[test]
    fn a_restore_into_the_source_of_a_profile_excludes_its_backup() {
        let profiles = |target| submit(restore_to(target), ROOT, ROOT).unwrap().needs.profiles;
        assert_eq!(profiles("/home/ada/back"), ["home"]);
        assert_eq!(profiles("/home"), ["home"]);
        assert_eq!(profiles("/"), ["home"]);
        assert_eq!(profiles("/homes"), [""; 0]);
    }

    #[test]
    fn a_restore_has_the_callers_rights_and_never_more() {
        let identity = |uid, own_uid| submit(restore_to("/tmp/x"), uid, own_uid).map(|job| job.identity);
        assert_eq!(identity(ROOT, ROOT), Ok(None));
        assert_eq!(identity(DAEMON, DAEMON), Ok(None));
        assert_eq!(identity(ADA, ROOT), Ok(Some(Identity { uid: ADA, gid: 7, groups: vec![7, 8] })));
        assert_eq!(identity(ADA, DAEMON), Err(Reason::PermissionDenied));
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_it_becomes_a_job() {
        let reason = |operation| submit(operation, ROOT, ROOT).unwrap_err();
        assert_eq!(reason(backup_of("hoem", "", "")), Reason::NoSuchProfile);
        assert_eq!(reason(backup_of("home", "main", "")), Reason::BadRequest);
        assert_eq!(reason(backup_of("", "mian", "/etc")), Reason::NoSuchRepository);
        assert_eq!(reason(backup_of("", "main", "etc")), Reason::BadRequest);
        assert_eq!(reason(restore_to("relative")), Reason::BadRequest);
        assert_eq!(reason(Operation::Archive(v1::ArchiveSpec::default())), Reason::BadRequest);
    }
}
