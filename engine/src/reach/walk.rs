//! Follows snapshots: nodes level by level, then filemetas, then contents; of each what is newly marked, in the order in
//! which it lies in the packs, with some threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use super::links::links;
use super::marks::{Marks, Place};
use crate::object::{ObjectKind, ObjectRef, SnapshotEntry};
use crate::progress::Progress;
use crate::repository::ReadError;
use crate::store::StoreError;
use crate::tree::ReadObjects;
use crate::workers;

/// Why it was not followed to the end.
#[derive(Debug)]
pub(super) enum Stop {
    Cancelled,
    Store(StoreError),
    Fault(Box<Fault>),
}

/// An object that cannot be read or is nowhere.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) object: ObjectRef,
    pub(super) problem: ReadError,
    /// Who needs it, if it is nowhere.
    pub(super) parent: Option<ObjectRef>,
}

const BATCH: usize = 256;

/// Marks all that the snapshots need.
pub(super) fn walk(
    objects: &dyn ReadObjects,
    marks: &Marks,
    snapshots: &[SnapshotEntry],
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<(), Stop> {
    let mut level = Vec::new();
    for SnapshotEntry { reference, root, .. } in snapshots {
        // A snapshot that lies by itself is in no list.
        if let Some(place) = marks.find(reference) {
            marks.mark(reference.kind, place);
        }
        if let Some(root) = root {
            level.extend(mark(marks, reference, *root, ObjectKind::Node)?);
        }
    }
    let mut walk = Walk { objects, marks, progress, cancel, expected: 0 };
    while !level.is_empty() {
        level = walk.follow(ObjectKind::Node, level)?;
    }
    for kind in [ObjectKind::Filemeta, ObjectKind::Content] {
        walk.follow(kind, marks.marked(kind))?;
    }
    Ok(())
}

/// Marks an object that `parent` needs. Gives it if it is to be followed now, as one of the kind `now` that is new.
fn mark(marks: &Marks, parent: &ObjectRef, object: ObjectRef, now: ObjectKind) -> Result<Option<Place>, Stop> {
    let Some(place) = marks.find(&object) else {
        let problem = ReadError::Missing(object);
        return Err(Stop::Fault(Box::new(Fault { object, problem, parent: Some(*parent) })));
    };
    let is_new = marks.mark(object.kind, place);
    Ok((is_new && object.kind == now).then_some(place))
}

struct Walk<'a> {
    objects: &'a dyn ReadObjects,
    marks: &'a Marks,
    progress: &'a dyn Progress,
    cancel: &'a CancellationToken,
    expected: u64,
}

impl Walk<'_> {
    /// Reads some objects of a kind and marks what they lead to. Gives those of the same kind that are new.
    fn follow(&mut self, kind: ObjectKind, places: Vec<Place>) -> Result<Vec<Place>, Stop> {
        self.expected += places.len() as u64;
        self.progress.expect(self.expected, 0);
        let visit = |read: Read<'_>, found: &mut Vec<Place>| {
            let Read { object, bytes } = read;
            let bytes = bytes.map_err(|problem| fault(object, problem))?;
            self.progress.advance(1, bytes.len() as u64);
            let mut missing = Ok(());
            let understood = links(object, &bytes, &mut |link| match mark(self.marks, object, link, kind) {
                Ok(new) => found.extend(new),
                Err(stop) => missing = Err(stop),
            });
            missing?;
            understood.map_err(|problem| fault(object, ReadError::Damaged { object: *object, problem }))
        };
        read_all(self.objects, self.marks, self.cancel, kind, places, visit)
    }
}

fn fault(object: &ObjectRef, problem: ReadError) -> Stop {
    match problem {
        ReadError::Store(error) => Stop::Store(error),
        problem => Stop::Fault(Box::new(Fault { object: *object, problem, parent: None })),
    }
}

/// What came of reading an object.
pub(super) struct Read<'a> {
    pub(super) object: &'a ObjectRef,
    pub(super) bytes: Result<bytes::Bytes, ReadError>,
}

/// Reads some objects of a kind with several threads, and gives all that `visit` found. Its first error ends it.
pub(super) fn read_all<T: Send>(
    objects: &dyn ReadObjects,
    marks: &Marks,
    cancel: &CancellationToken,
    kind: ObjectKind,
    mut places: Vec<Place>,
    visit: impl Fn(Read<'_>, &mut Vec<T>) -> Result<(), Stop> + Sync,
) -> Result<Vec<T>, Stop> {
    marks.sort(kind, &mut places);
    let batches: Vec<&[Place]> = places.chunks(BATCH).collect();
    let (next, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let work = || {
        let mut found = Vec::new();
        while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
            for &place in *batch {
                if cancel.is_cancelled() {
                    return Err(Stop::Cancelled);
                }
                if ended.load(Ordering::Relaxed) {
                    return Ok(found);
                }
                let Some(object) = marks.object(kind, place) else { continue };
                let read = Read { object: &object, bytes: objects.read(&object) };
                visit(read, &mut found).inspect_err(|_| ended.store(true, Ordering::Relaxed))?;
            }
        }
        Ok(found)
    };
    let threads = workers::count(4).min(batches.len());
    let done: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| workers::spawn(scope, work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut all = Vec::new();
    for found in done {
        all.extend(found?);
    }
    Ok(all)
}
