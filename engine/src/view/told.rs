//! Tells what is read.

use std::sync::Arc;

use bytes::Bytes;

use crate::object::ObjectRef;
use crate::pack::Catalog;
use crate::progress::Progress;
use crate::repository::ReadError;
use crate::source::Warning;
use crate::tree::{NameContents, ReadObjects};

/// Reads objects, and tells how many, and of how many plain bytes.
pub(crate) struct Told<R> {
    objects: R,
    progress: Arc<dyn Progress>,
}

impl<R> Told<R> {
    pub(crate) fn new(objects: R, progress: Arc<dyn Progress>) -> Self {
        Self { objects, progress }
    }

    #[cfg(test)]
    pub(crate) const fn inner(&self) -> &R {
        &self.objects
    }
}

impl<R: ReadObjects> ReadObjects for Told<R> {
    fn read(&self, object: &ObjectRef) -> Result<Bytes, ReadError> {
        let read = self.objects.read(object);
        self.progress.advance(1, read.as_ref().map_or(0, |bytes| bytes.len() as u64));
        read
    }

    fn locality(&self, object: &ObjectRef) -> (u32, u64) {
        self.objects.locality(object)
    }

    fn catalog(&self) -> Arc<Catalog> {
        self.objects.catalog()
    }

    fn name_contents(&self) -> Arc<dyn NameContents> {
        self.objects.name_contents()
    }

    fn detours(&self) -> Vec<Warning> {
        self.objects.detours()
    }
}
