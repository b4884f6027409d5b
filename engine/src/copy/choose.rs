//! Which snapshots are to be copied, and which the target has already.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{COPIED_FROM, COPIED_INCOMPLETE, CopyError, CopyRequest};
use crate::object::{ObjectRef, Snapshot, SnapshotEntry};
use crate::repository::{ReadError, Repository, RepositoryError};
use crate::source::Warning;

/// Which snapshots of a repository are meant.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Those that fit.
    Fitting(SnapshotFilter),
    /// Those with these names.
    Named(Vec<String>),
}

/// Which snapshots fit; an empty text fits all.
#[derive(Debug, Clone, Default)]
pub struct SnapshotFilter {
    /// One of its tags.
    pub tag: String,
    /// The type of its source.
    pub source: String,
    /// The account of its source.
    pub account: String,
    /// The path of its source.
    pub path: String,
}

impl SnapshotFilter {
    fn fits(&self, entry: &SnapshotEntry) -> bool {
        let fits = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        fits(&self.source, &entry.source.source_type)
            && fits(&self.account, &entry.source.account)
            && fits(&self.path, &entry.source.path)
            && (self.tag.is_empty() || entry.tags.contains(&self.tag))
    }
}

pub(super) struct Choice {
    /// Oldest first.
    pub(super) chosen: Vec<Chosen>,
    /// Snapshots that cannot be copied because they cannot be read.
    pub(super) unreadable: Vec<Warning>,
}

pub(super) struct Chosen {
    pub(super) reference: ObjectRef,
    pub(super) snapshot: Snapshot,
    /// The copy that the target has.
    pub(super) present: Option<ObjectRef>,
}

pub(super) async fn choose(
    from: &Arc<Repository>,
    to: &Arc<Repository>,
    request: &CopyRequest,
) -> Result<Choice, CopyError> {
    let (references, mut unreadable) = match &request.wanted {
        Wanted::Fitting(filter) => {
            let list = from.snapshots().await?;
            let fitting = list.readable.iter().filter(|entry| filter.fits(entry)).map(|entry| entry.reference);
            (fitting.collect::<Vec<_>>(), list.unreadable)
        }
        Wanted::Named(names) => {
            let (mut found, mut seen) = (Vec::new(), HashSet::new());
            for name in names {
                let (reference, _) = from.find_snapshot(name).await?;
                found.extend(seen.insert(reference).then_some(reference));
            }
            (found, Vec::new())
        }
    };
    let (mut read, damaged) = read_all(from, references).await?;
    unreadable.extend(damaged);
    read.sort_by_cached_key(|(reference, snapshot)| (snapshot.created.moment(), snapshot.seq, *reference));
    let in_target = to.snapshots().await?.readable.into_iter().map(|entry| entry.reference).collect();
    // One that cannot be read any more is no copy that anybody could restore.
    let known = Known::new(read_all(to, in_target).await?.0);
    let chosen = read.into_iter().map(|(reference, snapshot)| {
        let present = known.find(&reference, &snapshot, request.partial);
        Chosen { reference, snapshot, present }
    });
    Ok(Choice { chosen: chosen.collect(), unreadable })
}

type Read = Vec<(ObjectRef, Snapshot)>;

/// Snapshots as they are stored; the catalog has not all of what they say.
async fn read_all(repository: &Arc<Repository>, references: Vec<ObjectRef>) -> Result<(Read, Vec<Warning>), CopyError> {
    let reader = repository.reader().await?;
    let reading = tokio::task::spawn_blocking(move || {
        let (mut read, mut damaged) = (Vec::new(), Vec::new());
        for reference in references {
            match reader.read_json::<Snapshot>(&reference) {
                Ok(snapshot) => read.push((reference, snapshot)),
                Err(ReadError::Store(error)) => return Err(RepositoryError::from(error)),
                Err(problem) => damaged.push(Warning { path: reference.key(), problem: problem.to_string() }),
            }
        }
        Ok((read, damaged))
    });
    Ok(reading.await.map_err(RepositoryError::from)??)
}

/// The snapshots of the target by what they are copies of.
struct Known(HashMap<String, Vec<Copy>>);

struct Copy {
    reference: ObjectRef,
    incomplete: bool,
}

impl Known {
    fn new(snapshots: Read) -> Self {
        let mut known: HashMap<String, Vec<Copy>> = HashMap::new();
        for (reference, snapshot) in snapshots {
            let incomplete = snapshot.meta.contains_key(COPIED_INCOMPLETE);
            known.entry(origin(&reference, &snapshot)).or_default().push(Copy { reference, incomplete });
        }
        Self(known)
    }

    /// The copy that makes another one needless. An incomplete one does only if no complete one could be had.
    fn find(&self, reference: &ObjectRef, snapshot: &Snapshot, partial: bool) -> Option<ObjectRef> {
        let copies = self.0.get(&origin(reference, snapshot))?;
        let incomplete_will_do = partial || snapshot.meta.contains_key(COPIED_INCOMPLETE);
        let complete = copies.iter().find(|copy| !copy.incomplete);
        let any = complete.or_else(|| copies.first().filter(|_| incomplete_will_do));
        any.map(|copy| copy.reference)
    }
}

/// The snapshot that a snapshot is a copy of, or itself.
fn origin(reference: &ObjectRef, snapshot: &Snapshot) -> String {
    snapshot.meta.get(COPIED_FROM).cloned().unwrap_or_else(|| reference.to_string())
}
