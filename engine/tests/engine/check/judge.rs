//! Whether a check has named what was done, and a repair has lost no more than it had to.

use std::collections::{BTreeMap, BTreeSet};

use cloudstic_engine::check::CheckReport;
use cloudstic_engine::object::{ObjectRef, file_id_bytes};
use cloudstic_engine::repair::RepairReport;

use super::cells::{Cell, Harm};
use super::known::Known;
use crate::memory::Objects;

/// What needs what was hit, after a look at whether the check has named it and whom it hurts.
pub(super) fn judge_check(
    known: &Known,
    cell: &Cell,
    found: &CheckReport,
) -> Result<BTreeMap<ObjectRef, BTreeSet<String>>, String> {
    let keys: Vec<&str> = [Some(cell.key.as_str()), cell.other.as_deref()].into_iter().flatten().collect();
    let mut needed: BTreeMap<ObjectRef, BTreeSet<String>> = BTreeMap::new();
    for key in cell.hits(known) {
        for (snapshot, paths) in known.needing(&key) {
            needed.entry(snapshot).or_default().extend(paths);
        }
    }
    let packs: Vec<&str> = keys.iter().filter_map(|key| known.places.get(*key)).map(|place| place.0.as_str()).collect();
    let is_hit = |text: &str| {
        let members =
            known.places.iter().filter(|(_, place)| keys.contains(&place.0.as_str())).map(|(key, _)| key.as_str());
        keys.iter().copied().chain(packs.iter().copied()).chain(members).any(|key| text.contains(key))
    };
    // A flipped digit of an index shows where it is not what it says.
    let is_index = cell.key.starts_with("index/");
    let named = found.faults.iter().any(|fault| is_index || is_hit(&format!("{} {}", fault.object, fault.problem)))
        || found.remarks.iter().any(|remark| is_hit(&remark.object));
    if !named && !is_harmless(known, cell) {
        return Err(format!("it is not named: {:?} {:?}", found.faults, found.remarks));
    }
    for harm in found.faults.iter().flat_map(|fault| &fault.harm) {
        let Some(paths) = needed.get(&harm.snapshot).filter(|_| !is_index) else {
            if is_index {
                continue;
            }
            return Err(format!("{} is not hurt by it", harm.snapshot));
        };
        if let Some(path) = harm.paths.iter().find(|path| !paths.iter().any(|needed| shown(needed) == **path)) {
            return Err(format!("{path} of {} is not hurt by it", harm.snapshot));
        }
        if harm.path_count > paths.len() as u64 {
            return Err(format!("{} paths of {} are not hurt by it", harm.path_count, harm.snapshot));
        }
    }
    let is_lost = found.damaged_snapshots > 0;
    for (snapshot, paths) in needed.iter().filter(|_| is_lost) {
        let of_snapshot = found.faults.iter().flat_map(|fault| &fault.harm).filter(|harm| harm.snapshot == *snapshot);
        let (mut count, mut unknown) = (0, false);
        for harm in of_snapshot {
            count += harm.path_count;
            unknown |= harm.unknown;
        }
        // What lies in the place of a pack of ours knows by its footer what is in it.
        let is_found = known.name.starts_with("own") && cell.key.starts_with("packs/") && cell.harm == Harm::Swap;
        if count < paths.len() as u64 && !unknown && !is_found {
            return Err(format!("{count} of {} paths of {snapshot} are named: {:?}", paths.len(), found.faults));
        }
    }
    Ok(needed)
}

fn shown(path: &str) -> String {
    cloudstic_engine::show_path(&file_id_bytes(path))
}

/// Whether what was hit has no meaning: the label of a slot, the time of the marker, a bit of a frame.
fn is_harmless(known: &Known, cell: &Cell) -> bool {
    let is_of_people = cell.key == "config" || cell.key.starts_with("keys/");
    let is_flip = matches!(cell.harm, Harm::Flip(_));
    // Where nothing is encrypted, frames have bits without a meaning; what they hold is proven all the same.
    let is_frame = known.credentials.is_empty() && is_flip;
    // Footers know where an object lies that the catalog does not name, and what they know is as good.
    let is_known_elsewhere = known.name.starts_with("own") && known.places.contains_key(&cell.key);
    (is_of_people && (is_flip || cell.harm == Harm::Delete)) || is_frame || is_known_elsewhere
}

/// Whether every file is there that does not need what was hit, and those that are not are told.
pub(super) async fn judge_files(
    known: &Known,
    cell: &Cell,
    repaired: &RepairReport,
    objects: Objects,
    needed: &BTreeMap<ObjectRef, BTreeSet<String>>,
) -> Result<(), String> {
    let now = Known::of("repaired", objects, known.credentials.clone()).await;
    for (old, files) in &known.files {
        let told = repaired.snapshots.iter().find(|snapshot| snapshot.old == *old);
        let new = told.map_or(Some(*old), |told| told.new);
        let Some(new) = new else {
            let is_whole = cell.key == old.key() || cell.other.as_deref() == Some(&old.key());
            let is_root = needed.get(old).is_some_and(|paths| paths.len() == files.len());
            if is_whole || is_root {
                continue;
            }
            return Err(format!("{old} is lost: {told:?}"));
        };
        let Some(found) = now.files.get(&new) else { return Err(format!("{new} in the place of {old} is not there")) };
        let lost = needed.get(old).cloned().unwrap_or_default();
        for (path, hash) in files {
            match found.get(path) {
                Some(other) if other == hash => {}
                Some(_) => return Err(format!("{path} of {old} is another file now")),
                None if !lost.contains(path) => return Err(format!("{path} of {old} is lost without need: {told:?}")),
                None => {
                    let told =
                        told.is_some_and(|told| told.unknown || told.lost.iter().any(|lost| lost.path == shown(path)));
                    if !told {
                        return Err(format!("{path} of {old} is lost, and that is not told: {repaired:?}"));
                    }
                }
            }
        }
        if let Some(path) = found.keys().find(|path| !files.contains_key(*path)) {
            return Err(format!("{path} was not in {old}"));
        }
    }
    Ok(())
}
