//! What this room and `restore` need of a repository: proven objects by name.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::contents::NameContents;
use crate::object::{ObjectRef, json};
use crate::pack::Catalog;
use crate::repository::{ObjectReader, ReadError, Repository};
use crate::source::Warning;

/// A read that was begun; what it is called for is what [`ReadObjects::read`] gives. If it is dropped, nobody reads on.
pub type BegunRead<'a> = Box<dyn FnOnce() -> Result<Bytes, ReadError> + Send + 'a>;

/// Gives plain objects, each proven by its name (content objects excepted: prove the data). Blocking: for worker
/// threads only.
pub trait ReadObjects: Send + Sync {
    /// The plain bytes of an object.
    fn read(&self, object: &ObjectRef) -> Result<Bytes, ReadError>;

    /// Begins to read an object that is needed soon, where that saves time: on a long line the wait for it then goes by
    /// while others are worked on.
    fn begin<'a>(&'a self, object: &ObjectRef) -> BegunRead<'a> {
        let object = *object;
        Box::new(move || self.read(&object))
    }

    /// Says what is going to be read, so that what lies together is fetched together.
    fn expect(&self, objects: &mut dyn Iterator<Item = ObjectRef>) {
        let _ = objects;
    }

    /// Where it lies, for reading in physical order.
    fn locality(&self, object: &ObjectRef) -> (u32, u64);

    /// The catalog of what is packed.
    fn catalog(&self) -> Arc<Catalog>;

    /// How contents are named here.
    fn name_contents(&self) -> Arc<dyn NameContents>;

    /// What was found only on a second try: damage that has cost nothing yet.
    fn detours(&self) -> Vec<Warning> {
        Vec::new()
    }
}

impl ReadObjects for ObjectReader {
    fn read(&self, object: &ObjectRef) -> Result<Bytes, ReadError> {
        Self::read(self, object)
    }

    fn begin<'a>(&'a self, object: &ObjectRef) -> BegunRead<'a> {
        Box::new(Self::begin(self, object))
    }

    fn expect(&self, objects: &mut dyn Iterator<Item = ObjectRef>) {
        Self::expect(self, objects);
    }

    fn locality(&self, object: &ObjectRef) -> (u32, u64) {
        Self::locality(self, object)
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(Self::catalog(self))
    }

    fn name_contents(&self) -> Arc<dyn NameContents> {
        Arc::<Repository>::clone(self.repository())
    }

    fn detours(&self) -> Vec<Warning> {
        Self::detours(self)
    }
}

/// Reads and parses an object.
pub(crate) fn read_json<T: DeserializeOwned>(objects: &dyn ReadObjects, object: &ObjectRef) -> Result<T, ReadError> {
    let bytes = objects.read(object)?;
    json::decode(&bytes).map_err(|why| ReadError::Damaged { object: *object, problem: why.to_string() })
}
