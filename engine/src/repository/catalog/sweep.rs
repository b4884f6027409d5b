//! The catalog for a prune: as it is with everything that is known, and replaced by what is left of it.

use std::sync::Arc;

use super::{LoadedCatalog, Stored, not_written, write_out};
use crate::lock::LeaseWatch;
use crate::object::{Hash, Latest, ObjectKind, ObjectRef, SnapshotEntry};
use crate::pack::{Catalog, Doomed, Healed, heal_for_prune};
use crate::repository::index::LATEST_KEY;
use crate::repository::{Repository, RepositoryError, newer};
use crate::store::Version;

/// The catalog with everything that footers say, also those of packs that a prune was about to delete, but for damaged ones.
#[derive(Debug)]
pub(crate) struct WholeCatalog {
    pub(crate) catalog: Arc<Catalog>,
    /// Whether the stored one says something else.
    pub(crate) differs: bool,
    /// Snapshots that the stored one names in packs that are gone.
    pub(crate) lost_snapshots: Vec<ObjectRef>,
    /// Packs of which neither it nor a footer says what is in them.
    pub(crate) unknown: Vec<Hash>,
    /// Packs that it does not name and that are listed as damaged.
    pub(crate) damaged: Vec<Hash>,
    /// What no writer relies on, and which list says so.
    pub(crate) doomed: (Doomed, Option<Version>),
    version: Option<Stored>,
}

impl Repository {
    /// The catalog as it is now.
    pub(crate) async fn whole_catalog(&self) -> Result<WholeCatalog, RepositoryError> {
        let mut slot = self.catalog.lock().await;
        let (loaded, _) = self.load_into(&mut slot).await?;
        let doomed = Doomed::read(&*self.store, &self.sealer).await?;
        let healed = heal_for_prune(&*self.store, &self.sealer, Arc::clone(&loaded.catalog), &doomed.0).await?;
        let Healed { catalog, recovered, dropped, unknown, left_out: damaged } = healed;
        let before = loaded.lost_snapshots.iter().copied().chain(loaded.catalog.objects(ObjectKind::Snapshot));
        let lost_snapshots = before.filter(|snapshot| !catalog.contains(snapshot)).collect();
        let differs = loaded.differs || recovered + dropped > 0;
        Ok(WholeCatalog { catalog, differs, lost_snapshots, unknown, damaged, doomed, version: loaded.version })
    }

    /// Replaces the stored catalog by what `sweep` makes of the whole one; `false` if somebody has written it meanwhile.
    pub(crate) async fn sweep_catalog(
        &self,
        whole: WholeCatalog,
        sweep: impl FnOnce(Catalog) -> Catalog + Send + 'static,
        lease: &LeaseWatch,
    ) -> Result<bool, RepositoryError> {
        let mut slot = self.catalog.lock().await;
        let WholeCatalog { catalog, version, .. } = whole;
        // If nobody else has it, the old one becomes the new one without a copy.
        *slot = None;
        let sweeping = tokio::task::spawn_blocking(move || {
            let catalog = sweep(Arc::unwrap_or_clone(catalog));
            let file = write_out(&catalog);
            (catalog, file)
        });
        let (catalog, file) = sweeping.await?;
        // Known also if the write fails: what is in packs without a footer must not be forgotten.
        let next = LoadedCatalog {
            version: version.clone(),
            catalog: Arc::new(catalog),
            differs: true,
            lost: false,
            lost_snapshots: Arc::default(),
        };
        let next = slot.insert(next);
        let file = file.map_err(not_written)?;
        lease.prove().await?;
        let Some(written) = self.put_catalog(file, version.as_ref()).await? else { return Ok(false) };
        next.version = Some(written);
        next.differs = false;
        Ok(true)
    }

    /// Writes `index/latest` by itself, before one in a pack goes: it names the snapshot with the highest number.
    pub(crate) async fn unpack_latest(&self, snapshots: &[SnapshotEntry]) -> Result<(), RepositoryError> {
        match snapshots.iter().max_by(|a, b| a.seq.cmp(&b.seq).then(newer(a, b))) {
            Some(SnapshotEntry { reference, seq, .. }) => {
                self.put_index(LATEST_KEY, Latest { latest_snapshot: *reference, seq: *seq }).await.map(drop)
            }
            None => Ok(self.store.delete(LATEST_KEY).await?),
        }
    }
}
