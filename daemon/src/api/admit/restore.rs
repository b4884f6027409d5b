//! Restores to a folder, and archives.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;
use cloudstic_engine::lock::Kind;
use cloudstic_proto::v1;
use prost::Message;
use tokio::sync::mpsc;
use v1::job_spec::Operation;

use super::{check_length, check_snapshot, denied, repository, submission};
use crate::access::{Access, Caller};
use crate::config::Config;
use crate::failure::Failure;
use crate::supervisor::{Needs, Submission};

/// An archive, which goes to `output`.
pub(in crate::api) fn archive(
    spec: v1::ArchiveSpec,
    caller: &Caller,
    config: &Config,
    output: mpsc::Sender<Bytes>,
) -> Result<Submission, Failure> {
    check_length(spec.encoded_len())?;
    let repository = repository(&spec.repository, config)?;
    check_snapshot(&spec.snapshot)?;
    let needs = Needs { repository, lock: Some(Kind::Shared), streams: true, ..Needs::default() };
    Ok(Submission { output: Some(output), ..submission(Operation::Archive(spec), needs, caller) })
}

pub(super) fn admit(
    spec: v1::RestoreSpec,
    caller: &Caller,
    access: &Access,
    config: &Config,
) -> Result<Submission, Failure> {
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
        ..Needs::default()
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
