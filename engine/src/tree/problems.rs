//! What had to be left out of a tree: the first of them in full, all of them counted.

use crate::source::Warning;

/// How many are kept; a hostile tree could hold millions.
const KEPT: usize = 1000;

#[derive(Debug, Clone, Default)]
pub(super) struct Problems {
    kept: Vec<Warning>,
    count: u64,
}

impl Problems {
    pub(super) fn push(&mut self, path: String, problem: String) {
        self.count += 1;
        if self.kept.len() < KEPT {
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

/// A path in a form fit to show: what is not UTF-8 replaced, control characters escaped.
pub(crate) fn show_path(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for c in String::from_utf8_lossy(path).chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
