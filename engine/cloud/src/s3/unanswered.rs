//! Conditional writes that were sent and never answered: the connection broke, or the caller gave up.
//!
//! Such a write may have been done. When it is sent again, its own first try may be what it meets: then it was not beaten.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// How many keys are remembered. Locks and a few others are written on condition, so there are never many.
const MOST: usize = 1000;

/// The keys that such writes were for.
#[derive(Debug, Default)]
pub(super) struct Unanswered(Mutex<HashSet<String>>);

impl Unanswered {
    /// A write is about to be sent. Unless the result is told of an answer, there was none.
    pub(super) fn attempt<'a>(&'a self, key: &'a str) -> Attempt<'a> {
        Attempt { all: self, key, is_answered: false }
    }

    /// Whether a write of this key was not answered.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }

    /// It is known by now what became of it.
    pub(super) fn forget(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn add(&self, key: &str) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= MOST {
            keys.clear();
        }
        keys.insert(key.to_owned());
    }
}

/// A write that is under way; one that is dropped was not answered.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    all: &'a Unanswered,
    key: &'a str,
    is_answered: bool,
}

impl Attempt<'_> {
    pub(super) fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_answered {
            self.all.add(self.key);
        }
    }
}
