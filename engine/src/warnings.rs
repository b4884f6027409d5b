//! Collecting warnings: the first ones whole, all of them by number.

use crate::source::Warning;

/// Warnings that a report keeps whole.
pub const KEPT: usize = 1000;

/// The warnings of one operation.
#[derive(Debug, Clone, Default)]
pub struct Warnings {
    first: Vec<Warning>,
    count: u64,
}

impl Warnings {
    /// Adds one.
    pub fn push(&mut self, warning: Warning) {
        self.count += 1;
        if self.first.len() < KEPT {
            self.first.push(warning);
        }
    }

    /// The first [`KEPT`], and how many there were.
    pub fn into_parts(self) -> (Vec<Warning>, u64) {
        (self.first, self.count)
    }
}
