//! What is known of each filemeta that was met: 4 bytes for each that there is.

use crate::numbers::{Number, Numbers};
use crate::object::{ObjectKind, ObjectRef};
use crate::tree::ReadObjects;

/// What is known of a filemeta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It was not read.
    Nothing,
    /// It is not looked for, or cannot be read.
    Rejected,
    /// It is found, with this number.
    Found(u32),
}

#[derive(Debug)]
pub(super) struct Filemetas {
    numbers: Numbers,
    /// 0 for what was not read, 1 for what was rejected, else two more than the number of what was found.
    states: Vec<u32>,
}

impl Filemetas {
    pub(super) fn new(objects: &dyn ReadObjects) -> Self {
        let catalog = objects.catalog();
        let states = vec![0; catalog.count(ObjectKind::Filemeta)];
        Self { numbers: Numbers::new(ObjectKind::Filemeta, catalog), states }
    }

    /// What is known of a filemeta; no other object has a number here.
    pub(super) fn get(&mut self, filemeta: &ObjectRef) -> Known {
        let number = self.numbers.of(filemeta);
        match self.states.get(number as usize) {
            None | Some(0) => Known::Nothing,
            Some(1) => Known::Rejected,
            Some(found) => Known::Found(found - 2),
        }
    }

    pub(super) fn set(&mut self, filemeta: &ObjectRef, known: Known) {
        let number: Number = self.numbers.of(filemeta);
        if self.states.len() <= number as usize {
            self.states.resize(number as usize + 1, 0);
        }
        if let Some(state) = self.states.get_mut(number as usize) {
            *state = match known {
                Known::Nothing => 0,
                Known::Rejected => 1,
                Known::Found(found) => found + 2,
            };
        }
    }
}
