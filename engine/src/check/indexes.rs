//! `index/latest` and `index/snapshots`: whether they agree with the snapshots that there are. Both can be made anew from
//! those; but the CLI goes by the first, and what the second says is believed for a list.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::faults::{Findings, problem_of};
use super::report::Problem;
use crate::object::{Latest, ObjectRef, Snapshot, SnapshotEntry, json};
use crate::pack::Catalog;
use crate::repository::{INDEX_MAX, LATEST_KEY, ReadError, Repository, RepositoryError, SNAPSHOTS_KEY};

/// An index as it is stored.
pub(crate) enum Stored<T> {
    /// It is not there.
    Missing,
    /// It cannot be read.
    Bad(Problem),
    /// What it says.
    Said(T),
}

/// Reads both, from where they are looked for first.
pub(crate) async fn read_indexes(
    repository: &Repository,
    catalog: &Catalog,
) -> Result<(Stored<Latest>, Stored<Vec<SnapshotEntry>>), RepositoryError> {
    Ok((read(repository, catalog, LATEST_KEY).await?, read(repository, catalog, SNAPSHOTS_KEY).await?))
}

async fn read<T: serde::de::DeserializeOwned>(
    repository: &Repository,
    catalog: &Catalog,
    key: &str,
) -> Result<Stored<T>, RepositoryError> {
    let store = repository.store();
    let stored = match catalog.pointer(key) {
        Some(place) => {
            let range = place.offset..place.offset + place.length;
            store.get_range(&format!("packs/{}", place.pack), range).await
        }
        None => store.get(key).await,
    };
    let sealed = match stored {
        Ok(sealed) => sealed,
        Err(error) => {
            return Ok(match problem_of(ReadError::Store(error))? {
                Problem::Missing if catalog.pointer(key).is_none() => Stored::Missing,
                Problem::Missing => Stored::Bad(Problem::Damaged("the pack that it lies in is missing".to_owned())),
                problem => Stored::Bad(problem),
            });
        }
    };
    let plain = match repository.sealer().open(&sealed, INDEX_MAX) {
        Ok(plain) => plain,
        Err(why) => return Ok(Stored::Bad(Problem::Damaged(why.to_string()))),
    };
    Ok(match json::decode(&plain) {
        Ok(value) => Stored::Said(value),
        Err(why) => Stored::Bad(Problem::Damaged(why.to_string())),
    })
}

/// The snapshots that there are.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    /// Those that can be read.
    pub(super) readable: &'a BTreeMap<ObjectRef, Arc<Snapshot>>,
    /// All that were looked at; sorted.
    pub(super) all: &'a [ObjectRef],
    /// Those that came to be since.
    pub(super) new: &'a [ObjectRef],
}

/// Holds both against the snapshots.
pub(super) fn check_indexes(
    indexes: (Stored<Latest>, Stored<Vec<SnapshotEntry>>),
    seen: Seen<'_>,
    findings: &mut Findings,
) {
    let (latest, listed) = indexes;
    let readable = seen.readable;
    match latest {
        Stored::Missing if readable.is_empty() => {}
        Stored::Missing => _ = findings.fault(LATEST_KEY, Problem::Missing),
        Stored::Bad(problem) => _ = findings.fault(LATEST_KEY, problem),
        Stored::Said(latest) => check_latest(&latest, seen, findings),
    }
    match listed {
        Stored::Missing if readable.is_empty() => {}
        Stored::Missing => findings.remark(SNAPSHOTS_KEY, "is missing; the next backup makes it anew".to_owned()),
        Stored::Bad(problem) => _ = findings.fault(SNAPSHOTS_KEY, problem),
        Stored::Said(listed) => check_list(&listed, seen, findings),
    }
}

fn check_latest(latest: &Latest, seen: Seen<'_>, findings: &mut Findings) {
    let Seen { readable, all, new } = seen;
    let Latest { latest_snapshot, seq } = latest;
    let wrong = |text: String| Problem::Wrong(text);
    match readable.get(latest_snapshot) {
        Some(snapshot) if snapshot.seq != *seq => {
            let text = format!("it says that {latest_snapshot} has the number {seq}, and that has {}", snapshot.seq);
            findings.fault(LATEST_KEY, wrong(text));
        }
        Some(_) if readable.values().any(|snapshot| snapshot.seq > *seq) => {
            findings.remark(
                LATEST_KEY,
                "does not name the newest snapshot: that one's backup was cut off, or is under way".to_owned(),
            );
        }
        Some(_) => {}
        None if new.contains(latest_snapshot) => {}
        None if all.binary_search(latest_snapshot).is_ok() => {
            findings.fault(LATEST_KEY, wrong(format!("it names {latest_snapshot}, which is damaged")));
        }
        None => _ = findings.fault(LATEST_KEY, wrong(format!("it names {latest_snapshot}, which is missing"))),
    }
}

fn check_list(listed: &[SnapshotEntry], seen: Seen<'_>, findings: &mut Findings) {
    let Seen { readable, all, new } = seen;
    for entry in listed {
        match readable.get(&entry.reference) {
            Some(snapshot) if SnapshotEntry::new(entry.reference, snapshot) != *entry => {
                let text = format!("it says of {} what is not so", entry.reference);
                findings.fault(SNAPSHOTS_KEY, Problem::Wrong(text));
            }
            Some(_) => {}
            None if all.binary_search(&entry.reference).is_ok() || new.contains(&entry.reference) => {}
            None => {
                // Nobody removes a snapshot and leaves it in the list, but who was cut off.
                let number = findings.fault(&entry.reference.key(), Problem::Missing);
                findings.bad.insert(entry.reference, number);
            }
        }
    }
    let mut names: Vec<ObjectRef> = listed.iter().map(|entry| entry.reference).collect();
    names.sort_unstable();
    for unlisted in readable.keys().filter(|reference| names.binary_search(reference).is_err()) {
        let text = format!("does not have {unlisted}: its backup was cut off, or is under way");
        findings.remark(SNAPSHOTS_KEY, text);
    }
}
