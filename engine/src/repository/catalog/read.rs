//! Reading the stored catalog, and knowing which one it is.

use bytes::Bytes;

use super::{Stored, StoredCatalog};
use crate::pack::stored::{self, CatalogError, CatalogReader};
use crate::pack::{CATALOG_KEY, Catalog};
use crate::repository::{Repository, RepositoryError};
use crate::store::StoreErrorKind;

/// The stored catalog as far as it was read to know which one it is.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) stored: Stored,
    /// Its first bytes, if they were asked for.
    pub(super) start: Bytes,
}

/// Bytes of the stored catalog that are read at once.
const PIECE: u64 = 4 << 20;

impl Repository {
    /// The catalog just as it is stored, if there is one.
    pub(crate) async fn stored_catalog(&self) -> Result<Option<StoredCatalog>, RepositoryError> {
        let Some(Found { stored: (size, version), start }) = self.catalog_start().await? else { return Ok(None) };
        let (catalog, problem) = match self.read_stored(size, start).await? {
            Ok(catalog) => (catalog, None),
            Err(problem) => {
                let bytes = self.store.get(CATALOG_KEY).await?;
                (tokio::task::spawn_blocking(move || stored::salvage(&bytes)).await?, Some(problem))
            }
        };
        Ok(Some(StoredCatalog { catalog, problem, version }))
    }

    /// Reads the stored catalog piece by piece; in one piece where it is not in canonical form, or changes meanwhile. The
    /// first piece may have been read already.
    pub(super) async fn read_stored(
        &self,
        size: u64,
        start: Bytes,
    ) -> Result<Result<Catalog, CatalogError>, RepositoryError> {
        let mut reader = CatalogReader::default();
        let mut start = Some(start).filter(|start| !start.is_empty());
        let mut at = 0;
        while at < size {
            let range = at..size.min(at + PIECE);
            let piece = match start.take() {
                Some(start) => start,
                None => match self.store.get_range(CATALOG_KEY, range).await {
                    Ok(piece) => piece,
                    Err(error) if error.kind == StoreErrorKind::Corrupt => break,
                    Err(error) => return Err(error.into()),
                },
            };
            at += piece.len() as u64;
            let fed = tokio::task::spawn_blocking(move || reader.feed(&piece).map(|()| reader)).await?;
            match fed {
                Ok(fed) => reader = fed,
                Err(_) => return self.parse_stored().await,
            }
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

    pub(super) async fn catalog_version(&self) -> Result<Option<Found>, RepositoryError> {
        match self.store.stat_versioned(CATALOG_KEY).await {
            Ok((stat, version)) => Ok(Some(Found { stored: (stat.size, version), start: Bytes::new() })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn catalog_start(&self) -> Result<Option<Found>, RepositoryError> {
        match self.store.get_start(CATALOG_KEY, PIECE).await {
            Ok((start, stat, version)) => Ok(Some(Found { stored: (stat.size, version), start })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
