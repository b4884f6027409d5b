//! Which waiting job may start: a pure rule, no time and no tasks.
//!
//! Jobs start in the order in which they came, at most `limit` at once, and never two of the same profile at once: a job
//! whose profile runs is passed over until it has ended. Any number of jobs may work on the same repository.

use std::collections::VecDeque;

use super::id::JobId;

/// The waiting and the running.
#[derive(Debug)]
pub struct Queue {
    limit: usize,
    waiting: VecDeque<Place>,
    running: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    id: JobId,
    /// Empty for a job without one.
    profile: String,
}

impl Queue {
    /// An empty queue that lets `limit` jobs run at once.
    pub fn new(limit: usize) -> Self {
        Self { limit, waiting: VecDeque::new(), running: Vec::new() }
    }

    /// A job comes in, at the end.
    pub fn push(&mut self, id: JobId, profile: &str) {
        self.waiting.push_back(Place { id, profile: profile.to_owned() });
    }

    /// The next job that may start now; it counts as running from here on.
    pub fn start_next(&mut self) -> Option<JobId> {
        if self.running.len() >= self.limit {
            return None;
        }
        let index = self.waiting.iter().position(|place| !self.is_busy(&place.profile))?;
        let place = self.waiting.remove(index)?;
        let id = place.id;
        self.running.push(place);
        Some(id)
    }

    /// A job is gone, whether it waited or ran.
    pub fn remove(&mut self, id: JobId) {
        self.waiting.retain(|place| place.id != id);
        self.running.retain(|place| place.id != id);
    }

    fn is_busy(&self, profile: &str) -> bool {
        !profile.is_empty() && self.running.iter().any(|place| place.profile == profile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(limit: usize, profiles: &[&str]) -> Queue {
        let mut queue = Queue::new(limit);
        for (number, profile) in (1..).zip(profiles) {
            queue.push(JobId(number), profile);
        }
        queue
    }

    fn start_all(queue: &mut Queue) -> Vec<u64> {
        std::iter::from_fn(|| queue.start_next()).map(|id| id.0).collect()
    }

    #[test]
    fn no_more_than_the_limit_start_and_the_rest_start_in_order() {
        let mut queue = queue(2, &["", "", "", ""]);
        assert_eq!(start_all(&mut queue), [1, 2]);
        queue.remove(JobId(1));
        assert_eq!(start_all(&mut queue), [3]);
    }

    #[test]
    fn a_profile_never_runs_twice_and_does_not_hold_up_others() {
        let mut queue = queue(3, &["home", "home", "srv"]);
        assert_eq!(start_all(&mut queue), [1, 3]);
        queue.remove(JobId(3));
        assert!(start_all(&mut queue).is_empty());
        queue.remove(JobId(1));
        assert_eq!(start_all(&mut queue), [2]);
    }

    #[test]
    fn jobs_without_a_profile_do_not_exclude_each_other() {
        assert_eq!(start_all(&mut queue(3, &["", "", ""])), [1, 2, 3]);
    }

    #[test]
    fn a_cancelled_job_never_starts() {
        let mut queue = queue(1, &["", ""]);
        queue.remove(JobId(1));
        assert_eq!(start_all(&mut queue), [2]);
    }
}
