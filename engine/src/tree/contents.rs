//! The names of content objects, which nearly always follow from the hashes of the files' bytes (format, section 5):
//! only the others are kept.

use std::fmt::Debug;
use std::sync::Arc;

use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::repository::Repository;

/// How a repository names its contents.
pub trait NameContents: Debug + Send + Sync {
    /// The content of a file whose bytes have this hash.
    fn content_ref(&self, content_hash: &Hash) -> ObjectRef;
}

impl NameContents for Repository {
    fn content_ref(&self, content_hash: &Hash) -> ObjectRef {
        Self::content_ref(self, content_hash)
    }
}

#[derive(Debug)]
pub(super) struct Contents {
    rule: Arc<dyn NameContents>,
    /// Entries whose content has another name, with that; sorted.
    others: Vec<(u32, Hash)>,
}

impl Contents {
    pub(super) fn new(rule: Arc<dyn NameContents>, mut others: Vec<(u32, Hash)>) -> Self {
        others.sort_unstable();
        Self { rule, others }
    }

    pub(super) fn of(&self, entry: u32, content_hash: &Hash) -> ObjectRef {
        match self.others.binary_search_by_key(&entry, |&(other, _)| other) {
            Ok(at) => ObjectRef::new(ObjectKind::Content, self.others[at].1),
            Err(_) => self.rule.content_ref(content_hash),
        }
    }
}
