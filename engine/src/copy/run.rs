//! The work on one snapshot: which filemetas are new, what they are called in the target, the contents that they need,
//! and the tree of it all. Every step reads in the order in which objects lie in the packs of the source.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::content::{self, Outcome, Wanted};
use super::nodes;
use super::table::Table;
use super::target::Target;
use super::visits::{Build, Gather, Tell};
use super::{CopyError, rename};
use crate::hamt::TreeBuilder;
use crate::numbers::{Number, Numbers, Set};
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::progress::{Phase, Progress};
use crate::repository::{ObjectReader, ReadError, Repository, RepositoryError, Written};
use crate::source::Warning;
use crate::{parallel, workers};

/// Problems of one snapshot that are told.
const TOLD: usize = 1000;
/// Filemetas that a thread reads at a time.
const FILEMETAS: usize = 256;

/// Copies what snapshots need, one after the other, and knows what it has copied.
pub(super) struct Copier {
    objects: ObjectReader,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
    filemetas: Numbers,
    contents: Numbers,
    /// What filemetas are called in the target; only those whose contents are there.
    table: Table,
    /// Contents that the target has.
    copied: Set,
    /// Roots of whole trees, and what they are called in the target.
    roots: HashMap<ObjectRef, Option<ObjectRef>>,
    /// Whether no object has another name in the target.
    keeps_names: bool,
    /// Files and bytes that are known to be needed so far.
    expected: (u64, u64),
}

/// What came of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) root: Option<ObjectRef>,
    pub(super) written: Written,
    pub(super) problems: Vec<Warning>,
    /// How many entries, or parts of the tree, it lacks.
    pub(super) lacks: u64,
    pub(super) counts: Counts,
}

/// What was done for a snapshot.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) files: u64,
    pub(super) read: u64,
    pub(super) added: u64,
    pub(super) stored: u64,
}

/// A new filemeta that needs a content. 56 bytes: there may be millions.
struct Task {
    filemeta: Number,
    content: Number,
    hash: Hash,
    size: u64,
}

impl Copier {
    pub(super) async fn new(
        from: Arc<Repository>,
        encrypts: bool,
        progress: Arc<dyn Progress>,
        cancel: CancellationToken,
    ) -> Result<Self, CopyError> {
        let keeps_names = !from.marker().encrypted && !encrypts;
        let objects = from.reader().await?;
        let catalog = Arc::clone(objects.catalog());
        Ok(Self {
            filemetas: Numbers::new(ObjectKind::Filemeta, Arc::clone(&catalog)),
            contents: Numbers::new(ObjectKind::Content, catalog),
            table: Table::new()?,
            copied: Set::default(),
            roots: HashMap::new(),
            expected: (0, 0),
            keeps_names,
            objects,
            progress,
            cancel,
        })
    }

    /// Copies all that is below a root. Stops at the first damage, unless it is to be `partial`.
    pub(super) fn snapshot(
        &mut self,
        root: Option<ObjectRef>,
        target: Target,
        partial: bool,
    ) -> Result<Done, CopyError> {
        let known = root.map_or(Some(None), |root| self.roots.get(&root).copied());
        if let Some(known) = known {
            return Ok(Done { root: known, written: target.finish()?, ..Done::default() });
        }
        let mut done = Done::default();
        match self.tree(root, &target, partial, &mut done) {
            Ok(()) => {
                (done.counts.added, done.counts.stored) = target.counts();
                let is_dry = target.is_dry();
                done.written = target.finish()?;
                if let Some(root) = root.filter(|_| done.lacks == 0 && !is_dry) {
                    self.roots.insert(root, done.root);
                }
                Ok(done)
            }
            Err(error) => {
                target.give_up();
                Err(error)
            }
        }
    }

    fn tree(
        &mut self,
        root: Option<ObjectRef>,
        target: &Target,
        partial: bool,
        done: &mut Done,
    ) -> Result<(), CopyError> {
        self.progress.phase(Phase::Listing);
        let mut new = self.new_filemetas(root, done)?;
        if done.lacks > 0 && !partial {
            return Ok(());
        }
        let mut lost = Lost::default();
        new.sort_by_cached_key(|number| self.filemetas.place(*number));
        let tasks = self.copy_filemetas(&new, target, partial, &mut lost)?;
        if lost.is_empty() || partial {
            self.progress.phase(Phase::Reading);
            self.copy_contents(&tasks, target, partial, &mut lost, done)?;
        }
        // A filemeta counts only with its content.
        tasks
            .iter()
            .filter(|task| !self.copied.contains(task.content))
            .for_each(|task| self.table.remove(task.filemeta));
        let left_out = if lost.is_empty() { HashSet::new() } else { self.tell(root, lost, done)? };
        if target.is_dry() || (done.lacks > 0 && !partial) {
            return Ok(());
        }
        self.progress.phase(Phase::Writing);
        self.build(root, target, &left_out, done)
    }

    /// The filemetas of a tree that have not been copied yet.
    fn new_filemetas(&mut self, root: Option<ObjectRef>, done: &mut Done) -> Result<Vec<Number>, CopyError> {
        let objects = self.objects.clone();
        let mut gather =
            Gather { filemetas: &mut self.filemetas, table: &self.table, seen: Set::default(), new: Vec::new(), done };
        nodes::walk(&objects, root, &self.cancel, &mut gather)?;
        Ok(gather.new)
    }

    /// Reads, renames and writes filemetas.
    fn copy_filemetas(
        &mut self,
        new: &[Number],
        target: &Target,
        partial: bool,
        lost: &mut Lost,
    ) -> Result<Vec<Task>, CopyError> {
        let Self { objects, filemetas, contents, table, keeps_names, cancel, .. } = self;
        let filemetas = &*filemetas;
        let work = |number: &Number| {
            let Some(old) = filemetas.object(*number) else { return Ok(Err("its number is not known".to_owned())) };
            let bytes = match objects.read(&old) {
                Ok(bytes) => bytes,
                Err(ReadError::Store(error)) => return Err(CopyError::from(RepositoryError::from(error))),
                Err(problem) => return Ok(Err(problem.to_string())),
            };
            match rename::rename(&bytes, target.repository()) {
                Ok(renamed) => {
                    target.write(ObjectRef::new(ObjectKind::Filemeta, renamed.hash), &renamed.bytes)?;
                    Ok(Ok((renamed.hash, renamed.hash == old.hash, renamed.content)))
                }
                Err(problem) => Ok(Err(format!("{old} is damaged: {problem}"))),
            }
        };
        let mut tasks = Vec::new();
        parallel::each(new, FILEMETAS, cancel, work, |number, renamed| {
            match renamed {
                Ok((hash, is_same, content)) => {
                    *keeps_names &= is_same;
                    table.set(*number, &hash)?;
                    if let Some(Wanted { source, hash, size, .. }) = content {
                        tasks.push(Task { filemeta: *number, content: contents.of(&source), hash, size });
                    }
                }
                Err(problem) => {
                    lost.filemetas.insert(*number, problem);
                    if !partial {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(tasks)
    }

    fn copy_contents(
        &mut self,
        tasks: &[Task],
        target: &Target,
        partial: bool,
        lost: &mut Lost,
        done: &mut Done,
    ) -> Result<(), CopyError> {
        let Self { objects, contents, copied, progress, cancel, expected, .. } = self;
        let contents = &*contents;
        let mut needed: Vec<&Task> = tasks.iter().filter(|task| !copied.contains(task.content)).collect();
        needed.sort_unstable_by_key(|task| (contents.place(task.content), task.content));
        needed.dedup_by_key(|task| task.content);
        *expected = (expected.0 + needed.len() as u64, expected.1 + needed.iter().map(|task| task.size).sum::<u64>());
        progress.expect(expected.0, expected.1);
        let work = |task: &&Task| {
            let Some(source) = contents.object(task.content) else {
                return Ok(Outcome::Damaged("its number is not known".to_owned()));
            };
            let wanted = Wanted {
                source,
                target: target.repository().content_ref(&task.hash),
                hash: task.hash,
                size: task.size,
            };
            content::copy(objects, target, &wanted)
        };
        parallel::each(&needed, 1, cancel, work, |task, outcome| {
            progress.advance(1, task.size);
            match outcome {
                Outcome::Present => _ = copied.insert(task.content),
                Outcome::Copied => {
                    copied.insert(task.content);
                    done.counts.files += 1;
                    done.counts.read += task.size;
                }
                Outcome::Damaged(problem) => {
                    lost.contents.insert(task.content, problem);
                    if !partial {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for task in tasks {
            if let Some(problem) = lost.contents.get(&task.content) {
                lost.filemetas.insert(task.filemeta, problem.clone());
            }
        }
        Ok(())
    }

    /// Tells which entries are lost, by their paths; gives the fileIds of all.
    fn tell(&mut self, root: Option<ObjectRef>, lost: Lost, done: &mut Done) -> Result<HashSet<String>, CopyError> {
        let objects = self.objects.clone();
        let mut telling = Tell { filemetas: &mut self.filemetas, lost: &lost.filemetas, found: HashSet::new(), done };
        nodes::walk(&objects, root, &self.cancel, &mut telling)?;
        Ok(telling.found)
    }

    fn build(
        &mut self,
        root: Option<ObjectRef>,
        target: &Target,
        left_out: &HashSet<String>,
        done: &mut Done,
    ) -> Result<(), CopyError> {
        let keeps_tree = self.keeps_names && done.lacks == 0;
        let objects = self.objects.clone();
        let mut building = Build {
            filemetas: &mut self.filemetas,
            table: &self.table,
            target,
            tree: (!keeps_tree).then(TreeBuilder::new),
            left_out,
            lacks: 0,
        };
        nodes::walk(&objects, root, &self.cancel, &mut building)?;
        done.lacks += building.lacks;
        done.root = match building.tree {
            None => root,
            Some(tree) => tree.build(workers::count(4), |node, bytes| target.write(node, &bytes).map(drop))?,
        };
        Ok(())
    }
}

/// What cannot be copied, and why.
#[derive(Default)]
struct Lost {
    filemetas: HashMap<Number, String>,
    contents: HashMap<Number, String>,
}

impl Lost {
    fn is_empty(&self) -> bool {
        self.filemetas.is_empty() && self.contents.is_empty()
    }
}

impl Done {
    /// Something is not there.
    pub(super) fn lacks(&mut self, problem: Warning) {
        self.lacks += 1;
        if self.problems.len() < TOLD {
            self.problems.push(problem);
        }
    }
}
