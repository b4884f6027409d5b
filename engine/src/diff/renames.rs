//! Finds what moved: a file that is gone and one that is new with the same bytes, where there is no doubt which belong
//! together; and folders that moved with all that is in them.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use tokio_util::sync::CancellationToken;

use super::change::{ChangeKind, Count};
use super::changes::{Changes, Record};
use super::fields::{Field, Fields};
use crate::object::{FileMeta, Hash, ObjectRef};
use crate::tree::{Cancelled, ReadObjects};
use crate::view::{EntryInfo, is_within, path_order, read_many};

/// Pairs whose filemetas are in memory at once.
const BATCH: usize = 256;

/// A place in the list of what is gone, and one in the list of what is new.
type Pair = (usize, usize);

/// Makes one change of two where an entry moved.
pub(super) fn pair_up(
    objects: &dyn ReadObjects,
    changes: &mut Changes,
    cancel: &CancellationToken,
) -> Result<(), Cancelled> {
    let (gone, new) = (Singles::of(changes, ChangeKind::Removed), Singles::of(changes, ChangeKind::Added));
    if gone.places.is_empty() || new.places.is_empty() {
        return Ok(());
    }
    let files = same_files(&gone, &new);
    let mut moves = Moves { fields: HashMap::new(), gone: &gone, new: &new };
    let pairs: Vec<Pair> = files.iter().enumerate().filter_map(|(from, to)| Some((from, (*to)?))).collect();
    moves.compare(objects, &pairs, cancel)?;
    let mut taken = [vec![false; gone.places.len()], vec![false; new.places.len()]];
    let mut moved: Vec<(Pair, Fields, Count)> = Vec::new();
    for (from, to) in moves.folder_candidates(&pairs) {
        if taken[0][from] || taken[1][to] {
            continue;
        }
        if let Some(below) = moves.folder(objects, from, to, &files, cancel)? {
            taken[0][gone.within(from)].fill(true);
            taken[1][new.within(to)].fill(true);
            moved.push(((from, to), Fields::default(), below));
        }
    }
    for (from, to) in pairs {
        if !taken[0][from] && !taken[1][to] {
            // A pair whose filemetas cannot be read any more stays what it is known to be.
            let Some(fields) = moves.fields.remove(&(from, to)) else { continue };
            (taken[0][from], taken[1][to]) = (true, true);
            moved.push(((from, to), fields, Count::default()));
        }
    }
    // What moved stands where the new entry does.
    moved.iter().for_each(|((_, to), ..)| taken[1][*to] = false);
    let mut keep = vec![true; changes.len()];
    for (singles, taken) in [&gone, &new].into_iter().zip(&taken) {
        singles.places.iter().zip(taken).for_each(|(&place, taken)| keep[place as usize] = !taken);
    }
    let (gone, new) = (gone.places, new.places);
    for ((from, to), fields, below) in moved {
        changes.join(gone[from] as usize, new[to] as usize, fields, below);
    }
    changes.keep(&keep);
    Ok(())
}

/// What is gone, or what is new, in path order.
struct Singles<'a> {
    changes: &'a Changes,
    /// Where these changes stand among all.
    places: Vec<u32>,
}

impl<'a> Singles<'a> {
    fn of(changes: &'a Changes, kind: ChangeKind) -> Self {
        let all = changes.records();
        let is_of_kind = |place: &u32| all.get(*place as usize).is_some_and(|record| record.kind == kind);
        let mut places: Vec<u32> = (0..all.len() as u32).filter(is_of_kind).collect();
        let path = |place: u32| all.get(place as usize).map(|record| changes.path(record));
        places.sort_unstable_by(|a, b| path_order(path(*a).unwrap_or_default(), path(*b).unwrap_or_default()));
        Self { changes, places }
    }

    fn record(&self, at: usize) -> Option<&'a Record> {
        self.changes.records().get(*self.places.get(at)? as usize)
    }

    fn path(&self, at: usize) -> &'a [u8] {
        self.record(at).map_or(&[], |record| self.changes.path(record))
    }

    fn entry(&self, at: usize) -> Option<EntryInfo> {
        self.changes.entries().info(Changes::single(self.record(at)?)?)
    }

    /// Where a path is.
    fn find(&self, path: &[u8]) -> Option<usize> {
        let mut places = 0..self.places.len();
        while !places.is_empty() {
            let middle = places.start + places.len() / 2;
            match path_order(self.path(middle), path) {
                std::cmp::Ordering::Less => places.start = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => places.end = middle,
            }
        }
        None
    }

    /// A folder and what is below it.
    fn within(&self, folder: usize) -> Range<usize> {
        let path = self.path(folder);
        let below = (folder..self.places.len()).take_while(|&at| is_within(self.path(at), path));
        folder..folder + below.count()
    }

    /// Ordinary files that have bytes, by these: their hash, their size, and where they are.
    fn files(&self) -> Vec<(Hash, u64, u32)> {
        let file = |at: u32| {
            let entry = self.entry(at as usize).filter(|entry| entry.is_file() && entry.size > 0)?;
            Some((entry.content_hash?, entry.size, at))
        };
        let mut files: Vec<_> = (0..self.places.len() as u32).filter_map(file).collect();
        files.sort_unstable();
        files
    }
}

/// Which file that is gone is which new one: those that alone have their bytes, then those that alone have their bytes and
/// their name.
fn same_files(gone: &Singles<'_>, new: &Singles<'_>) -> Vec<Option<usize>> {
    let (from, to) = (gone.files(), new.files());
    let mut pairs = vec![None; gone.places.len()];
    let mut to = &to[..];
    for from in from.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let Some((hash, size, _)) = from.first() else { continue };
        let bytes = (*hash, *size);
        to = &to[to.partition_point(|(hash, size, _)| (*hash, *size) < bytes)..];
        let same = &to[..to.partition_point(|(hash, size, _)| (*hash, *size) <= bytes)];
        if let ([(_, _, from)], [(_, _, to)]) = (from, same) {
            pairs[*from as usize] = Some(*to as usize);
            continue;
        }
        let mut names: HashMap<&[u8], [Vec<u32>; 2]> = HashMap::new();
        from.iter().for_each(|(_, _, at)| names.entry(name(gone.path(*at as usize))).or_default()[0].push(*at));
        same.iter().for_each(|(_, _, at)| names.entry(name(new.path(*at as usize))).or_default()[1].push(*at));
        for [from, to] in names.into_values() {
            if let ([from], [to]) = (&from[..], &to[..]) {
                pairs[*from as usize] = Some(*to as usize);
            }
        }
    }
    pairs
}

struct Moves<'a> {
    /// In what an entry that is gone and a new one differ but for their place, of those that were compared.
    fields: HashMap<Pair, Fields>,
    gone: &'a Singles<'a>,
    new: &'a Singles<'a>,
}

impl Moves<'_> {
    /// Compares the filemetas of pairs.
    fn compare(
        &mut self,
        objects: &dyn ReadObjects,
        pairs: &[Pair],
        cancel: &CancellationToken,
    ) -> Result<(), Cancelled> {
        for pairs in pairs.chunks(BATCH) {
            let references = |&(from, to): &Pair| {
                Some(((from, to), [self.gone.entry(from)?.reference, self.new.entry(to)?.reference]))
            };
            let wanted: Vec<(Pair, [ObjectRef; 2])> = pairs.iter().filter_map(references).collect();
            let flat: Vec<ObjectRef> = wanted.iter().flat_map(|(_, references)| *references).collect();
            let mut read = read_many::<FileMeta>(objects, &flat, cancel)?.into_iter();
            for (pair, _) in wanted {
                if let (Some(Ok(before)), Some(Ok(after))) = (read.next(), read.next()) {
                    // The first name of a file moves with it.
                    let fields = Field::differing(&before, &after).without(Field::Path).without(Field::Hardlink);
                    self.fields.insert(pair, fields);
                }
            }
        }
        Ok(())
    }

    /// Folders that files moved from and to under the same name, the highest first: if one of them moved, what is below
    /// it is not looked at.
    fn folder_candidates(&self, files: &[Pair]) -> Vec<Pair> {
        let folder = |singles: &Singles<'_>, path: &[u8]| {
            singles.find(path).filter(|&at| singles.entry(at).is_some_and(|entry| entry.is_folder))
        };
        let mut candidates = BTreeSet::new();
        for &(from, to) in files {
            let (mut from, mut to) = (self.gone.path(from), self.new.path(to));
            while name(from) == name(to) {
                (from, to) = (above(from), above(to));
                let (Some(gone), Some(new)) = (folder(self.gone, from), folder(self.new, to)) else { break };
                if !candidates.insert((depth(from), gone, new)) {
                    break;
                }
            }
        }
        candidates.into_iter().map(|(_, from, to)| (from, to)).collect()
    }

    /// What is below a folder, if all of it is the same as what is below another.
    fn folder(
        &mut self,
        objects: &dyn ReadObjects,
        from: usize,
        to: usize,
        files: &[Option<usize>],
        cancel: &CancellationToken,
    ) -> Result<Option<Count>, Cancelled> {
        let (gone, new) = (self.gone.within(from), self.new.within(to));
        if gone.len() != new.len() {
            return Ok(None);
        }
        let (above_gone, above_new) = (self.gone.path(from).len(), self.new.path(to).len());
        let pairs: Vec<Pair> = gone.zip(new).collect();
        let same = |&(from, to): &Pair| {
            self.gone.path(from)[above_gone..] == self.new.path(to)[above_new..]
                && match (self.gone.entry(from), self.new.entry(to)) {
                    (Some(before), Some(after)) if before.is_file() && before.size > 0 => {
                        after.is_file() && files.get(from) == Some(&Some(to))
                    }
                    (Some(before), Some(after)) => before.type_word() == after.type_word(),
                    _ => false,
                }
        };
        if !pairs.iter().all(same) {
            return Ok(None);
        }
        let unknown: Vec<Pair> = pairs.iter().filter(|pair| !self.fields.contains_key(pair)).copied().collect();
        self.compare(objects, &unknown, cancel)?;
        if !pairs.iter().all(|pair| self.fields.get(pair).is_some_and(|fields| fields.is_empty())) {
            return Ok(None);
        }
        let mut below = Count::default();
        pairs.iter().skip(1).filter_map(|&(_, to)| self.new.entry(to)).for_each(|entry| below.add(&entry));
        Ok(Some(below))
    }
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

fn above(path: &[u8]) -> &[u8] {
    path.iter().rposition(|&byte| byte == b'/').map_or(&[], |at| &path[..at])
}

fn depth(path: &[u8]) -> usize {
    path.iter().filter(|&&byte| byte == b'/').count()
}
