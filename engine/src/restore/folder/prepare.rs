//! Makes the folders, and decides for everything else whether it is to be written, before any data are read: what is
//! unchanged costs one look at it.

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, mkdirat};
use rustix::io::Errno;

use super::Job;
use super::beneath::{Target, look};
use super::decide::{Decision, decide, file_type};
use super::temporary::sweep;
use super::write::{Fault, Writer, make_room};
use crate::restore::Overwrite;
use crate::tree::{EntryId, TreeEntry};

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Files, links and special files to write.
    pub(super) entries: Vec<EntryId>,
    /// Second names, each with its first.
    pub(super) links: Vec<(EntryId, EntryId)>,
    /// Folders that are to get their attributes.
    pub(super) folders: Vec<EntryId>,
}

/// A folder on the way from the top to where we are.
struct Above {
    end: u32,
    /// Nothing is in it but what we put there.
    fresh: bool,
}

/// Goes through all selected entries. `target` is `None` only in a dry run, when there is no target yet.
pub(super) fn prepare(job: &Job<'_>, target: Option<&Target>) -> Work {
    let mut work = Work::default();
    let mut writer = target.map(|target| Writer::new(job, target));
    let root_fresh = target.is_none_or(|target| target.fresh);
    if let Some(target) = target.filter(|target| !target.fresh) {
        sweep_folder(job, &target.folder, b"");
    }
    let mut above: Vec<Above> = Vec::new();
    let mut skip_to = 0;
    for id in job.plan.entries() {
        if id.0 < skip_to {
            continue;
        }
        if job.tally.stopped() {
            break;
        }
        while above.last().is_some_and(|folder| folder.end <= id.0) {
            above.pop();
        }
        let entry = job.tree.get(id);
        let fresh = above.last().map_or(root_fresh, |folder| folder.fresh);
        let writer = writer.as_mut().filter(|_| !(fresh && job.dry_run));
        let done = if entry.is_folder {
            prepare_folder(job, writer, &entry, fresh, &mut work).map(|fresh| {
                above.push(Above { end: job.tree.subtree(id).end, fresh });
            })
        } else {
            prepare_entry(job, writer, &entry, fresh, &mut work)
        };
        match done {
            Ok(()) => {}
            Err(Fault::Entry(problem)) if entry.is_folder => {
                skip_to = job.tree.subtree(id).end;
                let below = job.plan.count_below(job.tree, id);
                job.warn(id, format!("{problem}; not restored, with {below} entries below it"));
            }
            Err(fault) => job.fault(id, fault),
        }
    }
    work
}

/// Removes what killed restores left in a folder that was there before.
fn sweep_folder(job: &Job<'_>, folder: &OwnedFd, path: &[u8]) {
    if !job.dry_run {
        let path_of = |name: &[u8]| if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
        sweep(folder, |name| job.tree.find(&path_of(name)).is_some());
    }
}

/// Makes a folder, or takes the one that is there; whether it is a new one.
fn prepare_folder(
    job: &Job<'_>,
    writer: Option<&mut Writer<'_>>,
    entry: &TreeEntry<'_>,
    fresh: bool,
    work: &mut Work,
) -> Result<bool, Fault> {
    let Some(writer) = writer else {
        work.folders.push(entry.id);
        return Ok(true);
    };
    let parent = writer.folder_of(entry)?;
    let existing = if fresh { None } else { look(&parent, entry.name).map_err(|why| Fault::new("look at it", why))? };
    if existing.as_ref().is_some_and(|stat| file_type(stat) == FileType::Directory) {
        if let Ok(folder) = writer.folders.get(Some(entry.id)) {
            sweep_folder(job, &folder, &job.tree.path(entry.id));
        }
        if job.overwrite == Overwrite::Never {
            job.tally.add(&job.tally.skipped, 1);
        } else {
            work.folders.push(entry.id);
        }
        return Ok(false);
    }
    if existing.is_some() && job.overwrite == Overwrite::Never {
        return Err(Fault::Entry("something that is no folder is in its place, and is kept".to_owned()));
    }
    work.folders.push(entry.id);
    if job.dry_run {
        return Ok(true);
    }
    // Private while it is being filled, if it will have a mode of its own.
    let mode = Mode::from_raw_mode(if entry.mode.is_some() { 0o700 } else { 0o777 });
    let make = || mkdirat(&parent, entry.name, mode);
    match make() {
        Err(Errno::EXIST) => make_room(&parent, entry.name).and_then(|()| make()),
        made => made,
    }
    .map_err(|why| Fault::new("make the folder", why))?;
    Ok(true)
}

fn prepare_entry(
    job: &Job<'_>,
    writer: Option<&mut Writer<'_>>,
    entry: &TreeEntry<'_>,
    fresh: bool,
    work: &mut Work,
) -> Result<(), Fault> {
    let leader = job.plan.leader_of(job.tree, entry.id);
    let decision = match writer {
        Some(writer) if !fresh => {
            let folder = writer.folder_of(entry)?;
            let existing = look(&folder, entry.name).map_err(|why| Fault::new("look at it", why))?;
            decide(job.overwrite, entry, &folder, existing.as_ref())
        }
        _ => Decision::Write,
    };
    match (decision, leader) {
        (Decision::Occupied, _) => return Err(occupied()),
        (Decision::Keep, _) | (Decision::Same, None) => {
            job.tally.add(&job.tally.skipped, 1);
            if decision == Decision::Same {
                job.present(entry.id);
            }
        }
        // Unchanged as a file, perhaps, but whether it is the same file shows only when the first name is done.
        (Decision::Same | Decision::Write, Some(leader)) => work.links.push((entry.id, leader)),
        (Decision::Write, None) => work.entries.push(entry.id),
    }
    Ok(())
}

fn occupied() -> Fault {
    Fault::Entry("a folder with something in it is in its place, and is kept".to_owned())
}
