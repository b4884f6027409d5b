//! Putting another catalog in the place of the stored one, for a repair.

use std::sync::Arc;

use super::{LoadedCatalog, Repository, RepositoryError, not_written, write_out};
use crate::lock::LeaseWatch;
use crate::pack::{CATALOG_KEY, Catalog};
use crate::store::Version;

impl Repository {
    /// Puts a catalog in the place of the stored one, which is `seen` still, or not there. The lock must be exclusive, for
    /// where the store cannot tell, what another writer has added since would be forgotten.
    pub(crate) async fn rebuild_catalog(
        &self,
        catalog: Catalog,
        seen: Option<Version>,
        lease: &LeaseWatch,
    ) -> Result<(), RepositoryError> {
        let mut slot = self.catalog.lock().await;
        let (catalog, file) = tokio::task::spawn_blocking(move || write_out(&catalog).map(|file| (catalog, file)))
            .await?
            .map_err(not_written)?;
        lease.prove().await?;
        self.prove_identity().await?;
        // Only which one it is counts.
        let Some(version) = self.put_catalog(file, seen.map(|seen| (0, seen)).as_ref()).await? else {
            return Err(RepositoryError::System(format!(
                "{CATALOG_KEY} was written by somebody else, although the repository is locked: find out by whom, and run \
                 this again"
            )));
        };
        *slot = Some(LoadedCatalog {
            version: Some(version),
            catalog: Arc::new(catalog),
            differs: false,
            lost: false,
            lost_snapshots: Arc::default(),
        });
        Ok(())
    }
}
