//! Reads the filemetas of what differs, and keeps of them what a change shows.

use tokio_util::sync::CancellationToken;

use super::fields::{Field, Fields};
use super::walk::{Differing, Filemetas};
use crate::object::{FileMeta, Hash, ObjectRef};
use crate::source::Warning;
use crate::tree::{Cancelled, ReadObjects, show_file_id};
use crate::view::{Entries, EntryInfo, SnapshotView, by_path, path_of, read_many};
use crate::warnings::Warnings;

/// Entries whose filemetas are in memory at once.
const BATCH: usize = 512;

/// The entries that differ, with their paths as far as these follow from their fileIds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) entries: Entries,
    pub(super) pairs: Vec<Pair>,
    /// The entries of the two snapshots that have no path yet, by their filemetas.
    pub(super) unplaced: [Vec<(Hash, u32)>; 2],
}

/// An entry that differs, as it was and as it is.
pub(super) struct Pair {
    /// Not both `None`.
    pub(super) entries: [Option<u32>; 2],
    /// In what these differ, if they are both there.
    pub(super) fields: Fields,
}

pub(super) fn read(
    objects: &dyn ReadObjects,
    views: &[SnapshotView; 2],
    differing: &Differing,
    warnings: &mut Warnings,
    cancel: &CancellationToken,
) -> Result<Found, Cancelled> {
    let ids_are_paths = [0, 1].map(|side: usize| by_path(&views[side].snapshot().source));
    let mut found = Found::default();
    let mut at = 0;
    while at < differing.len() {
        let batch: Vec<(&[u8], Filemetas)> = (at..at + BATCH).map_while(|at| differing.get(at)).collect();
        at += BATCH;
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
                        warnings
                            .push(Warning { path: show_file_id(key), problem: format!("{why}; it is not compared") });
                    }
                }
            }
            if is_whole {
                found.add(&metas, ids_are_paths);
            }
        }
    }
    Ok(found)
}

impl Found {
    fn add(&mut self, metas: &[Option<(ObjectRef, FileMeta)>; 2], ids_are_paths: [bool; 2]) {
        let fields = match metas {
            [Some((_, before)), Some((_, after))] => Field::differing(before, after),
            _ => Fields::default(),
        };
        let paths =
            [0, 1].map(|side| metas[side].as_ref().filter(|_| ids_are_paths[side]).and_then(|(_, meta)| path_of(meta)));
        let mut entries = [None; 2];
        for side in [0, 1] {
            let Some((reference, meta)) = &metas[side] else { continue };
            let info = EntryInfo::new(*reference, meta);
            let number = match (&paths[side], entries[0]) {
                (None, _) => {
                    let number = self.entries.push(b"", &info);
                    self.unplaced[side].push((reference.hash, number));
                    number
                }
                (Some(_), Some(before)) if paths[0] == paths[1] => self.entries.push_at_path_of(before, &info),
                (Some(path), _) => self.entries.push(path, &info),
            };
            entries[side] = Some(number);
        }
        self.pairs.push(Pair { entries, fields });
    }
}
