//! What a check found.

use super::subset::DataRead;
use crate::object::ObjectRef;

/// Faults, and remarks, that a report keeps whole.
pub const KEPT: usize = 1000;

/// Snapshots that are told of one fault.
pub(super) const SNAPSHOTS_KEPT: usize = 20;

/// Paths that are told of one fault in one snapshot.
pub(super) const PATHS_KEPT: usize = 10;

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct CheckReport {
    /// Snapshots that were checked.
    pub snapshots: u64,
    /// Snapshots, nodes, filemetas, contents and chunks that they are made of and that are there; each counts once.
    pub objects: u64,
    /// Objects in packs or by themselves that no snapshot needs; 0 if not all snapshots were checked.
    pub unreferenced: u64,
    /// Packs that there are.
    pub packs: u64,
    /// Packs in which nothing is that a snapshot needs; 0 if not all snapshots were checked.
    pub unneeded_packs: u64,
    /// What was read of the files' data, if that was asked for.
    pub data: Option<DataRead>,
    /// The first [`KEPT`] faults.
    pub faults: Vec<Fault>,
    /// How many there are. Any means that something is lost or may get lost.
    pub fault_count: u64,
    /// The first [`KEPT`] remarks: what is not as a careful writer leaves it, and has cost nothing.
    pub remarks: Vec<Remark>,
    /// How many there are.
    pub remark_count: u64,
    /// Snapshots of which anything is lost.
    pub damaged_snapshots: u64,
}

/// One thing that is wrong, and whom it hurts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The key of what is wrong: an object, a pack, an index, a key slot, `config`.
    pub object: String,
    /// The pack that the object lies in.
    pub pack: Option<String>,
    /// What is wrong with it.
    pub problem: Problem,
    /// How many objects that snapshots need are lost by it.
    pub lost: u64,
    /// The first snapshots that it hurts.
    pub harm: Vec<Harm>,
    /// How many those are.
    pub snapshots: u64,
}

/// What a fault takes from one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harm {
    /// The snapshot.
    pub snapshot: ObjectRef,
    /// The first paths that it takes, fit to be shown.
    pub paths: Vec<String>,
    /// How many those are.
    pub path_count: u64,
    /// Whether there are more, of which nothing is known: those of a node that is lost.
    pub unknown: bool,
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// It is nowhere.
    #[error("is missing")]
    Missing,
    /// Its bytes are not those that were written.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// A pack ends before its members do.
    #[error("has {size} bytes, and objects lie in it up to byte {needed}")]
    TooShort {
        /// Its size.
        size: u64,
        /// What it should have at least.
        needed: u64,
    },
    /// Its bytes are what its name says, and make no sense.
    #[error("makes no sense: {0}")]
    Malformed(String),
    /// It says what is not so.
    #[error("is wrong: {0}")]
    Wrong(String),
    /// It is damaged in one place, and was found in another.
    #[error("is damaged where it is looked for first, and was found elsewhere: {0}")]
    Misplaced(String),
}

impl Problem {
    /// A word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Damaged(_) => "damaged",
            Self::TooShort { .. } => "too_short",
            Self::Malformed(_) => "malformed",
            Self::Wrong(_) => "wrong",
            Self::Misplaced(_) => "misplaced",
        }
    }
}

/// What is not as it should be, and has cost nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The key of what it is about.
    pub object: String,
    /// What there is to say.
    pub text: String,
}
