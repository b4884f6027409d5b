//! Making the catalog agree with the packs that are really there.

use std::sync::Arc;

use futures::future::ready;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::catalog::{Catalog, PackMembers};
use super::doomed::Doomed;
use super::footer::{self, FooterError};
use crate::crypto::Sealer;
use crate::object::Hash;
use crate::store::{ObjectStore, StoreError, StoreErrorKind};

/// What healing a catalog found.
#[derive(Debug, Default)]
pub struct Healed {
    /// The catalog that agrees with the packs.
    pub catalog: Arc<Catalog>,
    /// Entries that came back from footers.
    pub recovered: usize,
    /// Entries of packs that are gone.
    pub dropped: usize,
    /// Packs of which neither the catalog nor a footer says what is in them.
    pub unknown: Vec<Hash>,
    /// Packs that the catalog does not name and that were not looked at, because they are listed in [`Doomed`].
    pub left_out: Vec<Hash>,
}

/// Whose footers are not believed.
enum LeaveOut<'a> {
    /// Those of packs that are listed now.
    Listed,
    /// Those of packs that this list has as damaged.
    Damaged(&'a Doomed),
    Nobodys,
}

/// Bytes of a pack's end that are read at first: enough for the footer of most.
pub(crate) const FIRST_READ: u64 = 64 << 10;

/// What the end of a pack says.
#[derive(Debug)]
pub(crate) enum Footer {
    /// There is none.
    None,
    /// It cannot be believed, and why.
    Bad(FooterError),
    /// What is in the pack.
    Members(PackMembers),
}

/// Adds what the footers of packs say that `catalog` does not name at all, and drops what points into packs that do not
/// exist. A writer that clobbers the catalog loses the entries of whole packs, so no other pack needs a look. Packs that
/// a prune is about to delete are left out: what is in them may be gone at any moment.
pub async fn heal(store: &dyn ObjectStore, sealer: &Sealer, catalog: Arc<Catalog>) -> Result<Healed, StoreError> {
    heal_with(store, sealer, catalog, LeaveOut::Listed).await
}

/// The same with all packs that are listed: for those who read.
pub async fn heal_all(store: &dyn ObjectStore, sealer: &Sealer, catalog: Arc<Catalog>) -> Result<Healed, StoreError> {
    heal_with(store, sealer, catalog, LeaveOut::Nobodys).await
}

/// The same with the packs that an earlier prune was about to delete, for the next one; but without those that are damaged,
/// for what is named again passes for good.
pub(crate) async fn heal_for_prune(
    store: &dyn ObjectStore,
    sealer: &Sealer,
    catalog: Arc<Catalog>,
    doomed: &Doomed,
) -> Result<Healed, StoreError> {
    heal_with(store, sealer, catalog, LeaveOut::Damaged(doomed)).await
}

async fn heal_with(
    store: &dyn ObjectStore,
    sealer: &Sealer,
    catalog: Arc<Catalog>,
    leave_out: LeaveOut<'_>,
) -> Result<Healed, StoreError> {
    let mut packs: Vec<(Hash, u64)> = store
        .list("packs/")
        .try_filter_map(|stat| {
            let name = stat.key.strip_prefix("packs/").and_then(|name| name.parse().ok());
            ready(Ok(name.map(|name| (name, stat.size))))
        })
        .try_collect()
        .await?;
    packs.sort_unstable();
    let exists = |pack: &Hash| packs.binary_search_by(|(name, _)| name.cmp(pack)).is_ok();
    let (mut catalog, dropped) = if catalog.packs().iter().all(exists) {
        (catalog, 0)
    } else {
        let (catalog, dropped) = Arc::unwrap_or_clone(catalog).retain_packs(exists);
        (Arc::new(catalog), dropped)
    };
    let mut named = catalog.packs().to_vec();
    named.sort_unstable();
    packs.retain(|(name, _)| named.binary_search(name).is_err());
    let mut left_out = Vec::new();
    match leave_out {
        LeaveOut::Listed if !packs.is_empty() => {
            let (doomed, _) = Doomed::read(store, sealer).await?;
            left_out.extend(packs.extract_if(.., |(name, _)| doomed.has_pack(name)).map(|(name, _)| name));
        }
        LeaveOut::Damaged(doomed) => {
            left_out.extend(packs.extract_if(.., |(name, _)| doomed.is_damaged(name)).map(|(name, _)| name));
        }
        LeaveOut::Listed | LeaveOut::Nobodys => {}
    }
    let found: Vec<Result<PackMembers, Hash>> = stream::iter(packs)
        .map(|(name, size)| async move {
            Ok::<_, StoreError>(match read_footer(store, sealer, (name, size), FIRST_READ).await? {
                Footer::Members(members) => Ok(members),
                Footer::None => Err(name),
                Footer::Bad(problem) => {
                    tracing::warn!(pack = %name, %problem, "a pack that the catalog does not name is ignored");
                    Err(name)
                }
            })
        })
        .buffer_unordered(store.capabilities().concurrency)
        .try_collect()
        .await?;
    let before = catalog.len();
    let unknown = found.iter().filter_map(|found| found.as_ref().err().copied()).collect();
    let found: Vec<PackMembers> = found.into_iter().flatten().collect();
    if !found.is_empty() {
        catalog = Arc::new(Arc::unwrap_or_clone(catalog).with(found));
    }
    Ok(Healed { recovered: catalog.len() - before, dropped, unknown, left_out, catalog })
}

/// How many bytes of a pack are its footer; 0 without one. What it lists is not looked at.
pub async fn footer_size(store: &dyn ObjectStore, pack: &Hash, size: u64) -> Result<u64, StoreError> {
    let end = store.get_range(&format!("packs/{pack}"), size.saturating_sub(footer::TAIL as u64)..size).await?;
    Ok(footer::length(&end, size).map_or(0, |length| length + footer::TAIL as u64))
}

/// What the footer of a pack of a size lists. At first, `first` bytes of the pack's end are read.
pub(crate) async fn read_footer(
    store: &dyn ObjectStore,
    sealer: &Sealer,
    (pack, size): (Hash, u64),
    first: u64,
) -> Result<Footer, StoreError> {
    let key = format!("packs/{pack}");
    let mut end = store.get_range(&key, size.saturating_sub(first)..size).await?;
    let tail = end.len().saturating_sub(footer::TAIL);
    let Some(length) = footer::length(&end[tail..], size) else { return Ok(Footer::None) };
    let start = size - footer::TAIL as u64 - length;
    if length + footer::TAIL as u64 > end.len() as u64 {
        end = store.get_range(&key, start..size).await?;
    }
    let from = end.len() - footer::TAIL - length as usize;
    let list = end.slice(from..end.len() - footer::TAIL);
    let sealer = sealer.clone();
    let decoding = tokio::task::spawn_blocking(move || footer::decode(&sealer, &list, start));
    let decoded = decoding.await.map_err(|cause| StoreError {
        kind: StoreErrorKind::Other,
        key: key.clone(),
        backend: store.describe(),
        detail: cause.to_string(),
    })?;
    Ok(match decoded {
        Ok(members) => Footer::Members(PackMembers { pack, members }),
        Err(problem) => Footer::Bad(problem),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::object::{ObjectKind, ObjectRef};
    use crate::pack::{Location, Member, PackBuilder};
    use crate::store::MemoryStore;

    fn object(n: u32) -> (ObjectRef, Vec<u8>) {
        let bytes = format!("object {n}").into_bytes();
        (ObjectRef::new(ObjectKind::Filemeta, Hash::of(&bytes)), bytes)
    }

    async fn store_pack(store: &MemoryStore, sealer: &Sealer, numbers: std::ops::Range<u32>) -> PackMembers {
        let mut builder = PackBuilder::default();
        for (reference, bytes) in numbers.map(object) {
            builder.add(reference, &sealer.seal(&bytes).unwrap());
        }
        let pack = builder.finish(sealer).unwrap();
        store.put(&format!("packs/{}", pack.members.pack), pack.bytes).await.unwrap();
        pack.members
    }

    #[tokio::test]
    async fn a_clobbered_catalog_comes_back_from_the_footers() {
        let (store, sealer) = (MemoryStore::default(), Sealer::new(None));
        let mine = store_pack(&store, &sealer, 0..3000).await;
        let theirs = store_pack(&store, &sealer, 3000..3001).await;
        let healed = heal(&store, &sealer, Arc::new(Catalog::default().with(vec![theirs.clone()]))).await.unwrap();
        assert_eq!((healed.recovered, healed.dropped), (3000, 0));
        for PackMembers { pack, members } in [mine, theirs] {
            for Member { object, offset, length } in members {
                let location = Location { pack, offset: offset.into(), length: length.into() };
                assert_eq!(healed.catalog.find(&object), Some(location));
            }
        }
    }

    #[tokio::test]
    async fn entries_of_packs_that_are_gone_are_dropped() {
        let (store, sealer) = (MemoryStore::default(), Sealer::new(None));
        let members = store_pack(&store, &sealer, 0..5).await;
        store.objects().clear();
        let healed = heal(&store, &sealer, Arc::new(Catalog::default().with(vec![members]))).await.unwrap();
        assert_eq!((healed.recovered, healed.dropped, healed.catalog.len()), (0, 5, 0));
    }

    #[tokio::test]
    async fn a_pack_that_is_about_to_be_deleted_is_for_readers_only() {
        let (store, sealer) = (MemoryStore::default(), Sealer::new(None));
        let doomed = store_pack(&store, &sealer, 0..5).await;
        store_pack(&store, &sealer, 5..8).await;
        let list = Doomed::needless(vec![doomed.pack], Vec::new());
        store.put(crate::pack::DOOMED_KEY, list.seal(&sealer).unwrap().into()).await.unwrap();
        let healed = heal(&store, &sealer, Arc::default()).await.unwrap();
        assert_eq!((healed.recovered, healed.unknown.len()), (3, 0));
        assert_eq!(heal_all(&store, &sealer, Arc::default()).await.unwrap().recovered, 8);
        // Whoever named it did so before it was listed, or finds it needed.
        let named = Arc::new(Catalog::default().with(vec![doomed]));
        assert_eq!(heal(&store, &sealer, named).await.unwrap().catalog.len(), 8);
    }

    #[tokio::test]
    async fn what_only_looks_like_a_footer_is_no_footer() {
        let (store, sealer) = (MemoryStore::default(), Sealer::new(None));
        let snapshot = format!("[[\"snapshot/{}\",0,4]]", Hash::of(b""));
        let gap = format!("[[\"node/{}\",1,3]]", Hash::of(b""));
        for list in [snapshot.as_str(), gap.as_str(), "[]", "nonsense"] {
            let mut pack = b"body".to_vec();
            pack.extend_from_slice(list.as_bytes());
            pack.extend_from_slice(&(list.len() as u64).to_le_bytes());
            pack.extend_from_slice(super::super::PACK_MAGIC);
            store.put(&format!("packs/{}", Hash::of(&pack)), Bytes::from(pack)).await.unwrap();
        }
        let huge = [&u64::MAX.to_le_bytes()[..], super::super::PACK_MAGIC].concat();
        store.put(&format!("packs/{}", Hash::of(&huge)), Bytes::from(huge)).await.unwrap();
        assert_eq!(heal(&store, &sealer, Arc::default()).await.unwrap().recovered, 0);
    }
}
