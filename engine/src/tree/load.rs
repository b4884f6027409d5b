//! Reads every filemeta of a tree, a few at once, in the order in which they lie in the packs.
//!
//! A fileId is kept only as a 64-bit keyed hash: a million paths would cost more than all else. Two fileIds with one
//! hash would show as one fileId used twice, which is a problem that is told, never a wrong path.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_util::sync::CancellationToken;

use super::Cancelled;
use super::contents::NameContents;
use super::filemetas::Filemetas;
use super::names::Names;
use super::objects::{ReadObjects, read_json};
use super::problems::Problems;
use super::record::{Owner, Owners, Record, name_problem};
use super::walk::walk;
use crate::object::{FileMeta, Hash, ObjectKind, ObjectRef};
use crate::workers;

/// The entries before their relations are known. They are numbered in the order of the walk.
pub(super) struct Draft {
    pub(super) filemetas: Filemetas,
    pub(super) owners: Owners,
    pub(super) records: Vec<Record>,
    pub(super) names: Names,
    /// For each entry the hash of its fileId.
    pub(super) ids: Vec<u64>,
    /// Entries whose parent is written as a filemeta reference, as old writers did, with that.
    pub(super) old_parents: BTreeMap<u32, Hash>,
    /// Entries whose content has another name than the repository would give it, with that.
    pub(super) contents: Vec<(u32, Hash)>,
    /// Second names, with the hash of the first one's fileId; sorted.
    pub(super) hardlinks: Vec<(u32, u64)>,
    /// Entries that cannot be used, with the reason.
    pub(super) bad: BTreeMap<u32, String>,
    pub(super) hasher: RandomState,
    pub(super) problems: Problems,
}

/// In place of the hash of a parent's fileId: there is none.
pub(super) const TOP: u64 = 0;

const BATCH: usize = 256;

impl Draft {
    /// Reads nodes and filemetas.
    pub(super) fn read(
        objects: &dyn ReadObjects,
        root: Option<ObjectRef>,
        cancel: &CancellationToken,
    ) -> Result<Self, Cancelled> {
        let mut draft = Self {
            filemetas: Filemetas::new(objects.catalog()),
            owners: Owners::default(),
            records: Vec::new(),
            names: Names::default(),
            ids: Vec::new(),
            old_parents: BTreeMap::new(),
            contents: Vec::new(),
            hardlinks: Vec::new(),
            bad: BTreeMap::new(),
            hasher: RandomState::new(),
            problems: Problems::default(),
        };
        let mut problems = Problems::default();
        walk(objects, root, cancel, &mut problems, &mut |entry| {
            if entry.filemeta.kind != ObjectKind::Filemeta {
                let reason = format!("{} is in the place of a filemeta", entry.filemeta);
                draft.bad.insert(draft.filemetas.len() as u32, reason);
            }
            draft.ids.push(id_hash(&draft.hasher, &entry.key));
            draft.filemetas.push(entry.filemeta);
        })?;
        draft.problems = problems;
        draft.read_filemetas(objects, cancel)?;
        Ok(draft)
    }

    fn read_filemetas(&mut self, objects: &dyn ReadObjects, cancel: &CancellationToken) -> Result<(), Cancelled> {
        let wanted = physical_order(objects, &self.filemetas, &self.bad);
        self.records = vec![Record::unread(); self.filemetas.len()];
        let filemetas = std::mem::replace(&mut self.filemetas, Filemetas::new(Arc::default()));
        let next = AtomicUsize::new(0);
        let batches = wanted.chunks(BATCH).collect::<Vec<_>>();
        let context = Context { objects, hasher: self.hasher.clone(), contents: objects.name_contents() };
        let threads = workers::count(4).min(batches.len());
        let (sender, receiver) = crossbeam_channel::bounded(2 * threads.max(1));
        std::thread::scope(|scope| {
            for _ in 0..threads {
                let (sender, next, batches) = (sender.clone(), &next, &batches);
                let (filemetas, context) = (&filemetas, &context);
                workers::spawn(scope, move || {
                    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let read = |&at: &u32| (at, Parsed::read(context, filemetas.object(at as usize)));
                        let read: Vec<_> = batch.iter().map(read).collect();
                        if cancel.is_cancelled() || sender.send(read).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (at, parsed) in receiver.into_iter().flatten() {
                match parsed {
                    Ok(parsed) => self.place(at, parsed),
                    Err(reason) => _ = self.bad.insert(at, reason),
                }
            }
        });
        self.filemetas = filemetas;
        self.hardlinks.sort_unstable();
        if cancel.is_cancelled() { Err(Cancelled) } else { Ok(()) }
    }

    fn place(&mut self, at: u32, parsed: Parsed) {
        let Parsed { mut record, owner, name, parent, old_parent, content, hardlink } = parsed;
        let problem = name_problem(&name);
        match (problem.is_none().then(|| self.names.push(&name)).flatten(), u8::try_from(name.len())) {
            (Some(name_at), Ok(name_len)) => (record.name_at, record.name_len) = (name_at, name_len),
            _ => {
                self.bad.insert(at, problem.unwrap_or("the names of the tree take more than 4 GiB").to_owned());
            }
        }
        if let Some(content) = content {
            self.contents.push((at, content));
        }
        if let Some(hardlink) = hardlink {
            self.hardlinks.push((at, hardlink));
        }
        if let Some(old_parent) = old_parent {
            self.old_parents.insert(at, old_parent);
        }
        record.set_parent_id(parent);
        record.owner = self.owners.number(owner);
        self.records[at as usize] = record;
    }

    /// The fileIds of some entries, by walking the tree again: they are needed only where something is wrong.
    pub(super) fn file_ids(
        &self,
        objects: &dyn ReadObjects,
        root: Option<ObjectRef>,
        wanted: &[u32],
        cancel: &CancellationToken,
    ) -> Result<BTreeMap<u32, String>, Cancelled> {
        let mut found: BTreeMap<u32, String> = wanted.iter().map(|&at| (at, String::new())).collect();
        let mut at = 0;
        if !wanted.is_empty() {
            walk(objects, root, cancel, &mut Problems::default(), &mut |entry| {
                // A node that can be read now and could not before would shift the numbers.
                let same = self.filemetas.get(at as usize) == Some(&entry.filemeta.hash);
                if let (true, Some(id)) = (same, found.get_mut(&at)) {
                    id.clone_from(&entry.key);
                }
                at += 1;
            })?;
        }
        Ok(found)
    }
}

fn physical_order(objects: &dyn ReadObjects, filemetas: &Filemetas, bad: &BTreeMap<u32, String>) -> Vec<u32> {
    let mut wanted: Vec<u32> = (0..filemetas.len() as u32).filter(|at| !bad.contains_key(at)).collect();
    wanted.sort_by_cached_key(|&at| objects.locality(&filemetas.object(at as usize)));
    objects.expect(&mut wanted.iter().map(|&at| filemetas.object(at as usize)));
    wanted
}

/// What is needed to read a filemeta.
struct Context<'a> {
    objects: &'a dyn ReadObjects,
    hasher: RandomState,
    contents: Arc<dyn NameContents>,
}

/// What a filemeta says, with everything that owns memory taken out.
struct Parsed {
    record: Record,
    owner: Owner,
    name: Vec<u8>,
    /// The hash of its fileId, [`TOP`] at the top.
    parent: u64,
    old_parent: Option<Hash>,
    /// The content, if it has an unusual name.
    content: Option<Hash>,
    hardlink: Option<u64>,
}

impl Parsed {
    fn read(context: &Context<'_>, reference: ObjectRef) -> Result<Self, String> {
        let Context { objects, hasher, contents } = context;
        let meta: FileMeta = read_json(*objects, &reference).map_err(|why| why.to_string())?;
        let name = meta.name_bytes().map_err(|_| format!("{reference} has a name that is not base64"))?;
        let record = Record::from_meta(&meta);
        let content = meta
            .content()
            .filter(|content| record.has_content() && *content != contents.content_ref(&record.content_hash));
        Ok(Self {
            record,
            owner: Owner::of(&meta),
            name: name.into_owned(),
            parent: meta.parent().map_or(TOP, |parent| id_hash(hasher, parent)),
            old_parent: meta.parent().and_then(old_reference),
            content: content.map(|content| content.hash),
            hardlink: meta.posix().and_then(|posix| Some(id_hash(hasher, posix.hardlink.as_ref()?))),
        })
    }
}

/// The hash under which a fileId is kept; never [`TOP`].
pub(super) fn id_hash(hasher: &RandomState, id: &str) -> u64 {
    hasher.hash_one(id).max(TOP + 1)
}

fn old_reference(parent: &str) -> Option<Hash> {
    let reference = parent.parse::<ObjectRef>().ok()?;
    (reference.kind == ObjectKind::Filemeta).then_some(reference.hash)
}
