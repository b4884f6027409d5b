//! Listing what no writer relies on, and what was let go on purpose. See [`Doomed`].

use std::collections::BTreeSet;

use super::commit::TRIES;
use super::index::LATEST_KEY;
use super::{Repository, RepositoryError};
use crate::lock::LeaseWatch;
use crate::object::{Hash, ObjectRef};
use crate::pack::{DOOMED_KEY, Doomed};

impl Repository {
    /// Adds to the list. One that cannot be read is replaced: only who has looked at everything may do that.
    pub(crate) async fn doom(&self, more: &Doomed, lease: &LeaseWatch) -> Result<(), RepositoryError> {
        for _ in 0..TRIES {
            let (listed, version) = Doomed::read(&*self.store, &self.sealer).await?;
            let (list, sealer) = (listed.and(more), self.sealer.clone());
            if list == listed && !listed.is_unreadable() {
                return Ok(());
            }
            let sealed = tokio::task::spawn_blocking(move || list.seal(&sealer)).await??.into();
            lease.confirm().await?;
            let is_written = match &version {
                Some(version) => self.store.put_if_unchanged(DOOMED_KEY, sealed, version).await?,
                None => self.store.put_if_absent(DOOMED_KEY, sealed).await?,
            };
            if is_written {
                return Ok(());
            }
        }
        Err(RepositoryError::System(format!("{DOOMED_KEY} was written by others again and again; run this again")))
    }

    /// Lists what is about to lose its name in the catalog on purpose: snapshots that are `removed`, so that a repair does
    /// not find them again in their packs; and packs that have no other name left, so that a prune knows that nothing was
    /// lost with it. Before the catalog is written: if that is cut off, what still has a name is not concerned.
    pub(super) async fn let_go(
        &self,
        removed: &BTreeSet<ObjectRef>,
        lease: &LeaseWatch,
    ) -> Result<(), RepositoryError> {
        let catalog = self.catalog().await?;
        let in_pack = |snapshot: &ObjectRef| Some((*snapshot, catalog.find(snapshot)?.pack));
        let forgotten: Vec<(ObjectRef, Hash)> = removed.iter().filter_map(in_pack).collect();
        let mut packs: BTreeSet<Hash> = forgotten.iter().map(|(_, pack)| *pack).collect();
        packs.extend(catalog.pointer(LATEST_KEY).map(|place| place.pack));
        if packs.is_empty() {
            return Ok(());
        }
        let others = catalog.pointers().iter().filter(|(key, _)| *key != LATEST_KEY).map(|(_, place)| place.pack);
        let named = catalog.located().filter(|(object, _)| !removed.contains(object)).map(|(_, place)| place.pack);
        named.chain(others).for_each(|pack| _ = packs.remove(&pack));
        let (listed, _) = Doomed::read(&*self.store, &self.sealer).await?;
        if listed.is_unreadable() {
            return Ok(());
        }
        let more = Doomed::needless(packs.into_iter().collect(), Vec::new()).with_forgotten(forgotten);
        self.doom(&more, lease).await
    }
}
