//! What had to be left out of a tree: the first of them in full, all of them counted.

use crate::source::Warning;

/// Bytes of text that are kept; a hostile tree could hold millions of them.
const KEPT: usize = 4 << 20;

#[derive(Debug, Clone, Default)]
pub(super) struct Problems {
    kept: Vec<Warning>,
    bytes: usize,
    count: u64,
}

impl Problems {
    pub(super) fn push(&mut self, path: String, problem: String) {
        self.count += 1;
        self.bytes += path.len() + problem.len();
        if self.bytes <= KEPT {
            self.kept.push(Warning { path, problem });
        }
    }

    pub(super) fn kept(&self) -> &[Warning] {
        &self.kept
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }
}
