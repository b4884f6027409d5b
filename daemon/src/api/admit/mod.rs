//! Which jobs are let in, and with whose rights: the rules between what a caller asks for and what the daemon, which can
//! do more than the caller, does.
//!
//! - A backup of a profile is what the administrator has configured: every caller may run it, but not leave out more. A
//!   backup of any path reads with the daemon's rights, so only who has these anyway may ask for it.
//! - A restore to a folder writes with the caller's rights, never with more. A daemon that cannot take these on refuses.
//! - A check only reads and may be asked for by every caller; a repair changes what others rely on, and may not.
//! - Whoever breaks locks can harm what others do, so only who has the daemon's rights may.
//! - A prune deletes, so only who has the daemon's rights may, even if only to see what it would do.
//! - Whoever adds a key can read everything, and whoever removes one can lock others out: the same.
//! - An archive goes to the caller's own stream.
//! - Whoever forgets snapshots takes backups away from everybody, also those of others, and whoever tags them decides what
//!   a policy keeps. So only who has the daemon's rights may; a dry run shows no more than `list`.

mod backup;
mod check;
mod copy;
mod forget;
mod prune;
mod repair;
mod restore;
mod stats;
mod tag;

use cloudstic_proto::{Reason, v1};
use v1::job_spec::Operation;

use crate::access::{Access, Caller};
use crate::config::Config;
use crate::failure::Failure;
use crate::supervisor::{Description, Needs, Submission};

pub(super) use restore::archive;

/// The longest job in bytes: it is in every message about it, beside its report.
const LONGEST: usize = 1 << 20;

/// A job that [`v1::jobs_server::Jobs::submit`] may start.
pub(super) fn job(
    spec: Option<v1::JobSpec>,
    caller: &Caller,
    access: &Access,
    config: &Config,
) -> Result<Submission, Failure> {
    let operation = spec.and_then(|spec| spec.operation);
    check_length(operation.as_ref().map_or(0, Operation::encoded_len))?;
    match operation.ok_or_else(|| Failure::bad_request("the job has no operation"))? {
        Operation::Backup(spec) => backup::admit(spec, caller, access, config),
        Operation::Restore(spec) => restore::admit(spec, caller, access, config),
        Operation::Forget(spec) => forget::admit(spec, caller, access, config),
        Operation::Tag(spec) => tag::admit(spec, caller, access, config),
        Operation::Prune(spec) => prune::admit(spec, caller, access, config),
        Operation::Copy(spec) => copy::admit(spec, caller, access, config),
        Operation::Stats(spec) => stats::admit(spec, caller, config),
        Operation::Check(spec) => check::admit(spec, caller, config),
        Operation::Repair(spec) => repair::admit(spec, caller, access, config),
        Operation::Archive(_) => {
            Err(Failure::bad_request("an archive needs a stream for its output: call Repositories.RestoreArchive"))
        }
    }
}

/// Who may remove the locks of others: whoever still works under one may then lose data to a prune.
pub(super) fn break_locks(caller: &Caller, access: &Access) -> Result<(), Failure> {
    match access.is_master(caller) {
        true => Ok(()),
        false => Err(denied("only root and the daemon's own user may break locks")),
    }
}

/// Who may see and change the keys of repositories.
pub(super) fn keys(caller: &Caller, access: &Access) -> Result<(), Failure> {
    match access.is_master(caller) {
        true => Ok(()),
        false => Err(denied("only root and the daemon's own user may see and change keys")),
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

/// Snapshots are either named or told by what they are like.
pub(super) fn not_both(names: &[String], filter: Option<&v1::SnapshotFilter>) -> Result<(), Failure> {
    match filter.is_some_and(|filter| *filter != v1::SnapshotFilter::default()) && !names.is_empty() {
        true => Err(Failure::bad_request("name snapshots, or give a filter, not both")),
        false => Ok(()),
    }
}

fn check_length(length: usize) -> Result<(), Failure> {
    match length > LONGEST {
        true => Err(Failure::bad_request(format!(
            "the job takes {length} bytes, and {LONGEST} are the most: name fewer snapshots, paths or patterns"
        ))),
        false => Ok(()),
    }
}

fn denied(message: &str) -> Failure {
    Failure::new(Reason::PermissionDenied, message)
}

#[cfg(test)]
mod tests;
