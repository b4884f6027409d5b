//! Reads every filemeta, each once, and keeps what is needed to hold entries against each other: 32 bytes an entry.
//!
//! FileIds and paths are kept as 64-bit keyed hashes: a million of them would cost more than all else.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use super::CheckError;
use super::contents::Contents;
use super::faults::{Findings, problem_of};
use super::numbers::{NONE, Numbers};
use super::report::Problem;
use super::stop::Stop;
use super::survey::Survey;
use crate::object::{EntryType, FileMeta, Hash, ObjectKind, ObjectRef};
use crate::progress::Progress;
use crate::repository::{ObjectReader, ReadError, Repository};
use crate::tree::name_problem;

/// In place of the hash of a parent's fileId: there is none.
pub(crate) const TOP: u64 = 0;

/// Filemetas that a thread reads at once.
const BATCH: usize = 128;

/// All filemetas that leaves name.
#[derive(Debug)]
pub(crate) struct Entries {
    pub(crate) numbers: Numbers,
    facts: Vec<Facts>,
    hasher: RandomState,
}

/// What is kept of a filemeta.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Facts {
    /// The hash of its fileId.
    pub(crate) key: u64,
    /// That of its parent's, [`TOP`] at the top.
    pub(crate) parent: u64,
    /// That of its parent's fileId and its name.
    pub(super) place: u64,
    /// The number of its content, [`NONE`] if it has none.
    pub(crate) content: u32,
    /// The part of its routing key that comes from its parent.
    prefix: u16,
    bits: u8,
}

const NAMED: u8 = 1;
const HAS_PREFIX: u8 = 2;
const READ: u8 = 4;
const FOLDER: u8 = 8;

impl Facts {
    /// Whether the filemeta could be read.
    pub(crate) const fn is_read(&self) -> bool {
        self.bits & READ != 0
    }

    /// Whether it is a folder.
    pub(crate) const fn is_folder(&self) -> bool {
        self.bits & FOLDER != 0
    }
}

/// What a filemeta says.
struct Parsed {
    facts: Facts,
    content: Option<(ObjectRef, u64)>,
    problem: Option<String>,
}

impl Entries {
    pub(crate) fn new(survey: &Survey) -> Self {
        let numbers = Numbers::new(Arc::clone(&survey.catalog), ObjectKind::Filemeta);
        Self { facts: vec![Facts::default(); numbers.end() as usize], numbers, hasher: RandomState::new() }
    }

    /// What hashes fileIds.
    pub(crate) const fn hasher(&self) -> &RandomState {
        &self.hasher
    }

    /// What is known of a filemeta.
    pub(crate) fn facts(&self, number: u32) -> Facts {
        self.facts.get(number as usize).copied().unwrap_or_default()
    }

    /// Notes an entry of a leaf; the error if another leaf has that filemeta in another way.
    pub(super) fn note(&mut self, filemeta: &Hash, key: u64, prefix: Option<u16>) -> Result<u32, u32> {
        let number = self.numbers.number(filemeta);
        if number as usize >= self.facts.len() {
            self.facts.resize(number as usize + 1, Facts::default());
        }
        let facts = &mut self.facts[number as usize];
        let bits = NAMED | if prefix.is_some() { HAS_PREFIX } else { 0 };
        let same = facts.bits == 0 || (facts.key, facts.prefix) == (key, prefix.unwrap_or(facts.prefix));
        if facts.bits & HAS_PREFIX == 0 {
            *facts = Facts { key, prefix: prefix.unwrap_or_default(), bits, content: NONE, ..Facts::default() };
        }
        if same { Ok(number) } else { Err(number) }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.named().count() as u64
    }

    /// The numbers of all that leaves name.
    pub(crate) fn named(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.facts.len() as u32).filter(|number| self.facts[*number as usize].bits & NAMED != 0)
    }

    /// Reads all of them, in the order in which they lie.
    pub(crate) fn read(
        &mut self,
        context: (&ObjectReader, &Survey, &Stop, &dyn Progress),
        contents: &mut Contents,
        findings: &mut Findings,
    ) -> Result<(), CheckError> {
        let (reader, survey, stop, progress) = context;
        let mut wanted: Vec<u32> = self.named().collect();
        wanted.sort_by_cached_key(|number| reader.locality(&self.numbers.object(*number)));
        let Self { numbers, facts, hasher } = self;
        stop.each(
            &wanted,
            BATCH,
            |number| match Parsed::read(reader, hasher, numbers.object(*number)) {
                Ok(parsed) => Ok(Ok(parsed)),
                Err(why) => Ok(Err(problem_of(why)?)),
            },
            |number, parsed| {
                progress.advance(1, 0);
                let filemeta = numbers.object(*number);
                let known = &mut facts[*number as usize];
                match parsed {
                    Err(problem) => findings.lose(survey, filemeta, problem),
                    Ok(parsed) => {
                        let mut problem = parsed.problem;
                        let said = parsed.facts;
                        if known.key != said.key {
                            problem = problem.or(Some("the tree has it under another fileId".to_owned()));
                        } else if known.bits & HAS_PREFIX != 0 && known.prefix != said.prefix {
                            problem = problem.or(Some("the tree has it under another parent".to_owned()));
                        }
                        *known = Facts { key: known.key, bits: known.bits | said.bits, prefix: known.prefix, ..said };
                        if let Some((content, size)) = parsed.content {
                            match contents.note(&content.hash, size) {
                                Ok(number) => known.content = number,
                                Err(other) => {
                                    problem = problem.or(Some(format!(
                                        "it says that {content} has {size} bytes, and another file says {other}"
                                    )));
                                }
                            }
                        }
                        if let Some(problem) = problem {
                            findings.lose(survey, filemeta, Problem::Malformed(problem));
                        }
                    }
                }
            },
        )
    }
}

impl Parsed {
    fn read(reader: &ObjectReader, hasher: &RandomState, filemeta: ObjectRef) -> Result<Self, ReadError> {
        let meta: FileMeta = reader.read_json(&filemeta)?;
        let parent = match meta.parent() {
            // Old writers name the parent by its filemeta, which may be gone from the tree.
            Some(parent) => match parent.parse::<ObjectRef>() {
                Ok(old) if old.kind == ObjectKind::Filemeta => {
                    reader.read_json::<FileMeta>(&old).map_or_else(|_| parent.to_owned(), |old| old.file_id)
                }
                _ => parent.to_owned(),
            },
            None => String::new(),
        };
        let (content, mut problem) = content_of(reader.repository(), &meta);
        let name = meta.name_bytes();
        problem = match &name {
            Ok(name) => name_problem(name).map(str::to_owned).or(problem),
            Err(_) => Some("its name is not base64".to_owned()),
        };
        let top = parent.is_empty();
        let prefix = Hash::of(parent.as_bytes());
        let facts = Facts {
            key: id_hash(hasher, &meta.file_id),
            parent: if top { TOP } else { id_hash(hasher, &parent) },
            place: hasher.hash_one((&parent, name.unwrap_or_default())),
            content: NONE,
            prefix: u16::from_be_bytes([prefix.as_bytes()[0], prefix.as_bytes()[1]]),
            bits: READ | if meta.entry_type == EntryType::Folder { FOLDER } else { 0 },
        };
        Ok(Self { facts, content, problem })
    }
}

/// The content of an ordinary file and its size; and what is wrong with what a filemeta says of it.
fn content_of(repository: &Repository, meta: &FileMeta) -> (Option<(ObjectRef, u64)>, Option<String>) {
    let says_some = !meta.content_hash.is_empty() || !meta.content_ref.is_empty();
    if meta.entry_type == EntryType::Folder || meta.kind().is_some() {
        let problem = (says_some || meta.size > 0).then(|| "it is no ordinary file, and has content".to_owned());
        return (None, problem);
    }
    if !says_some {
        let problem = (meta.size > 0).then(|| format!("it has {} bytes, and no content", meta.size));
        return (None, problem);
    }
    let (Some(content), Ok(hash)) = (meta.content(), meta.content_hash.parse::<Hash>()) else {
        return (None, Some("its content has a name that is none".to_owned()));
    };
    let follows = content.hash == hash || content == repository.content_ref(&hash);
    let problem = (!follows).then(|| "the name of its content does not follow from the hash of its data".to_owned());
    (Some((content, meta.size)), problem)
}

/// The hash under which a fileId is kept; never [`TOP`].
pub(crate) fn id_hash(hasher: &RandomState, id: &str) -> u64 {
    hasher.hash_one(id).max(TOP + 1)
}
