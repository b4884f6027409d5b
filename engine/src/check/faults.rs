//! Collecting what is wrong: the first faults whole, all of them by number, and every object that is lost with the fault
//! that it is lost by. Costs nothing while nothing is wrong.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::report::{Fault, KEPT, Problem, Remark};
use super::survey::Survey;
use crate::finding::Finding;
use crate::object::ObjectRef;
use crate::progress::Progress;
use crate::repository::ReadError;
use crate::store::StoreErrorKind;

/// What a check has found.
#[derive(Default)]
pub(crate) struct Findings {
    /// Is told everything, as it is found.
    listener: Option<Arc<dyn Progress>>,
    /// The first [`KEPT`].
    pub(crate) faults: Vec<Fault>,
    /// The numbers of all, by what they are about.
    numbers: HashMap<(Arc<str>, &'static str), u32>,
    /// What each is about, by number.
    objects: Vec<Arc<str>>,
    /// Every object that is lost, or makes no sense, and the fault that says so.
    pub(crate) bad: HashMap<ObjectRef, u32>,
    /// Objects of which the catalog may say what is not so.
    pub(crate) misplaced: BTreeSet<ObjectRef>,
    remarks: Vec<Remark>,
    remark_count: u64,
    /// The indexes that there is a remark about.
    remarked: BTreeSet<String>,
}

impl Findings {
    /// None yet; each is told.
    pub(crate) fn told_to(listener: Arc<dyn Progress>) -> Self {
        Self { listener: Some(listener), ..Self::default() }
    }

    /// Notes a fault, once, and gives its number.
    pub(crate) fn fault(&mut self, object: &str, problem: Problem) -> u32 {
        self.note(object, None, problem)
    }

    fn note(&mut self, object: &str, pack: Option<String>, problem: Problem) -> u32 {
        // Of wrong entries in an index each is a fault; of what is wrong with an object one is enough.
        let tells_more = matches!(problem, Problem::Wrong(_) | Problem::Malformed(_));
        let about: Arc<str> = object.into();
        let key = if tells_more { format!("{object} {problem}").into() } else { Arc::clone(&about) };
        let next = self.objects.len() as u32;
        let number = *self.numbers.entry((key, problem.code())).or_insert(next);
        if number < next {
            if let Some(fault) = self.faults.get_mut(number as usize) {
                fault.pack = fault.pack.take().or(pack);
                if let (Problem::TooShort { needed: more, .. }, Problem::TooShort { needed, .. }) =
                    (problem, &mut fault.problem)
                {
                    *needed = more.max(*needed);
                }
            }
            return number;
        }
        self.objects.push(about);
        self.tell(&Finding::Fault { object, pack: pack.as_deref(), problem: &problem });
        if self.faults.len() < KEPT {
            self.faults.push(Fault {
                object: object.to_owned(),
                pack,
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
            None => self.note(&object.key(), survey.pack_of(&object), why),
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
        let remark = Remark { object: object.to_owned(), text };
        self.tell(&Finding::Remark(&remark));
        if self.remarks.len() < KEPT {
            self.remarks.push(remark);
        }
    }

    /// Notes that a pack is missing that the catalog names: a remark, if nothing is lost by it.
    pub(super) fn note_lost_pack(&mut self, key: &str) {
        if !self.numbers.contains_key(&(key.into(), Problem::Missing.code())) {
            self.remark(
                key,
                "is missing, and the catalog names it; no snapshot needs anything that was in it".to_owned(),
            );
        }
    }

    /// Just these objects, as if all were lost by one fault.
    pub(crate) fn of(objects: impl Iterator<Item = ObjectRef>) -> Self {
        Self { bad: objects.map(|object| (object, 0)).collect(), ..Self::default() }
    }

    /// The numbers of the faults of what has the bytes that were written, and makes no sense.
    pub(crate) fn malformed(&self) -> HashSet<u32> {
        self.numbers.iter().filter(|((_, code), _)| *code == "malformed").map(|(_, number)| *number).collect()
    }

    /// How many faults there are.
    pub(crate) fn count(&self) -> u64 {
        self.objects.len() as u64
    }

    /// What a fault is about, also if it is none of the first.
    pub(crate) fn object(&self, number: u32) -> &str {
        self.objects.get(number as usize).map_or("", |object| object)
    }

    /// Tells whoever listens.
    pub(crate) fn tell(&self, finding: &Finding<'_>) {
        if let Some(listener) = &self.listener {
            listener.finding(finding);
        }
    }

    /// Whether anything is wrong.
    pub(crate) fn has_faults(&self) -> bool {
        !self.objects.is_empty()
    }

    /// Everything that there is a fault of.
    pub(crate) fn objects(&self) -> impl Iterator<Item = &str> {
        self.numbers.keys().filter(|(_, code)| !matches!(*code, "wrong" | "malformed")).map(|(object, _)| &**object)
    }

    /// Whether there is a fault of an index, or a remark about it.
    pub(crate) fn concerns(&self, key: &str) -> bool {
        let is_it =
            |object: &str| object.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        self.numbers.keys().any(|(object, _)| is_it(object)) || self.remarked.contains(key)
    }

    /// The faults and their number, the remarks and theirs.
    pub(super) fn into_parts(self) -> (Vec<Fault>, u64, Vec<Remark>, u64) {
        (self.faults, self.objects.len() as u64, self.remarks, self.remark_count)
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::progress::Phase;
    use crate::source::Warning;

    #[derive(Default)]
    struct Listener(Mutex<Vec<String>>);

    impl Progress for Listener {
        fn phase(&self, _: Phase) {}
        fn expect(&self, _: u64, _: u64) {}
        fn advance(&self, _: u64, _: u64) {}
        fn path(&self, _: &str) {}
        fn warning(&self, _: &Warning) {}
        fn finding(&self, finding: &Finding<'_>) {
            if let (Finding::Fault { object, .. }, Ok(mut told)) = (finding, self.0.lock()) {
                told.push((*object).to_owned());
            }
        }
    }

    #[test]
    fn faults_beyond_those_that_are_kept_are_told_and_have_names() {
        let listener = Arc::new(Listener::default());
        let mut findings = Findings::told_to(listener.clone());
        let names: Vec<String> = (0..3 * KEPT).map(|n| format!("chunk/{n}")).collect();
        for (number, name) in (0..).zip(&names) {
            assert_eq!(findings.fault(name, Problem::Missing), number);
            assert_eq!(findings.fault(name, Problem::Missing), number, "a fault is told once");
        }
        assert_eq!(*listener.0.lock().unwrap_or_else(|_| unreachable!()), names);
        assert_eq!((findings.faults.len(), findings.count()), (KEPT, 3 * KEPT as u64));
        assert_eq!(findings.object(2500), "chunk/2500");
    }
}
