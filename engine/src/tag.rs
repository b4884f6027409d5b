//! Tag: changes the tags of snapshots. A snapshot is named by what is in it, so it is written anew, with the same time,
//! number and tree, and takes the place of the old one.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::lock::{LeaseWatch, LockLost};
use crate::midway::{self, Midway};
use crate::object::{Hash, ObjectKind, ObjectRef, Snapshot, json};
use crate::progress::{Phase, Progress};
use crate::repository::{Replacement, Repository, RepositoryError, SnapshotSelection};
use crate::source::Warning;
use crate::warnings::Warnings;

/// Which tags to change, and of what.
#[derive(Debug, Clone)]
pub struct TagRequest {
    /// Of which snapshots. A filter that asks for nothing is refused.
    pub selection: SnapshotSelection,
    /// How.
    pub change: TagChange,
    /// Only say what would be changed.
    pub dry_run: bool,
    /// An exclusive lock; [`LeaseWatch::not_needed`] for a dry run.
    pub lease: LeaseWatch,
}

/// How tags change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagChange {
    /// These come to those that there are.
    Add(Vec<String>),
    /// These go.
    Remove(Vec<String>),
    /// These take the place of all.
    Set(Vec<String>),
}

/// What was changed, or would be.
#[derive(Debug, Clone, Default)]
pub struct TagReport {
    /// The snapshots that changed, newest first.
    pub changed: Vec<Retagged>,
    /// How many were as they should be already.
    pub unchanged: u64,
    /// The first [`crate::warnings::KEPT`] snapshots that were left alone because they cannot be read or written anew.
    pub warnings: Vec<Warning>,
    /// How many there are.
    pub warning_count: u64,
}

/// A snapshot with other tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retagged {
    /// The snapshot that is gone.
    pub old: ObjectRef,
    /// The one that is there instead; `None` on a dry run.
    pub new: Option<ObjectRef>,
    /// Its number.
    pub seq: u64,
    /// The old tags.
    pub before: Vec<String>,
    /// The new tags.
    pub after: Vec<String>,
}

/// Why no tags were changed, or not all.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The repository lock was lost.
    #[error(transparent)]
    LockLost(#[from] LockLost),
    /// Neither names nor a filter.
    #[error("name the snapshots to tag, or say which by a filter")]
    NothingChosen,
    /// No tags to add or remove.
    #[error("say which tags to add or remove")]
    NoTags,
    /// A tag that cannot be one.
    #[error("{0:?} cannot be a tag: a tag is not empty, and has no commas or control characters")]
    BadTag(String),
    /// Cancelled.
    #[error("tag was cancelled; nothing was changed")]
    Cancelled,
    /// The repository failed while snapshots were replaced, and does not say which ones are there.
    #[error("{0}; it is not known which snapshots have their new tags: see `cloudsticctl list`, and change them again")]
    Unsure(#[source] RepositoryError),
    /// It failed after some snapshots got their new tags.
    #[error("{error}")]
    Midway {
        /// What was done. A snapshot that is also there with its old tags is a warning.
        done: Box<TagReport>,
        /// Why no more was.
        #[source]
        error: RepositoryError,
    },
}

impl TagChange {
    /// Whether it is one that can be made.
    ///
    /// # Errors
    /// [`TagError::NoTags`], [`TagError::BadTag`]. What another program gave a snapshot may be removed, whatever it is.
    pub fn check(&self) -> Result<(), TagError> {
        match self {
            Self::Add(tags) | Self::Remove(tags) if tags.is_empty() => Err(TagError::NoTags),
            Self::Remove(_) => Ok(()),
            Self::Add(tags) | Self::Set(tags) => match tags.iter().find(|tag| !is_tag(tag)) {
                Some(bad) => Err(TagError::BadTag(bad.clone())),
                None => Ok(()),
            },
        }
    }

    /// The tags of a snapshot that has had these.
    fn apply(&self, before: &[String]) -> Vec<String> {
        let (kept, new): (&[String], &[String]) = match self {
            Self::Add(tags) => (before, tags),
            Self::Remove(tags) => return before.iter().filter(|tag| !tags.contains(tag)).cloned().collect(),
            Self::Set(tags) => (&[], tags),
        };
        let mut after = kept.to_vec();
        for tag in new {
            if !after.contains(tag) {
                after.push(tag.clone());
            }
        }
        after
    }
}

fn is_tag(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c == ',' || c.is_control())
}

/// Changes the tags of snapshots. Where there is nothing to change, nothing is written.
///
/// # Errors
/// Before anything is changed, if the request makes no sense or a snapshot that was named cannot be read. If the
/// repository fails or the lock is lost in the middle, some snapshots may be there twice, with the old tags and with the
/// new ones, and the error says which: changing those that still have the old ones again removes them.
pub async fn tag(
    repository: Arc<Repository>,
    request: TagRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<TagReport, TagError> {
    progress.phase(Phase::Listing);
    request.change.check()?;
    request.lease.confirm().await?;
    let snapshots = repository.proven_snapshots().await?;
    let mut warnings = Warnings::default();
    let mut warn = |warning: Warning| {
        progress.warning(&warning);
        warnings.push(warning);
    };
    let mut chosen = snapshots.readable;
    match &request.selection {
        SnapshotSelection::Named(names) if !names.is_empty() => {
            let mut named = BTreeSet::new();
            for name in names {
                named.insert(repository.find_snapshot(name).await?.0);
            }
            chosen.retain(|snapshot| named.contains(&snapshot.reference));
        }
        SnapshotSelection::Matching(filter) if !filter.is_empty() => {
            chosen.retain(|snapshot| filter.matches(snapshot));
            snapshots.unreadable.into_iter().for_each(&mut warn);
        }
        _ => return Err(TagError::NothingChosen),
    }
    let (mut report, mut replacements) = (TagReport::default(), Vec::new());
    for entry in chosen {
        let (old, after) = (entry.reference, request.change.apply(&entry.tags));
        if after == entry.tags {
            report.unchanged += 1;
            continue;
        }
        let snapshot = repository.read_snapshot(old).await?;
        if Hash::of(&json::encode(&snapshot)) != old.hash {
            let problem = "it has something in it that this version does not know, so its tags were left as they are";
            warn(Warning { path: old.key(), problem: problem.to_owned() });
            continue;
        }
        let new = Snapshot { tags: after.clone(), ..snapshot };
        replacements.push(Replacement { old, new });
        report.changed.push(Retagged { old, new: None, seq: entry.seq, before: entry.tags, after });
    }
    if cancel.is_cancelled() {
        return Err(TagError::Cancelled);
    }
    if !request.dry_run {
        progress.phase(Phase::Finishing);
        for (changed, Replacement { new, .. }) in report.changed.iter_mut().zip(&replacements) {
            changed.new = Some(ObjectRef::new(ObjectKind::Snapshot, Hash::of(&json::encode(new))));
        }
        match repository.replace_snapshots(replacements, &request.lease).await {
            Ok((_, retained)) => retained.into_iter().map(Warning::from).for_each(&mut warn),
            Err(error) => return Err(stopped(&repository, report, warnings, error, &*progress).await),
        }
    }
    (report.warnings, report.warning_count) = warnings.into_parts();
    Ok(report)
}

/// What it ends with when replacing fails.
async fn stopped(
    repository: &Arc<Repository>,
    mut done: TagReport,
    mut warnings: Warnings,
    error: RepositoryError,
    progress: &dyn Progress,
) -> TagError {
    if midway::is_before_all(&error) {
        return error.into();
    }
    let Some(left) = midway::left(repository).await else { return TagError::Unsure(error) };
    done.changed.retain(|changed| changed.new.is_some_and(|new| left.contains(&new)));
    for twice in done.changed.iter().filter(|changed| left.contains(&changed.old)) {
        let problem = "it is there twice, with its old tags and with the new ones: change its tags again to remove it";
        let warning = Warning { path: twice.old.key(), problem: problem.to_owned() };
        progress.warning(&warning);
        warnings.push(warning);
    }
    if done.changed.is_empty() {
        return error.into();
    }
    (done.warnings, done.warning_count) = warnings.into_parts();
    TagError::Midway { done: done.into(), error }
}

impl Midway for TagError {
    type Report = TagReport;

    fn into_done(self) -> (Self, Option<TagReport>) {
        match self {
            Self::Midway { done, error } => (error.into(), Some(*done)),
            error => (error, None),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn tags(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn tags_keep_their_order_and_come_once() {
        let before = tags("b a");
        assert_eq!(TagChange::Add(tags("c a c")).apply(&before), tags("b a c"));
        assert_eq!(TagChange::Remove(tags("b x")).apply(&before), tags("a"));
        assert_eq!(TagChange::Set(tags("z a z")).apply(&before), tags("z a"));
        assert_eq!(TagChange::Set(Vec::new()).apply(&before), tags(""));
    }

    #[test]
    fn what_cannot_be_a_tag_is_refused_but_can_be_removed() {
        for bad in ["", "a,b", "a\nb", "\u{7f}"] {
            let bad = vec!["good".to_owned(), bad.to_owned()];
            assert!(TagChange::Add(bad.clone()).check().is_err());
            assert!(TagChange::Set(bad.clone()).check().is_err());
            TagChange::Remove(bad).check().unwrap();
        }
        TagChange::Add(vec!["\u{1f600} of <a> day".to_owned()]).check().unwrap();
        assert!(TagChange::Add(Vec::new()).check().is_err());
    }
}
