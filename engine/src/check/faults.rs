//! Collecting what is wrong: the first faults whole, all of them by number, and every object that is lost with the fault
//! that it is lost by. Costs nothing while nothing is wrong.

use std::collections::{BTreeSet, HashMap};

use super::report::{Fault, KEPT, Problem, Remark};
use super::survey::Survey;
use crate::object::ObjectRef;
use crate::repository::ReadError;
use crate::store::StoreErrorKind;

/// What a check has found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The first [`KEPT`].
    pub(crate) faults: Vec<Fault>,
    /// The numbers of all, by what they are about.
    numbers: HashMap<(String, &'static str), u32>,
    count: u32,
    /// Every object that is lost, or makes no sense, and the fault that says so.
    pub(crate) bad: HashMap<ObjectRef, u32>,
    /// Objects of which the catalog may say what is not so.
    pub(crate) misplaced: BTreeSet<ObjectRef>,
    remarks: Vec<Remark>,
    remark_count: u64,
    /// Bytes of paths that the faults tell.
    pub(super) told: usize,
    /// The indexes that there is a remark about.
    remarked: BTreeSet<String>,
}

impl Findings {
    /// Notes a fault, once, and gives its number.
    pub(crate) fn fault(&mut self, object: &str, problem: Problem) -> u32 {
        // Of wrong entries in an index each is a fault; of what is wrong with an object one is enough.
        let tells_more = matches!(problem, Problem::Wrong(_) | Problem::Malformed(_));
        let key = (if tells_more { format!("{object} {problem}") } else { object.to_owned() }, problem.code());
        let next = self.count;
        let number = *self.numbers.entry(key).or_insert(next);
        if number < next {
            if let (Some(fault), Problem::TooShort { needed: more, .. }) =
                (self.faults.get_mut(number as usize), problem)
                && let Problem::TooShort { needed, .. } = &mut fault.problem
            {
                *needed = more.max(*needed);
            }
            return number;
        }
        self.count += 1;
        if self.faults.len() < KEPT {
            self.faults.push(Fault {
                object: object.to_owned(),
                pack: None,
                problem,
                lost: 0,
                harm: Vec::new(),
                snapshots: 0,
            });
        }
        number
    }

    /// Notes that an object is lost, by its own fault or by that of its pack.
    pub(crate) fn lose(&mut self, survey: &Survey, object: ObjectRef, why: Problem) {
        if self.bad.contains_key(&object) {
            return;
        }
        let number = match survey.cause(&object) {
            Some((cause, problem)) => self.fault(&cause, problem),
            None => {
                let number = self.fault(&object.key(), why);
                if let Some(fault) = self.faults.get_mut(number as usize) {
                    fault.pack = survey.pack_of(&object);
                }
                number
            }
        };
        if let Some(fault) = self.faults.get_mut(number as usize) {
            fault.lost += 1;
        }
        self.bad.insert(object, number);
    }

    /// Notes what is not as it should be and has cost nothing.
    pub(crate) fn remark(&mut self, object: &str, text: String) {
        self.remark_count += 1;
        if object.starts_with("index/") {
            self.remarked.insert(object.to_owned());
        }
        if self.remarks.len() < KEPT {
            self.remarks.push(Remark { object: object.to_owned(), text });
        }
    }

    /// Notes that a pack is missing that the catalog names: a remark, if nothing is lost by it.
    pub(super) fn note_lost_pack(&mut self, key: &str) {
        if !self.numbers.contains_key(&(key.to_owned(), Problem::Missing.code())) {
            self.remark(
                key,
                "is missing, and the catalog names it; no snapshot needs anything that was in it".to_owned(),
            );
        }
    }

    /// How many faults there are.
    pub(crate) fn count(&self) -> u64 {
        self.count.into()
    }

    /// Whether anything is wrong.
    pub(crate) fn has_faults(&self) -> bool {
        self.count > 0
    }

    /// Everything that there is a fault of.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &str> {
        self.numbers
            .keys()
            .filter(|(_, code)| !matches!(*code, "wrong" | "malformed"))
            .map(|(object, _)| object.as_str())
    }

    /// Whether there is a fault of an index, or a remark about it.
    pub(crate) fn concerns(&self, key: &str) -> bool {
        let is_it =
            |object: &str| object.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        self.numbers.keys().any(|(object, _)| is_it(object)) || self.remarked.contains(key)
    }

    /// The faults and their number, the remarks and theirs.
    pub(super) fn into_parts(self) -> (Vec<Fault>, u64, Vec<Remark>, u64) {
        (self.faults, self.count.into(), self.remarks, self.remark_count)
    }
}

/// What a failed read says of the object; the error itself if it says something of the store.
pub(crate) fn problem_of(error: ReadError) -> Result<Problem, ReadError> {
    match error {
        ReadError::Missing(_) => Ok(Problem::Missing),
        ReadError::Damaged { problem, .. } => Ok(Problem::Damaged(problem)),
        ReadError::Store(error) => match error.kind {
            StoreErrorKind::NotFound => Ok(Problem::Missing),
            // A disk that cannot read a sector says so for just that object.
            StoreErrorKind::Corrupt | StoreErrorKind::Other => Ok(Problem::Damaged(error.detail)),
            _ => Err(ReadError::Store(error)),
        },
    }
}
