//! The pack catalog of an open repository: loaded once, healed, and merged when packs are added.

use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use super::commit::TRIES;
use super::{Repository, RepositoryError};
use crate::pack::stored::{self, CatalogError, CatalogReader};
use crate::pack::{CATALOG_KEY, Catalog, Healed, PackMembers, heal};
use crate::store::StoreErrorKind;

/// A catalog, and which stored one it came from.
#[derive(Debug, Clone)]
pub(super) struct LoadedCatalog {
    version: Option<Version>,
    catalog: Arc<Catalog>,
    /// Whether the stored one lacks what this one has, or the other way round.
    differs: bool,
    /// Whether packs are gone that the stored one names.
    lost: bool,
}

type Version = (u64, SystemTime);

/// Bytes of the stored catalog that are read at once.
const PIECE: u64 = 4 << 20;

impl Repository {
    /// Where every packed object lies, by the catalog in the store and the footers of the packs that it does not name;
    /// as it was when this was last looked at.
    pub(crate) async fn catalog(&self) -> Result<Arc<Catalog>, RepositoryError> {
        let mut slot = self.catalog.lock().await;
        match &*slot {
            Some(loaded) => Ok(Arc::clone(&loaded.catalog)),
            None => Ok(self.load_into(&mut slot).await?.catalog),
        }
    }

    /// The same, read again if somebody has written it since.
    pub(super) async fn refresh_catalog(&self) -> Result<Arc<Catalog>, RepositoryError> {
        let mut slot = self.catalog.lock().await;
        Ok(self.load_into(&mut slot).await?.catalog)
    }

    /// As it was, after a look at which packs there are now. Says also whether any of those that the catalog names is
    /// gone.
    pub(crate) async fn catalog_now(&self) -> Result<(Arc<Catalog>, bool), RepositoryError> {
        let mut slot = self.catalog.lock().await;
        let loaded = match slot.take() {
            Some(loaded) => loaded,
            None => self.load_into(&mut slot).await?,
        };
        let Healed { catalog, recovered, dropped, .. } =
            heal(&*self.store, &self.sealer, Arc::clone(&loaded.catalog)).await?;
        let differs = loaded.differs || recovered + dropped > 0;
        let lost = loaded.lost || dropped > 0;
        // Packs that are new are those of backups that have not written their catalog yet.
        if dropped > 0 {
            self.note_heal(recovered, dropped);
        }
        *slot = Some(LoadedCatalog { version: loaded.version, catalog: Arc::clone(&catalog), differs, lost });
        Ok((catalog, lost))
    }

    /// Adds entries to the stored catalog, and takes a pointer out of it. Somebody else may write it at the same time
    /// and so undo this, or be undone by this: but their packs are in the store before their catalog is, so whoever
    /// writes last and then looks at the packs sees everything.
    pub(super) async fn extend_catalog(
        &self,
        added: Vec<PackMembers>,
        remove_pointer: Option<&str>,
    ) -> Result<(), RepositoryError> {
        let mut slot = self.catalog.lock().await;
        if let Some(loaded) = &*slot {
            let removes = remove_pointer.is_some_and(|key| loaded.catalog.pointer(key).is_some());
            if added.is_empty() && !removes && !loaded.differs {
                return Ok(());
            }
        }
        let loaded = self.load_into(&mut slot).await?;
        let mut next = loaded;
        let mut added = added;
        for _ in 0..TRIES {
            *slot = Some(self.write_catalog(&mut slot, next, added, remove_pointer).await?);
            let current = self.load_into(&mut slot).await?;
            let Healed { catalog, recovered, dropped, .. } =
                heal(&*self.store, &self.sealer, Arc::clone(&current.catalog)).await?;
            if recovered + dropped == 0 {
                break;
            }
            self.note_heal(recovered, dropped);
            next = LoadedCatalog { catalog, ..current };
            added = Vec::new();
        }
        Ok(())
    }

    /// Another writer has undone what the catalog said, or packs that it names are gone.
    fn note_heal(&self, recovered: usize, dropped: usize) {
        tracing::warn!(
            recovered,
            dropped,
            store = self.store.describe(),
            "the pack catalog was healed from the footers of the packs"
        );
        self.heals.fetch_add(1, Ordering::Relaxed);
    }

    async fn write_catalog(
        &self,
        slot: &mut Option<LoadedCatalog>,
        loaded: LoadedCatalog,
        added: Vec<PackMembers>,
        remove_pointer: Option<&str>,
    ) -> Result<LoadedCatalog, RepositoryError> {
        // If nobody else has it, the old one becomes the new one without a copy.
        *slot = None;
        let pointer = remove_pointer.map(str::to_owned);
        let (catalog, file) = tokio::task::spawn_blocking(move || {
            let mut catalog = Arc::unwrap_or_clone(loaded.catalog).with(added);
            if let Some(key) = pointer {
                catalog = catalog.without_pointer(&key);
            }
            write_out(&catalog).map(|file| (catalog, file))
        })
        .await?
        .map_err(|cause| RepositoryError::System(format!("a temporary file cannot be written: {cause}")))?;
        self.store.put_file(CATALOG_KEY, file).await?;
        self.forget_damage(CATALOG_KEY);
        let version = self.catalog_version().await?;
        Ok(LoadedCatalog { version, catalog: Arc::new(catalog), differs: false, lost: false })
    }

    async fn load_into(&self, slot: &mut Option<LoadedCatalog>) -> Result<LoadedCatalog, RepositoryError> {
        let version = self.catalog_version().await?;
        if let Some(loaded) = slot.as_ref().filter(|loaded| loaded.version == version) {
            return Ok(loaded.clone());
        }
        let loaded = self.read_catalog(version).await?;
        Ok(slot.insert(loaded).clone())
    }

    async fn read_catalog(&self, version: Option<Version>) -> Result<LoadedCatalog, RepositoryError> {
        let stored = match version {
            Some((size, _)) => self.read_stored(size).await?,
            None => Ok(Catalog::default()),
        };
        let (stored, damage) = match stored {
            Ok(catalog) => (catalog, None),
            Err(problem) => (Catalog::default(), Some(problem.to_string())),
        };
        let healed = heal(&*self.store, &self.sealer, Arc::new(stored)).await?;
        let Healed { catalog, recovered, dropped, unknown } = healed;
        let absent = version.is_none().then(|| "it is missing".to_owned());
        if let Some(problem) = damage.as_ref().or(absent.as_ref()).filter(|_| unknown > 0) {
            // Packs without a footer are known to the catalog alone: to go on would be to forget them.
            return Err(RepositoryError::malformed(
                CATALOG_KEY,
                format!("{problem}; {unknown} packs have no footer to rebuild it from"),
            ));
        }
        if let Some(problem) = &damage {
            self.note_damage(CATALOG_KEY, format!("{problem}; it was rebuilt from the footers of the packs"));
            self.heals.fetch_add(1, Ordering::Relaxed);
        } else if recovered + dropped > 0 {
            self.note_heal(recovered, dropped);
        }
        let differs = damage.is_some() || recovered + dropped > 0;
        Ok(LoadedCatalog { version, catalog, differs, lost: dropped > 0 })
    }

    /// Reads the stored catalog piece by piece; in one piece where it is not in canonical form, or changes meanwhile.
    async fn read_stored(&self, size: u64) -> Result<Result<Catalog, CatalogError>, RepositoryError> {
        let mut reader = CatalogReader::default();
        let mut at = 0;
        while at < size {
            let end = size.min(at + PIECE);
            let piece = match self.store.get_range(CATALOG_KEY, at..end).await {
                Ok(piece) => piece,
                Err(error) if error.kind == StoreErrorKind::Corrupt => break,
                Err(error) => return Err(error.into()),
            };
            let fed = tokio::task::spawn_blocking(move || reader.feed(&piece).map(|()| reader)).await?;
            match fed {
                Ok(fed) => reader = fed,
                Err(_) => return self.parse_stored().await,
            }
            at = end;
        }
        match tokio::task::spawn_blocking(move || reader.finish()).await? {
            Ok(catalog) => Ok(Ok(catalog)),
            Err(_) => self.parse_stored().await,
        }
    }

    async fn parse_stored(&self) -> Result<Result<Catalog, CatalogError>, RepositoryError> {
        let bytes = self.store.get(CATALOG_KEY).await?;
        Ok(tokio::task::spawn_blocking(move || stored::parse(&bytes)).await?)
    }

    async fn catalog_version(&self) -> Result<Option<Version>, RepositoryError> {
        match self.store.stat(CATALOG_KEY).await {
            Ok(stat) => Ok(Some((stat.size, stat.modified))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn write_out(catalog: &Catalog) -> io::Result<File> {
    let mut out = BufWriter::with_capacity(1 << 20, tempfile::tempfile()?);
    stored::write(catalog, &mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)
}
