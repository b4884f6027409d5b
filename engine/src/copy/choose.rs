//! Which snapshots are to be copied, and which the target has already.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{COPIED_IDENTITY, COPIED_INCOMPLETE, CopyError, CopyRequest};
use crate::object::{Hash, ObjectRef, Snapshot, json};
use crate::repository::{ReadError, Repository, RepositoryError, SnapshotSelection};
use crate::source::Warning;

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
    pub(super) present: Option<Present>,
}

pub(super) struct Present {
    pub(super) reference: ObjectRef,
    /// Its tags are not those of the original.
    pub(super) other_tags: bool,
}

pub(super) async fn choose(
    from: &Arc<Repository>,
    to: &Arc<Repository>,
    request: &CopyRequest,
) -> Result<Choice, CopyError> {
    let (references, mut unreadable) = match &request.selection {
        SnapshotSelection::Matching(filter) => {
            let list = from.snapshots().await?;
            let matching = list.readable.iter().filter(|entry| filter.matches(entry)).map(|entry| entry.reference);
            (matching.collect::<Vec<_>>(), list.unreadable)
        }
        SnapshotSelection::Named(names) => {
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
    tags: Vec<String>,
    incomplete: bool,
}

impl Known {
    fn new(snapshots: Read) -> Self {
        let mut known: HashMap<String, Vec<Copy>> = HashMap::new();
        for (reference, snapshot) in snapshots {
            let incomplete = snapshot.meta.contains_key(COPIED_INCOMPLETE);
            let identity = identity(&reference, &snapshot);
            known.entry(identity).or_default().push(Copy { reference, tags: snapshot.tags, incomplete });
        }
        Self(known)
    }

    /// The copy that makes another one needless. An incomplete one does only if no complete one could be had.
    fn find(&self, reference: &ObjectRef, snapshot: &Snapshot, partial: bool) -> Option<Present> {
        let copies = self.0.get(&identity(reference, snapshot))?;
        let incomplete_will_do = partial || snapshot.meta.contains_key(COPIED_INCOMPLETE);
        let same_tags = |copy: &&Copy| copy.tags == snapshot.tags;
        let complete = || copies.iter().filter(|copy| !copy.incomplete);
        let any = complete().find(same_tags).or_else(|| complete().next());
        let any = any.or_else(|| copies.first().filter(|_| incomplete_will_do));
        any.map(|copy| Present { reference: copy.reference, other_tags: !same_tags(&copy) })
    }
}

/// What stays the same when a snapshot is copied, and when its tags are changed: the hash of all that the first original
/// says, but its tags.
pub(super) fn identity(reference: &ObjectRef, snapshot: &Snapshot) -> String {
    if let Some(identity) = snapshot.meta.get(COPIED_IDENTITY) {
        return identity.clone();
    }
    // What another program wrote with more fields than we know is told by all of it; nor can we change its tags.
    match Hash::of(&json::encode(snapshot)) == reference.hash {
        true => Hash::of(&json::encode(&Snapshot { tags: Vec::new(), ..snapshot.clone() })).to_string(),
        false => reference.hash.to_string(),
    }
}
