//! Finds what moved: a file that is gone and one that is new with the same bytes, where there is no doubt which belong
//! together; and folders that moved with all that is in them.

use std::collections::{BTreeSet, HashMap, HashSet};

use tokio_util::sync::CancellationToken;

use super::change::{Change, ChangeKind, Count};
use super::fields::Field;
use crate::object::{FileMeta, Hash, ObjectRef};
use crate::tree::{Cancelled, ReadObjects};
use crate::view::{is_within, path_order, read_many};

/// Makes one change of two where an entry moved.
pub(super) fn pair_up(
    objects: &dyn ReadObjects,
    changes: Vec<Change>,
    cancel: &CancellationToken,
) -> Result<Vec<Change>, Cancelled> {
    let (mut removed, mut added, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        match change.kind {
            ChangeKind::Removed => removed.push(change),
            ChangeKind::Added => added.push(change),
            _ => others.push(change),
        }
    }
    removed.sort_by(|a, b| path_order(&a.path, &b.path));
    added.sort_by(|a, b| path_order(&a.path, &b.path));
    let files = same_files(&removed, &added);
    let mut moves = Moves { fields: HashMap::new(), removed: &removed, added: &added };
    moves.compare(objects, &files, cancel)?;
    let mut gone = HashSet::new();
    let mut come = HashSet::new();
    for (from, to) in moves.folder_candidates(&files) {
        if gone.contains(&from) || come.contains(&to) {
            continue;
        }
        if let Some(below) = moves.folder(objects, from, to, &files, cancel)? {
            others.push(moved(&removed[from], &added[to], Vec::new(), below));
            gone.extend(within(&removed, from));
            come.extend(within(&added, to));
        }
    }
    for (&from, &to) in &files {
        if !gone.contains(&from) && !come.contains(&to) {
            // A pair whose filemetas cannot be read any more stays what it is known to be.
            let Some(fields) = moves.fields.remove(&(from, to)) else { continue };
            others.push(moved(&removed[from], &added[to], fields, Count::default()));
            gone.insert(from);
            come.insert(to);
        }
    }
    let left = |changes: Vec<Change>, taken: HashSet<usize>| {
        changes.into_iter().enumerate().filter_map(move |(at, change)| (!taken.contains(&at)).then_some(change))
    };
    others.extend(left(removed, gone));
    others.extend(left(added, come));
    Ok(others)
}

fn moved(from: &Change, to: &Change, fields: Vec<Field>, below: Count) -> Change {
    Change {
        kind: ChangeKind::Moved,
        path: to.path.clone(),
        from: Some(from.path.clone()),
        fields: std::iter::once(Field::Path).chain(fields).collect::<BTreeSet<_>>().into_iter().collect(),
        before: from.before.clone(),
        after: to.after.clone(),
        below,
    }
}

/// Which removed file is which added one: those that alone have their bytes, then those that alone have their bytes and
/// their name.
fn same_files(removed: &[Change], added: &[Change]) -> HashMap<usize, usize> {
    let mut groups: HashMap<(Hash, u64), [Vec<usize>; 2]> = HashMap::new();
    for (side, changes) in [removed, added].into_iter().enumerate() {
        for (at, change) in changes.iter().enumerate() {
            let entry = if side == 0 { &change.before } else { &change.after };
            let Some(entry) = entry.as_ref().filter(|entry| entry.is_file() && entry.size > 0) else { continue };
            let Some(hash) = entry.content_hash else { continue };
            groups.entry((hash, entry.size)).or_default()[side].push(at);
        }
    }
    let mut pairs = HashMap::new();
    for [from, to] in groups.into_values() {
        if let ([from], [to]) = (&from[..], &to[..]) {
            pairs.insert(*from, *to);
            continue;
        }
        let mut names: HashMap<&[u8], [Vec<usize>; 2]> = HashMap::new();
        from.iter().for_each(|&at| names.entry(name(&removed[at].path)).or_default()[0].push(at));
        to.iter().for_each(|&at| names.entry(name(&added[at].path)).or_default()[1].push(at));
        let single = names.into_values().filter_map(|[from, to]| match (&from[..], &to[..]) {
            ([from], [to]) => Some((*from, *to)),
            _ => None,
        });
        pairs.extend(single);
    }
    pairs
}

struct Moves<'a> {
    /// In what a removed entry and an added one differ but for their place, of those that were compared.
    fields: HashMap<(usize, usize), Vec<Field>>,
    removed: &'a [Change],
    added: &'a [Change],
}

impl Moves<'_> {
    /// Compares the filemetas of pairs.
    fn compare<'p>(
        &mut self,
        objects: &dyn ReadObjects,
        pairs: impl IntoIterator<Item = (&'p usize, &'p usize)>,
        cancel: &CancellationToken,
    ) -> Result<(), Cancelled> {
        let reference = |change: &Change| Some(change.before.as_ref().or(change.after.as_ref())?.reference);
        let pairs: Vec<(usize, usize)> = pairs.into_iter().map(|(from, to)| (*from, *to)).collect();
        for pairs in pairs.chunks(256) {
            let references = |&(from, to): &(usize, usize)| {
                Some(((from, to), [reference(&self.removed[from])?, reference(&self.added[to])?]))
            };
            let wanted: Vec<((usize, usize), [ObjectRef; 2])> = pairs.iter().filter_map(references).collect();
            let flat: Vec<ObjectRef> = wanted.iter().flat_map(|(_, references)| *references).collect();
            let mut read = read_many::<FileMeta>(objects, &flat, cancel)?.into_iter();
            for (pair, _) in wanted {
                if let (Some(Ok(before)), Some(Ok(after))) = (read.next(), read.next()) {
                    let mut fields = Field::differing(&before, &after);
                    // The first name of a file moves with it.
                    fields.retain(|field| !matches!(field, Field::Path | Field::Hardlink));
                    self.fields.insert(pair, fields);
                }
            }
        }
        Ok(())
    }

    /// Folders that files moved from and to under the same name, the highest first: if one of them moved, what is below
    /// it is not looked at.
    fn folder_candidates(&self, files: &HashMap<usize, usize>) -> Vec<(usize, usize)> {
        let folders = |changes: &[Change]| -> HashMap<Vec<u8>, usize> {
            let is_folder =
                |change: &Change| change.before.as_ref().or(change.after.as_ref()).is_some_and(|entry| entry.is_folder);
            let folders = changes.iter().enumerate().filter(|(_, change)| is_folder(change));
            folders.map(|(at, change)| (change.path.clone(), at)).collect()
        };
        let (gone, come) = (folders(self.removed), folders(self.added));
        let mut candidates = BTreeSet::new();
        for (&from, &to) in files {
            let (mut from, mut to) = (&self.removed[from].path[..], &self.added[to].path[..]);
            while name(from) == name(to) {
                (from, to) = (above(from), above(to));
                let (Some(&gone), Some(&come)) = (gone.get(from), come.get(to)) else { break };
                if !candidates.insert((depth(from), gone, come)) {
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
        files: &HashMap<usize, usize>,
        cancel: &CancellationToken,
    ) -> Result<Option<Count>, Cancelled> {
        let (gone, come) = (within(self.removed, from), within(self.added, to));
        if gone.len() != come.len() {
            return Ok(None);
        }
        let (above_gone, above_come) = (self.removed[from].path.len(), self.added[to].path.len());
        let pairs: Vec<(usize, usize)> = gone.zip(come).collect();
        let same = |&(from, to): &(usize, usize)| {
            let (before, after) = (&self.removed[from], &self.added[to]);
            before.path[above_gone..] == after.path[above_come..]
                && match (&before.before, &after.after) {
                    (Some(before), Some(after)) if before.is_file() && before.size > 0 => {
                        after.is_file() && files.get(&from) == Some(&to)
                    }
                    (Some(before), Some(after)) => before.type_word() == after.type_word(),
                    _ => false,
                }
        };
        if !pairs.iter().all(same) {
            return Ok(None);
        }
        let unknown: Vec<_> = pairs.iter().filter(|pair| !self.fields.contains_key(pair)).collect();
        self.compare(objects, unknown.iter().map(|(from, to)| (from, to)), cancel)?;
        if !pairs.iter().all(|pair| self.fields.get(pair).is_some_and(Vec::is_empty)) {
            return Ok(None);
        }
        let mut below = Count::default();
        pairs[1..].iter().filter_map(|&(_, to)| self.added[to].after.as_ref()).for_each(|entry| below.add(entry));
        Ok(Some(below))
    }
}

/// The numbers of a folder and of what is below it, among changes in path order.
fn within(changes: &[Change], folder: usize) -> std::ops::Range<usize> {
    let below = changes[folder..].iter().take_while(|change| is_within(&change.path, &changes[folder].path));
    folder..folder + below.count()
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
