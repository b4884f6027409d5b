//! How an operation tells what it is doing. Who shows it is not its business.

use crate::finding::Finding;
use crate::source::Warning;

/// Takes the events of one operation. Called from many threads, often: implementations must be quick.
pub trait Progress: Send + Sync {
    /// The operation enters a phase.
    fn phase(&self, phase: Phase);

    /// How much there is to do, as far as it is known by now.
    fn expect(&self, files: u64, bytes: u64);

    /// More is done.
    fn advance(&self, files: u64, bytes: u64);

    /// It now works on this path.
    fn path(&self, path: &str);

    /// It now looks at this one of so many snapshots, counted from 1.
    fn snapshot(&self, number: u64, of: u64) {
        let _ = (number, of);
    }

    /// Something was left out.
    fn warning(&self, warning: &Warning);

    /// Something is wrong or lost.
    fn finding(&self, finding: &Finding<'_>);
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Opening the repository, reading its indexes.
    Opening,
    /// Taking the repository's lock, or waiting for who has it.
    Locking,
    /// Walking, reading and storing.
    Reading,
    /// Reading the tree of a snapshot.
    Listing,
    /// Writing files.
    Writing,
    /// Deleting what nobody needs.
    Deleting,
    /// Committing, or putting an answer in order.
    Finishing,
}

impl Phase {
    /// A word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Locking => "locking",
            Self::Reading => "reading",
            Self::Listing => "listing",
            Self::Writing => "writing",
            Self::Deleting => "deleting",
            Self::Finishing => "finishing",
        }
    }
}

/// Ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn phase(&self, _: Phase) {}
    fn expect(&self, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: u64) {}
    fn path(&self, _: &str) {}
    fn warning(&self, _: &Warning) {}
    fn finding(&self, _: &Finding<'_>) {}
}
