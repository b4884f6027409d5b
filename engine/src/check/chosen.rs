//! Which snapshots are looked at.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::indexes::Stored;
use crate::object::{Latest, ObjectRef, Snapshot, SnapshotEntry};
use crate::repository::{Repository, RepositoryError};

/// The snapshots that a name means.
pub(super) fn choose(
    all: &[ObjectRef],
    readable: &BTreeMap<ObjectRef, Arc<Snapshot>>,
    name: Option<&str>,
) -> Result<Vec<ObjectRef>, RepositoryError> {
    let none = |problem: String| RepositoryError::NoSuchSnapshot(problem);
    match name {
        None => Ok(all.to_vec()),
        Some("latest") => {
            let newest = readable
                .iter()
                .max_by_key(|(reference, snapshot)| (snapshot.seq, snapshot.created.moment(), **reference));
            let none = || none("the repository has no snapshot that can be read".to_owned());
            newest.map(|(reference, _)| vec![*reference]).ok_or_else(none)
        }
        Some(name) => {
            let start = name.strip_prefix("snapshot/").unwrap_or(name);
            let found: Vec<ObjectRef> =
                all.iter().filter(|reference| reference.hash.to_string().starts_with(start)).copied().collect();
            match found.len() {
                1 if !start.is_empty() => Ok(found),
                0 | 1 => Err(none(format!("no snapshot is called {start:?}: `cloudsticctl list` shows what there is"))),
                count => Err(none(format!("{start:?} is the beginning of {count} snapshots: give more digits"))),
            }
        }
    }
}

/// Snapshots that the indexes name and that came to be only after the survey.
pub(super) async fn new_snapshots(
    repository: &Repository,
    (latest, listed): &(Stored<Latest>, Stored<Vec<SnapshotEntry>>),
    known: &[ObjectRef],
) -> Result<Vec<ObjectRef>, RepositoryError> {
    let mut named = Vec::new();
    if let Stored::Said(latest) = latest {
        named.push(latest.latest_snapshot);
    }
    if let Stored::Said(listed) = listed {
        named.extend(listed.iter().map(|entry| entry.reference));
    }
    named.retain(|reference| known.binary_search(reference).is_err());
    let mut new = Vec::new();
    for reference in named {
        match repository.store().stat(&reference.key()).await {
            Ok(_) => new.push(reference),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(new)
}
