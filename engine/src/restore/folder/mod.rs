//! Restores to a folder.
//!
//! Two promises: nothing is written outside the target, whatever the repository or the target holds (see `beneath`);
//! and a file has its name only when its size and the hash of all its bytes were proven (see `write`). The steps:
//! folders and decisions, then files and special files, then hard links, then the attributes of folders, deepest first,
//! and at last what makes entries immutable. What a killed restore has left in these folders goes first (see
//! `temporary`).

mod attributes;
mod beneath;
mod data;
mod decide;
mod prepare;
mod temporary;
#[cfg(test)]
mod tests;
mod write;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use beneath::{Target, look};
use prepare::{Work, prepare};
use write::{Fault, Writer};

use super::feed::{Fed, Feeder, sort_physically};
use super::gate::Gate;
use super::identity::assume;
use super::plan::Plan;
use super::tally::{Tally, lock};
use super::{Identity, Overwrite, RestoreError};
use crate::progress::Phase;
use crate::tree::{EntryId, ReadObjects, Tree, show_path};
use crate::workers;

/// Files up to this size are read and proven before they are written, in bytes.
const WHOLE: u64 = 1 << 20;
/// Of small files, only one in so many is shown as being worked on.
const SHOWN: u32 = 64;
/// Threads that read, and as many that write, at most.
const READERS: usize = 4;
const WRITERS: usize = 8;

/// One restore.
pub(super) struct Job<'a> {
    pub(super) objects: &'a dyn ReadObjects,
    pub(super) tree: &'a Tree,
    pub(super) plan: &'a Plan,
    pub(super) tally: &'a Tally<'a>,
    pub(super) gate: &'a Gate,
    pub(super) target: &'a Path,
    pub(super) overwrite: Overwrite,
    pub(super) dry_run: bool,
    pub(super) identity: Option<&'a Identity>,
    /// First names that are there now, for their second ones.
    pub(super) present: Mutex<HashSet<EntryId>>,
    /// Entries that are to be made immutable or append-only.
    pub(super) sealed: Mutex<Vec<EntryId>>,
}

/// Restores; how it went is in the tally.
pub(super) fn restore(job: &Job<'_>) {
    job.tally.progress.phase(Phase::Writing);
    let prepared = job.as_user(|| {
        let target = Target::open(job.target, !job.dry_run)?;
        let work = prepare(job, target.as_ref());
        Ok((target, work))
    });
    let (target, mut work) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => return job.fail(None, why),
    };
    let bytes = work.entries.iter().map(|&id| job.tree.get(id).size).sum();
    job.tally.progress.expect((work.entries.len() + work.links.len()) as u64, bytes);
    if job.dry_run {
        return job.count(&work);
    }
    let Some(target) = target else { return };
    sort_physically(job.objects, job.tree, &mut work.entries);
    job.objects.expect(&mut work.entries.iter().filter_map(|&id| job.tree.content(id)));
    job.write_all(&target, &work.entries);
    let alone = job.on_writer(&target, |writer| link_all(job, writer, &work.links));
    job.write_all(&target, &alone.unwrap_or_default());
    work.folders.reverse();
    job.decorate_all(&target, &work.folders);
    job.on_writer(&target, |writer| seal_all(job, writer));
}

/// Makes the links whose first name is there; the others, which become files of their own, are the result.
fn link_all(job: &Job<'_>, writer: &mut Writer<'_>, links: &[(EntryId, EntryId)]) -> Vec<EntryId> {
    let mut alone = Vec::new();
    for &(id, leader) in links {
        if job.tally.stopped() {
            break;
        }
        let (entry, first) = (job.tree.get(id), job.tree.get(leader));
        if !lock(&job.present).contains(&leader) {
            alone.push(id);
        } else if is_one(writer, id, leader, job) {
            job.tally.add(&job.tally.skipped, 1);
        } else {
            match writer.link(&entry, &first) {
                Ok(()) => job.done(id, 0),
                // Over a mount point, or with too many names.
                Err(Fault::Entry(_)) => alone.push(id),
                Err(fault) => job.fault(id, fault),
            }
        }
    }
    alone
}

/// Whether two names are of one file already.
fn is_one(writer: &mut Writer<'_>, a: EntryId, b: EntryId, job: &Job<'_>) -> bool {
    let mut inode = |id| {
        let entry = job.tree.get(id);
        let folder = writer.folder_of(&entry).ok()?;
        let stat = look(&folder, entry.name).ok()??;
        Some((stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino))
    };
    inode(a).is_some_and(|a| Some(a) == inode(b))
}

fn seal_all(job: &Job<'_>, writer: &mut Writer<'_>) {
    let mut sealed = std::mem::take(&mut *lock(&job.sealed));
    // A folder after what is in it.
    sealed.sort_unstable_by(|a, b| b.cmp(a));
    for id in sealed {
        if let Err(fault) = writer.seal(id) {
            job.fault(id, fault);
        }
    }
}

impl<'a> Job<'a> {
    fn write_all(&self, target: &Target, entries: &[EntryId]) {
        self.pipeline(target, entries, workers::count(READERS), workers::count(WRITERS), &|writer, fed| {
            let (entry, bytes) = (self.tree.get(fed.id), self.tree.get(fed.id).size);
            if bytes > WHOLE || fed.id.0 % SHOWN == 0 {
                self.tally.progress.path(&show_path(&self.tree.path(fed.id)));
            }
            let written = fed.ready.map_err(|why| Fault::Entry(why.to_string()));
            match written.and_then(|ready| writer.write(&entry, ready)) {
                Ok(()) => self.done(fed.id, bytes),
                Err(fault) => self.fault(fed.id, fault),
            }
        });
    }

    /// One thread of each kind keeps the order: deepest first.
    fn decorate_all(&self, target: &Target, folders: &[EntryId]) {
        self.pipeline(target, folders, 1, 1, &|writer, fed| {
            let entry = self.tree.get(fed.id);
            let read = fed.ready.map_err(|why| Fault::Entry(format!("its attributes are lost: {why}")));
            match read.and_then(|ready| writer.decorate_folder(&entry, ready.meta.as_ref())) {
                Ok(()) => {
                    self.tally.add(&self.tally.folders, 1);
                    self.seal_later(fed.id);
                }
                Err(fault) => self.fault(fed.id, fault),
            }
        });
    }

    fn pipeline(
        &self,
        target: &Target,
        entries: &[EntryId],
        readers: usize,
        writers: usize,
        take: &(dyn Fn(&mut Writer<'_>, Fed) + Sync),
    ) {
        if entries.is_empty() || self.tally.stopped() {
            return;
        }
        let Self { objects, tree, tally, gate, .. } = *self;
        let feeder = Feeder { objects, tree, tally, gate, whole: WHOLE, needs_meta: |entry| entry.has_extras };
        let next = &AtomicUsize::new(0);
        let (sender, receiver) = crossbeam_channel::bounded::<Vec<Fed>>(writers);
        std::thread::scope(|scope| {
            for _ in 0..readers {
                let sender = sender.clone();
                workers::spawn(scope, move || feeder.run(entries, next, &sender));
            }
            drop(sender);
            for _ in 0..writers {
                let receiver = receiver.clone();
                scope.spawn(move || {
                    if let Err(why) = assume(self.identity) {
                        return self.fail(None, why);
                    }
                    let mut writer = Writer::new(self, target);
                    for fed in receiver.into_iter().flatten().take_while(|_| !self.tally.stopped()) {
                        take(&mut writer, fed);
                    }
                });
            }
            drop(receiver);
        });
    }

    /// Runs something on a thread with the rights of the user.
    fn as_user<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| assume(self.identity).and_then(|()| work()));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn on_writer<T: Send>(&self, target: &Target, work: impl FnOnce(&mut Writer<'_>) -> T + Send) -> Option<T> {
        if self.tally.stopped() {
            return None;
        }
        let done = self.as_user(|| Ok(work(&mut Writer::new(self, target))));
        done.map_err(|why| self.fail(None, why)).ok()
    }

    /// Counts an entry that is there now.
    fn done(&self, id: EntryId, bytes: u64) {
        let tally = self.tally;
        tally.add(if self.tree.get(id).kind.is_some() { &tally.others } else { &tally.files }, 1);
        tally.add(&tally.bytes, bytes);
        tally.progress.advance(1, 0);
        self.present(id);
        self.seal_later(id);
    }

    fn count(&self, work: &Work) {
        work.entries.iter().for_each(|&id| self.done(id, self.tree.get(id).size));
        work.links.iter().for_each(|&(id, _)| self.done(id, 0));
        self.tally.add(&self.tally.folders, work.folders.len() as u64);
    }

    /// Remembers a first name, if it has second ones.
    pub(super) fn present(&self, id: EntryId) {
        if self.plan.leaders.contains(&id) {
            lock(&self.present).insert(id);
        }
    }

    fn seal_later(&self, id: EntryId) {
        if attributes::is_sealed(&self.tree.get(id)) {
            lock(&self.sealed).push(id);
        }
    }

    fn warn(&self, id: EntryId, problem: String) {
        self.tally.warn(show_path(&self.tree.path(id)), problem);
    }

    fn fault(&self, id: EntryId, fault: Fault) {
        match fault {
            Fault::Entry(problem) => self.warn(id, problem),
            Fault::Target(why) => self.fail(Some(id), why.into()),
            Fault::Stopped => {}
        }
    }

    fn fail(&self, id: Option<EntryId>, cause: io::Error) {
        let mut path = self.target.display().to_string();
        if let Some(id) = id {
            path = format!("{}/{}", path.trim_end_matches('/'), show_path(&self.tree.path(id)));
        }
        self.tally.fail(RestoreError::Target { path, cause });
    }
}
