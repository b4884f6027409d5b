//! Which waiting job may start: a pure rule, no time and no tasks.
//!
//! Jobs start in the order in which they came, but one that has to wait for another does not hold up those behind it.
//! The one invariant: of the jobs that run, no two touch the files of one profile, none has a repository for itself
//! while another uses it, and no limit is exceeded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cloudstic_engine::lock::Kind;

use super::id::JobId;

/// How many jobs may run at once.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// In all. Archives have as many places of their own: whoever reads one may be slow, and must not hold up backups.
    pub jobs: usize,
    /// With one repository, where that is limited.
    pub repositories: BTreeMap<String, usize>,
}

/// What a job needs for itself while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// The profiles whose files it reads or writes.
    pub profiles: Vec<String>,
    /// The repository.
    pub repository: String,
    /// The lock that it is going to take there, if any. Two jobs of one daemon never fight over one: one waits here.
    pub lock: Option<Kind>,
    /// Another repository that it reads, under a lock of its own that others may share.
    pub second: Option<String>,
    /// Whether it is an archive, which goes as fast as its reader.
    pub streams: bool,
}

/// The waiting and the running.
#[derive(Debug)]
pub struct Queue {
    limits: Limits,
    waiting: VecDeque<Place>,
    running: Vec<Place>,
    /// Repositories in which no job takes a lock for now, once for each who wants that.
    held: Vec<String>,
}

#[derive(Debug)]
struct Place {
    id: JobId,
    needs: Needs,
}

impl Queue {
    /// An empty queue.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, waiting: VecDeque::new(), running: Vec::new(), held: Vec::new() }
    }

    /// A job comes in, at the end.
    pub fn push(&mut self, id: JobId, needs: Needs) {
        self.waiting.push_back(Place { id, needs });
    }

    /// The next job that may start now; it counts as running from here on.
    pub fn start_next(&mut self) -> Option<JobId> {
        // Who waits for a repository for itself would wait for ever if others kept joining those that use it.
        let mut reserved = BTreeSet::new();
        let ready = self.waiting.iter().position(|place| {
            let needs = &place.needs;
            let ready = self.may_start(needs) && !needs.locks().any(|(repository, _)| reserved.contains(repository));
            if !ready && needs.lock == Some(Kind::Exclusive) {
                reserved.insert(needs.repository.clone());
            }
            ready
        });
        let place = self.waiting.remove(ready?)?;
        let id = place.id;
        self.running.push(place);
        Some(id)
    }

    /// A job is gone, whether it waited or ran.
    pub fn remove(&mut self, id: JobId) {
        self.waiting.retain(|place| place.id != id);
        self.running.retain(|place| place.id != id);
    }

    /// From now on no job starts that takes a lock of this repository.
    pub fn hold(&mut self, repository: &str) {
        self.held.push(repository.to_owned());
    }

    /// One who held it does not any more.
    pub fn release(&mut self, repository: &str) {
        if let Some(at) = self.held.iter().position(|held| held == repository) {
            self.held.swap_remove(at);
        }
    }

    /// A job, running or waiting, that touches the files of one of these profiles.
    pub fn holder_of(&self, profiles: &[String]) -> Option<JobId> {
        let all = self.running.iter().chain(&self.waiting);
        all.into_iter()
            .find(|place| place.needs.profiles.iter().any(|name| profiles.contains(name)))
            .map(|place| place.id)
    }

    fn may_start(&self, needs: &Needs) -> bool {
        let alike = || self.running.iter().map(|place| &place.needs).filter(|other| other.streams == needs.streams);
        let has_room = |repository: &String| {
            let most = self.limits.repositories.get(repository).copied().unwrap_or(usize::MAX);
            alike().filter(|other| other.repositories().any(|used| used == repository)).count() < most
        };
        let is_held = needs.locks().any(|(repository, _)| self.held.contains(repository));
        !is_held
            && alike().count() < self.limits.jobs
            && needs.repositories().all(has_room)
            && self.running.iter().all(|place| !place.needs.excludes(needs))
    }
}

impl Needs {
    fn repositories(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.repository).chain(&self.second)
    }

    /// The locks that it is going to take.
    fn locks(&self) -> impl Iterator<Item = (&String, Kind)> {
        let first = self.lock.map(|kind| (&self.repository, kind));
        let second = self.second.as_ref().filter(|_| self.lock.is_some()).map(|repository| (repository, Kind::Shared));
        first.into_iter().chain(second)
    }

    fn excludes(&self, other: &Self) -> bool {
        let alone = self.locks().any(|(repository, kind)| {
            let of_it = other.locks().filter(|(theirs, _)| *theirs == repository);
            of_it.into_iter().any(|(_, theirs)| [kind, theirs].contains(&Kind::Exclusive))
        });
        alone || self.profiles.iter().any(|name| other.profiles.contains(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup(profile: &str) -> Needs {
        let profiles = if profile.is_empty() { Vec::new() } else { vec![profile.to_owned()] };
        Needs { profiles, repository: "main".to_owned(), lock: Some(Kind::Shared), ..Needs::default() }
    }

    fn of(repository: &str, lock: Option<Kind>) -> Needs {
        Needs { repository: repository.to_owned(), lock, ..Needs::default() }
    }

    fn queue(jobs: usize, needs: impl IntoIterator<Item = Needs>) -> Queue {
        let mut queue = Queue::new(Limits { jobs, repositories: [("slow".to_owned(), 1)].into() });
        for (number, needs) in (1..).zip(needs) {
            queue.push(JobId(number), needs);
        }
        queue
    }

    fn start_all(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.start_next()).map(|id| id.0).collect()
    }

    #[test]
    fn no_more_than_the_limit_start_and_the_rest_start_in_order() {
        let mut queue = queue(2, ["", "", "", ""].map(backup));
        assert_eq!(start_all(&mut queue), [1, 2]);
        queue.remove(JobId(1));
        assert_eq!(start_all(&mut queue), [3]);
    }

    #[test]
    fn a_profile_never_runs_twice_and_does_not_hold_up_others() {
        let mut queue = queue(3, ["home", "home", "srv"].map(backup));
        assert_eq!(start_all(&mut queue), [1, 3]);
        queue.remove(JobId(3));
        assert!(start_all(&mut queue).is_empty());
        queue.remove(JobId(1));
        assert_eq!(start_all(&mut queue), [2]);
    }

    #[test]
    fn a_restore_over_two_profiles_waits_for_both() {
        let restore = Needs { profiles: vec!["home".to_owned(), "srv".to_owned()], ..backup("") };
        let mut queue = queue(9, [backup("home"), restore, backup("srv")]);
        assert_eq!(start_all(&mut queue), [1, 3]);
        queue.remove(JobId(1));
        assert!(start_all(&mut queue).is_empty());
        queue.remove(JobId(3));
        assert_eq!(start_all(&mut queue), [2]);
    }

    #[test]
    fn a_repository_has_a_limit_of_its_own() {
        let mut queue = queue(9, [of("slow", Some(Kind::Shared)), of("slow", None), of("main", Some(Kind::Shared))]);
        assert_eq!(start_all(&mut queue), [1, 3]);
        queue.remove(JobId(1));
        assert_eq!(start_all(&mut queue), [2]);
    }

    #[test]
    fn a_copy_uses_two_repositories() {
        let copy = || Needs { second: Some("slow".to_owned()), ..backup("") };
        let exclusive = |repository| of(repository, Some(Kind::Exclusive));
        let mut alone = queue(9, [copy(), exclusive("slow"), exclusive("main"), copy()]);
        assert_eq!(start_all(&mut alone), [1], "neither is free, and who waits for one is not overtaken");
        alone.remove(JobId(1));
        assert_eq!(start_all(&mut alone), [2, 3]);
        let mut limited = queue(9, [of("slow", None), copy(), backup("")]);
        assert_eq!(start_all(&mut limited), [1, 3], "one job at a time uses the slow one");
        let mut held = queue(9, [copy()]);
        held.hold("slow");
        assert!(start_all(&mut held).is_empty());
        held.release("slow");
        assert_eq!(start_all(&mut held), [1]);
    }

    #[test]
    fn archives_never_hold_up_backups_nor_backups_archives() {
        let archive = || Needs { streams: true, ..backup("") };
        let mut queue = queue(1, [archive(), archive(), backup("home"), backup("srv")]);
        assert_eq!(start_all(&mut queue), [1, 3]);
        queue.remove(JobId(3));
        assert_eq!(start_all(&mut queue), [4]);
        queue.remove(JobId(1));
        assert_eq!(start_all(&mut queue), [2]);
    }

    #[test]
    fn who_needs_a_repository_alone_gets_it_alone_and_in_its_turn() {
        let (shared, alone) = (|| of("main", Some(Kind::Shared)), of("main", Some(Kind::Exclusive)));
        let mut queue = queue(9, [shared(), alone, shared(), of("other", Some(Kind::Shared)), of("main", None)]);
        assert_eq!(start_all(&mut queue), [1, 4, 5]);
        queue.remove(JobId(1));
        assert_eq!(start_all(&mut queue), [2]);
        queue.remove(JobId(2));
        assert_eq!(start_all(&mut queue), [3]);
    }

    #[test]
    fn where_locks_are_being_broken_no_job_takes_one() {
        let mut queue = queue(9, [backup("home"), of("other", Some(Kind::Shared)), of("main", None)]);
        queue.hold("main");
        queue.hold("main");
        assert_eq!(start_all(&mut queue), [2, 3]);
        queue.release("main");
        assert!(start_all(&mut queue).is_empty());
        queue.release("main");
        assert_eq!(start_all(&mut queue), [1]);
    }

    #[test]
    fn a_profile_is_held_by_who_waits_and_by_who_runs() {
        let mut queue = queue(1, [backup("home"), backup("srv")]);
        assert_eq!(start_all(&mut queue), [1]);
        let holder = |queue: &Queue, profile: &str| queue.holder_of(&backup(profile).profiles);
        assert_eq!(holder(&queue, "home"), Some(JobId(1)));
        assert_eq!(holder(&queue, "srv"), Some(JobId(2)));
        assert_eq!(holder(&queue, ""), None);
        queue.remove(JobId(2));
        assert_eq!(holder(&queue, "srv"), None);
    }

    #[test]
    fn a_cancelled_job_never_starts() {
        let mut queue = queue(1, ["", ""].map(backup));
        queue.remove(JobId(1));
        assert_eq!(start_all(&mut queue), [2]);
    }
}
