//! The pack catalog of an open repository: loaded once, healed, and merged when packs are added.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::{Repository, RepositoryError};
use crate::pack::{CATALOG_KEY, Catalog, Healed, PackedObject, heal};

/// A catalog, and which stored one it came from.
#[derive(Debug, Clone)]
pub(super) struct LoadedCatalog {
    version: Option<Version>,
    catalog: Arc<Catalog>,
    /// What was wrong with the stored one.
    damage: Option<String>,
    /// Whether the stored one lacks what this one has, or the other way round.
    differs: bool,
}

type Version = (u64, SystemTime);

impl Repository {
    /// Where every packed object lies, by the catalog in the store and the footers of the packs that it does not name.
    pub(crate) async fn catalog(&self) -> Result<Arc<Catalog>, RepositoryError> {
        Ok(self.load_catalog().await?.catalog)
    }

    /// What is wrong with the stored catalog; it was replaced by what the footers of the packs say.
    pub(crate) async fn catalog_damage(&self) -> Result<Option<String>, RepositoryError> {
        Ok(self.load_catalog().await?.damage)
    }

    /// Adds entries to the stored catalog, and takes a pointer out of it. Reads it again first if somebody else has
    /// written it meanwhile.
    pub(super) async fn extend_catalog(
        &self,
        added: &[PackedObject],
        remove_pointer: Option<&str>,
    ) -> Result<(), RepositoryError> {
        let loaded = self.load_catalog().await?;
        let removes = remove_pointer.is_some_and(|key| loaded.catalog.pointer(key).is_some());
        if added.is_empty() && !removes && !loaded.differs {
            return Ok(());
        }
        let added = added.to_vec();
        let pointer = remove_pointer.map(str::to_owned);
        let (catalog, bytes) = tokio::task::spawn_blocking(move || {
            let mut catalog = loaded.catalog.with(&added);
            if let Some(key) = pointer {
                catalog = catalog.without_pointer(&key);
            }
            let bytes = catalog.encode();
            (catalog, bytes)
        })
        .await?;
        let mut slot = self.catalog.lock().await;
        self.store.put(CATALOG_KEY, Bytes::from(bytes)).await?;
        let version = self.catalog_version().await?;
        *slot = Some(LoadedCatalog { version, catalog: Arc::new(catalog), damage: None, differs: false });
        Ok(())
    }

    async fn load_catalog(&self) -> Result<LoadedCatalog, RepositoryError> {
        let mut slot = self.catalog.lock().await;
        let version = self.catalog_version().await?;
        if let Some(loaded) = slot.as_ref().filter(|loaded| loaded.version == version) {
            return Ok(loaded.clone());
        }
        let loaded = self.read_catalog(version).await?;
        Ok(slot.insert(loaded).clone())
    }

    async fn read_catalog(&self, version: Option<Version>) -> Result<LoadedCatalog, RepositoryError> {
        let stored = match version {
            Some(_) => {
                let bytes = self.store.get(CATALOG_KEY).await?;
                tokio::task::spawn_blocking(move || Catalog::parse(&bytes)).await?
            }
            None => Ok(Catalog::default()),
        };
        let (stored, damage) = match stored {
            Ok(catalog) => (catalog, None),
            Err(problem) => (Catalog::default(), Some(problem.to_string())),
        };
        let Healed { catalog, recovered, dropped, unknown } = heal(&*self.store, &self.sealer, stored).await?;
        if let Some(problem) = &damage {
            tracing::warn!(%problem, recovered, "the pack catalog was rebuilt from the footers of the packs");
            if unknown > 0 {
                // Packs without a footer are known to the catalog alone: to go on would be to forget them.
                return Err(RepositoryError::malformed(
                    CATALOG_KEY,
                    format!("{problem}; {unknown} packs have no footer to rebuild it from"),
                ));
            }
        } else if recovered + dropped > 0 {
            tracing::warn!(recovered, dropped, "the pack catalog was healed from the footers of the packs");
        }
        let differs = damage.is_some() || recovered + dropped > 0;
        Ok(LoadedCatalog { version, catalog: Arc::new(catalog), damage, differs })
    }

    async fn catalog_version(&self) -> Result<Option<Version>, RepositoryError> {
        match self.store.stat(CATALOG_KEY).await {
            Ok(stat) => Ok(Some((stat.size, stat.modified))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
