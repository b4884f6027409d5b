//! The data objects that lie in the store by themselves.

use futures::future::{ready, try_join_all};
use futures::stream::TryStreamExt;

use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::store::{ObjectStore, StoreResult};

/// The chunks, contents, filemetas and nodes that lie in a store by themselves: 40 bytes each.
#[derive(Debug, Default)]
pub struct Alone {
    /// In the order of [`ObjectKind::ALL`], each sorted.
    kinds: [Vec<(Hash, u64)>; ObjectKind::ALL.len()],
}

impl Alone {
    /// Lists them, all kinds at once.
    pub async fn list(store: &dyn ObjectStore) -> StoreResult<Self> {
        let kinds = ObjectKind::ALL.map(|kind| async move {
            if !kind.is_data() {
                return Ok(Vec::new());
            }
            let prefix = format!("{}/", kind.as_str());
            let found = store.list(&prefix).try_filter_map(|stat| {
                let object = stat.key.parse::<ObjectRef>().ok();
                ready(Ok(object.map(|object| (object.hash, stat.size))))
            });
            found.try_collect().await
        });
        let mut kinds = try_join_all(kinds).await?.into_iter();
        Ok(Self::sorted(std::array::from_fn(|_| kinds.next().unwrap_or_default())))
    }

    fn sorted(mut kinds: [Vec<(Hash, u64)>; ObjectKind::ALL.len()]) -> Self {
        for objects in &mut kinds {
            objects.sort_unstable();
            objects.shrink_to_fit();
        }
        Self { kinds }
    }

    /// The number of an object among those of its kind.
    pub fn number(&self, object: &ObjectRef) -> Option<u32> {
        let at = self.kinds[object.kind as usize].binary_search_by(|(hash, _)| hash.cmp(&object.hash)).ok()?;
        u32::try_from(at).ok()
    }

    /// The object with a number, and how many bytes it takes.
    pub fn get(&self, kind: ObjectKind, number: u32) -> Option<(ObjectRef, u64)> {
        self.kinds[kind as usize].get(number as usize).map(|(hash, size)| (ObjectRef::new(kind, *hash), *size))
    }

    /// All of a kind, sorted, and how many bytes each takes.
    pub fn objects(&self, kind: ObjectKind) -> impl ExactSizeIterator<Item = (ObjectRef, u64)> + '_ {
        self.kinds[kind as usize].iter().map(move |(hash, size)| (ObjectRef::new(kind, *hash), *size))
    }
}

impl FromIterator<(ObjectRef, u64)> for Alone {
    fn from_iter<I: IntoIterator<Item = (ObjectRef, u64)>>(objects: I) -> Self {
        let mut kinds: [Vec<(Hash, u64)>; ObjectKind::ALL.len()] = Default::default();
        objects.into_iter().for_each(|(object, size)| kinds[object.kind as usize].push((object.hash, size)));
        Self::sorted(kinds)
    }
}
