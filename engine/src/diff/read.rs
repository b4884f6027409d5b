//! Reads the filemetas of what differs, and keeps of them what a change shows.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::fields::Field;
use super::walk::Filemetas;
use crate::object::{FileMeta, ObjectRef};
use crate::source::Warning;
use crate::tree::{Cancelled, ReadObjects, show_path};
use crate::view::{EntryInfo, SnapshotView, by_path, path_of, read_many};
use crate::warnings::Warnings;

/// Entries whose filemetas are in memory at once.
const BATCH: usize = 512;

/// An entry that differs.
pub(super) struct Found {
    /// As it was and as it is; not both `None`.
    pub(super) entries: [Option<Located>; 2],
    /// In what these differ, if they are both there.
    pub(super) fields: Vec<Field>,
}

/// An entry with its path, if that follows from its fileId.
pub(super) struct Located {
    pub(super) info: EntryInfo,
    pub(super) path: Option<Vec<u8>>,
}

pub(super) fn read(
    objects: &dyn ReadObjects,
    views: &[SnapshotView; 2],
    differing: BTreeMap<String, Filemetas>,
    warnings: &mut Warnings,
    cancel: &CancellationToken,
) -> Result<Vec<Found>, Cancelled> {
    let ids_are_paths = [0, 1].map(|side: usize| by_path(&views[side].snapshot().source));
    let mut found = Vec::with_capacity(differing.len());
    let mut differing = differing.into_iter();
    loop {
        let batch: Vec<(String, Filemetas)> = differing.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(found);
        }
        let wanted: Vec<ObjectRef> = batch.iter().flat_map(|(_, filemetas)| filemetas).flatten().copied().collect();
        let mut read = read_many::<FileMeta>(objects, &wanted, cancel)?.into_iter();
        for (key, filemetas) in batch {
            let mut metas = [None, None];
            let mut is_whole = true;
            for (side, reference) in filemetas.into_iter().enumerate() {
                let Some((reference, read)) = reference.and_then(|reference| Some((reference, read.next()?))) else {
                    continue;
                };
                match read {
                    Ok(meta) => metas[side] = Some((reference, meta)),
                    Err(why) => {
                        is_whole = false;
                        let path = show_path(key.as_bytes());
                        warnings.push(Warning { path, problem: format!("{why}; it is not compared") });
                    }
                }
            }
            if is_whole {
                found.push(Found::new(metas, ids_are_paths));
            }
        }
    }
}

impl Found {
    fn new(metas: [Option<(ObjectRef, FileMeta)>; 2], ids_are_paths: [bool; 2]) -> Self {
        let fields = match &metas {
            [Some((_, before)), Some((_, after))] => Field::differing(before, after),
            _ => Vec::new(),
        };
        let located = |side: usize| {
            let (reference, meta) = metas[side].as_ref()?;
            let path = if ids_are_paths[side] { path_of(meta) } else { None };
            Some(Located { info: EntryInfo::new(*reference, meta), path })
        };
        Self { entries: [located(0), located(1)], fields }
    }
}
