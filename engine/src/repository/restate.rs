//! Writing what a repair has made: snapshots that keep their numbers and times, and a catalog without what is gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::writer::Written;
use super::{Repository, RepositoryError};
use crate::lock::LeaseWatch;
use crate::object::{ObjectRef, Snapshot};

impl Repository {
    /// Writes snapshots just as they are, whose trees a writer has `written`, and makes both indexes agree with all that
    /// can be read. `unreadable` are those that cannot, whatever is remembered of them. Gives the names of the new ones, in
    /// the same order. The lock must be exclusive.
    pub(crate) async fn put_snapshots(
        self: &Arc<Self>,
        written: Written,
        new: Vec<Snapshot>,
        unreadable: &[ObjectRef],
        lease: &LeaseWatch,
    ) -> Result<Vec<ObjectRef>, RepositoryError> {
        let _alone = self.commits.lock().await;
        lease.confirm().await?;
        self.prove_identity().await?;
        self.extend_catalog(written.packs, &BTreeSet::new(), lease).await?;
        unreadable.iter().for_each(|reference| self.forget_snapshot(reference));
        let mut all = self.proven_snapshots().await?.readable;
        let mut names = Vec::with_capacity(new.len());
        for snapshot in new {
            let (snapshot, reference, sealed) = self.seal_snapshot(snapshot).await?;
            names.push(reference);
            if all.iter().all(|entry| entry.reference != reference) {
                lease.prove().await?;
                all.push(self.put_snapshot(reference, &snapshot, sealed, lease).await?);
            }
        }
        self.publish(all, &BTreeSet::new(), lease).await?;
        Ok(names)
    }

    /// Takes packs that are gone out of the stored catalog, and forgets what was damaged.
    pub(crate) async fn settle(&self, lease: &LeaseWatch) -> Result<(), RepositoryError> {
        self.catalog_now().await?;
        self.extend_catalog(Vec::new(), &BTreeSet::new(), lease).await?;
        self.forget_damage_except(|_| false);
        Ok(())
    }
}
