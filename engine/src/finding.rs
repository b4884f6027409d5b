//! What is wrong or lost, one thing at a time: a report has room for the first of it, whoever listens gets all of it.

use std::ops::Range;

use crate::check::{Problem, Remark};
use crate::object::{ObjectRef, Snapshot};

/// One thing that an operation has found. Each is told once, and nobody keeps it for having been told.
#[derive(Debug, Clone, Copy)]
pub enum Finding<'a> {
    /// Something is wrong, as soon as that is known; what is lost by it comes later.
    Fault {
        /// The key of what is wrong.
        object: &'a str,
        /// The pack that it lies in.
        pack: Option<&'a str>,
        /// What is wrong with it.
        problem: &'a Problem,
    },
    /// Something is not as it should be, and has cost nothing.
    Remark(&'a Remark),
    /// A snapshot. The first one has the number 0, each other one more than that before it; those of one source follow
    /// each other, the newest first.
    Snapshot {
        /// Which one.
        reference: ObjectRef,
        /// What it says, if it can be read.
        snapshot: Option<&'a Snapshot>,
    },
    /// Something is lost.
    Lost(&'a Lost<'a>),
}

/// What is lost by one object, of snapshots that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost<'a> {
    /// The path, fit to be shown; `None` for entries of which nothing is known: those below a node, or all of a snapshot.
    pub path: Option<&'a str>,
    /// The key of what it is lost by: an object, a pack, an index.
    pub object: &'a str,
    /// The numbers of the snapshots that it is lost of.
    pub snapshots: Range<u32>,
}
