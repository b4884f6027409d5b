//! What lies by itself and can go: what nobody needs, and what lies in a pack, too, where it was proven.

use super::copies::Numbered;
use crate::object::ObjectKind;
use crate::reach::Reach;
use std::collections::BTreeSet;

/// An object by itself that can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Superfluous {
    pub(super) kind: ObjectKind,
    /// Among those of its kind that lie by themselves.
    pub(super) number: u32,
    /// Whether it is needed and lies in a pack, too.
    pub(super) is_copy: bool,
}

/// Finds them, sorted. Of needed ones that lie in a pack, too, `copies` can go.
pub(super) fn find(reach: &Reach, copies: &BTreeSet<Numbered>) -> Vec<Superfluous> {
    let mut found = Vec::new();
    for kind in ObjectKind::ALL {
        for (number, (object, _)) in (0..).zip(reach.alone().objects(kind)) {
            if reach.needs_alone(kind, number) {
                continue;
            }
            let is_copy = reach.needs(&object);
            if !is_copy || copies.contains(&(kind, number)) {
                found.push(Superfluous { kind, number, is_copy });
            }
        }
    }
    found
}
