//! The pack catalog of an open repository: loaded once, healed, and merged when packs are added.
//!
//! The one invariant: what this process knows of a pack that is still there, it does not forget because somebody overwrites
//! the stored catalog; and it overwrites only what it has read, where the store can tell.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::commit::TRIES;
use super::{Repository, RepositoryError};
use read::Found;
pub(crate) use sweep::WholeCatalog;

use crate::lock::LeaseWatch;
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::stored::{self, CatalogError};
use crate::pack::{CATALOG_KEY, Catalog, Doomed, Healed, PackMembers, heal};
use crate::store::Version;

/// A catalog, and which stored one it came from.
#[derive(Debug, Clone)]
pub(super) struct LoadedCatalog {
    version: Option<Stored>,
    catalog: Arc<Catalog>,
    /// Whether the stored one lacks what this one has, or the other way round.
    differs: bool,
    /// Whether packs are gone that the stored one names.
    lost: bool,
    /// The snapshots that it names in such packs.
    lost_snapshots: Arc<[ObjectRef]>,
}

/// The size and the version of the stored catalog.
type Stored = (u64, Version);

/// The catalog that is in the store.
#[derive(Debug)]
pub(crate) struct StoredCatalog {
    /// Only what can be read of it, if it is damaged.
    pub(crate) catalog: Catalog,
    /// What is wrong with it.
    pub(crate) problem: Option<CatalogError>,
    /// Which one that is; it may have been written anew while it was read.
    pub(crate) version: Version,
}

/// How often others may be quicker to write the catalog. Of all who write it at once, one is.
const CONFLICTS: usize = 100;

impl Repository {
    /// Where every packed object lies, by the catalog in the store and the footers of the packs that it does not name;
    /// as it was when this was last looked at.
    pub(crate) async fn catalog(&self) -> Result<Arc<Catalog>, RepositoryError> {
        let mut slot = self.catalog.lock().await;
        match &*slot {
            Some(loaded) => Ok(Arc::clone(&loaded.catalog)),
            None => Ok(self.load_into(&mut slot).await?.0.catalog),
        }
    }

    /// The same, read again if somebody has written it since.
    pub(super) async fn refresh_catalog(&self) -> Result<Arc<Catalog>, RepositoryError> {
        let mut slot = self.catalog.lock().await;
        Ok(self.load_into(&mut slot).await?.0.catalog)
    }

    /// The same, after a look at which packs there are now. Says also whether any of those that the catalog names is gone.
    pub(crate) async fn catalog_now(&self) -> Result<(Arc<Catalog>, bool), RepositoryError> {
        let mut slot = self.catalog.lock().await;
        let (loaded, is_read) = self.load_into(&mut slot).await?;
        if is_read {
            return Ok((loaded.catalog, loaded.lost));
        }
        let Healed { catalog, recovered, dropped, .. } =
            heal(&*self.store, &self.sealer, Arc::clone(&loaded.catalog)).await?;
        let differs = loaded.differs || recovered + dropped > 0;
        let lost = loaded.lost || dropped > 0;
        // Packs that are new are those of backups that have not written their catalog yet.
        if dropped > 0 {
            self.note_heal(recovered, dropped, 0);
        }
        *slot = Some(LoadedCatalog { catalog: Arc::clone(&catalog), differs, lost, ..loaded });
        Ok((catalog, lost))
    }

    /// Whether this process alone knows what is in some packs, until it writes the catalog.
    pub fn remembers_more_than_is_stored(&self) -> bool {
        self.remembers.load(Ordering::Relaxed)
    }

    /// Adds entries to the stored catalog, and takes those of some keys out of it, if `lease` holds. Somebody else may
    /// write it at the same time: where the store can tell, this then begins anew. Elsewhere, and with those who write it blindly,
    /// one may undo the other: but packs are in the store before their catalog is, so whoever writes last and then looks
    /// at the packs sees everything that has a footer.
    pub(super) async fn extend_catalog(
        &self,
        added: Vec<PackMembers>,
        remove: &BTreeSet<String>,
        lease: &LeaseWatch,
    ) -> Result<(), RepositoryError> {
        let mut slot = self.catalog.lock().await;
        if let Some(loaded) = &*slot {
            let removes = remove.iter().any(|key| loaded.catalog.has_key(key));
            if added.is_empty() && !removes && !loaded.differs {
                return Ok(());
            }
        }
        let is_conditional = self.store.capabilities().conditional_replace;
        let mut next = match &*slot {
            // If it is another one by now, it is not overwritten.
            Some(loaded) if is_conditional => loaded.clone(),
            _ => self.load_into(&mut slot).await?.0,
        };
        let mut added = added;
        let (mut written, mut conflicts) = (0, 0);
        while written < TRIES {
            lease.confirm().await?;
            let is_written = self.write_catalog(&mut slot, next, std::mem::take(&mut added), remove).await?;
            if is_written && is_conditional {
                break;
            }
            next = self.load_into(&mut slot).await?.0;
            if !is_written {
                conflicts += 1;
                if conflicts > CONFLICTS {
                    return Err(RepositoryError::System(format!(
                        "{CATALOG_KEY} could not be written: others wrote it {conflicts} times meanwhile; run this again"
                    )));
                }
                continue;
            }
            written += 1;
            let Healed { catalog, recovered, dropped, unknown, .. } =
                heal(&*self.store, &self.sealer, Arc::clone(&next.catalog)).await?;
            if recovered + dropped == 0 && !next.differs {
                self.note_unknown(&unknown);
                break;
            }
            // What only came to it are packs of backups that have not written their catalog yet.
            if dropped > 0 {
                self.note_heal(recovered, dropped, 0);
            }
            next.catalog = catalog;
        }
        Ok(())
    }

    /// Says that a write that could not be made on condition may have undone another program's.
    fn note_unknown(&self, unknown: &[Hash]) {
        if let Some(first) = unknown.first().filter(|_| !self.store.capabilities().conditional_replace) {
            tracing::error!(
                packs = unknown.len(),
                first = %first,
                store = self.store.describe(),
                "of some packs neither the pack catalog nor a footer says what is in them: either another program is \
                 backing up at this moment, or this store let two overwrite each other's catalog, and what that program \
                 stored is lost to its last snapshots; check the repository, and back up again what is reported missing"
            );
        }
    }

    /// Another writer has undone what the catalog said of `undone` packs, or packs that it names are gone, or when it was
    /// first read it lacked packs: then their backup may be under way, or was cut off.
    fn note_heal(&self, recovered: usize, dropped: usize, undone: usize) {
        let store = self.store.describe();
        if dropped + undone > 0 {
            tracing::warn!(recovered, dropped, undone, store, "the pack catalog was healed");
        } else {
            tracing::info!(recovered, store, "packs that the pack catalog does not name were added from their footers");
        }
        self.heals.fetch_add(1, Ordering::Relaxed);
    }

    /// Leaves what was to be written in `slot`. `false` if the stored catalog is not the one that was loaded any more.
    async fn write_catalog(
        &self,
        slot: &mut Option<LoadedCatalog>,
        loaded: LoadedCatalog,
        added: Vec<PackMembers>,
        remove: &BTreeSet<String>,
    ) -> Result<bool, RepositoryError> {
        let LoadedCatalog { version, catalog, .. } = loaded;
        // If nobody else has it, the old one becomes the new one without a copy.
        *slot = None;
        let removed = remove.clone();
        let (catalog, file) = tokio::task::spawn_blocking(move || {
            let catalog = Arc::unwrap_or_clone(catalog).with(added).without(&removed);
            let file = write_out(&catalog);
            (catalog, file)
        })
        .await?;
        // What was added is known also if the write fails; whether what was removed is gone, the stored one says then.
        let known_as = version.clone().filter(|_| remove.is_empty());
        let next = LoadedCatalog {
            version: known_as,
            catalog: Arc::new(catalog),
            differs: true,
            lost: false,
            lost_snapshots: Arc::default(),
        };
        let next = slot.insert(next);
        let file = file.map_err(not_written)?;
        let Some(written) = self.put_catalog(file, version.as_ref()).await? else { return Ok(false) };
        next.version = Some(written);
        next.differs = false;
        Ok(true)
    }

    /// Writes the catalog if the stored one is still this; `None` if it is not.
    async fn put_catalog(&self, file: File, expected: Option<&Stored>) -> Result<Option<Stored>, RepositoryError> {
        let size = file.metadata().map_err(not_written)?.len();
        let expected = expected.map(|(_, version)| version);
        let written = self.store.put_file_if_unchanged(CATALOG_KEY, file, expected).await?;
        if written.is_some() {
            self.remembers.store(false, Ordering::Relaxed);
            self.forget_damage(CATALOG_KEY);
        }
        Ok(written.map(|version| (size, version)))
    }

    /// Says also whether it had to be read: then it agrees with the packs that there are now.
    async fn load_into(&self, slot: &mut Option<LoadedCatalog>) -> Result<(LoadedCatalog, bool), RepositoryError> {
        let is_known = slot.as_ref().is_some_and(|loaded| loaded.version.is_some());
        let found = if is_known { self.catalog_version().await? } else { self.catalog_start().await? };
        let version = found.as_ref().map(|found| &found.stored);
        if let Some(loaded) = slot.as_ref().filter(|loaded| loaded.version.as_ref() == version) {
            return Ok((loaded.clone(), false));
        }
        let loaded = self.read_catalog(found, slot.as_ref().map(|known| &*known.catalog)).await?;
        Ok((slot.insert(loaded).clone(), true))
    }

    /// Reads the stored catalog, and adds what `known`, an earlier one, says of packs of which nothing else says anything.
    async fn read_catalog(
        &self,
        found: Option<Found>,
        known: Option<&Catalog>,
    ) -> Result<LoadedCatalog, RepositoryError> {
        let (stored, version) = match found {
            Some(Found { stored: (size, version), start }) => {
                (self.read_stored(size, start).await?, Some((size, version)))
            }
            None => (Ok(Catalog::default()), None),
        };
        let (stored, damage) = match stored {
            Ok(catalog) => (catalog, None),
            Err(problem) => (Catalog::default(), Some(problem.to_string())),
        };
        let snapshots: Vec<ObjectRef> = stored.objects(ObjectKind::Snapshot).collect();
        let mut named = stored.packs().to_vec();
        named.sort_unstable();
        let healed = heal(&*self.store, &self.sealer, Arc::new(stored)).await?;
        let Healed { mut catalog, recovered, dropped, mut unknown, .. } = healed;
        unknown.sort_unstable();
        let forgotten = match known {
            Some(known) => self.forgotten(known, &unknown).await?,
            None => Vec::new(),
        };
        // Both are sorted.
        unknown.retain(|pack| forgotten.binary_search_by(|forgotten| forgotten.pack.cmp(pack)).is_err());
        let there: HashSet<&Hash> = catalog.packs().iter().collect();
        let is_undone = |pack: &&Hash| named.binary_search(pack).is_err() && there.contains(pack);
        let undone = known.map_or(0, |known| known.packs().iter().filter(is_undone).count()) + forgotten.len();
        let restored = forgotten.len();
        if restored > 0 {
            self.remembers.store(true, Ordering::Relaxed);
            tracing::error!(
                packs = restored,
                store = self.store.describe(),
                "another program overwrote the pack catalog and forgot packs that have no footers; what was known of them \
                 is written again with the next backup: make one before this daemon is stopped"
            );
            catalog = Arc::new(Arc::unwrap_or_clone(catalog).with(forgotten));
        }
        let absent = version.is_none().then(|| "it is missing".to_owned());
        if let Some(problem) = damage.as_ref().or(absent.as_ref()).filter(|_| !unknown.is_empty()) {
            // Packs without a footer are known to the catalog alone: to go on would be to forget them.
            return Err(RepositoryError::malformed(
                CATALOG_KEY,
                format!("{problem}; {} packs have no footer to rebuild it from", unknown.len()),
            ));
        }
        if let Some(problem) = &damage {
            self.note_damage(CATALOG_KEY, format!("{problem}; it was rebuilt from the footers of the packs"));
            self.heals.fetch_add(1, Ordering::Relaxed);
        } else if dropped + undone > 0 || (recovered > 0 && known.is_none()) {
            self.note_heal(recovered, dropped, undone);
        }
        let differs = damage.is_some() || recovered + dropped + restored > 0;
        let lost_snapshots = snapshots.into_iter().filter(|snapshot| !catalog.contains(snapshot)).collect();
        Ok(LoadedCatalog { version, catalog, differs, lost: dropped > 0, lost_snapshots })
    }

    /// What `known` says of packs of which nothing else says anything, because somebody has overwritten their names. Their
    /// snapshots come along, but for those that were removed: without them, a prune would take the data for needless. Packs
    /// that had nothing but snapshots, and are alone in it, have lost their names by the removal of these.
    async fn forgotten(&self, known: &Catalog, unknown: &[Hash]) -> Result<Vec<PackMembers>, RepositoryError> {
        let mut forgotten = known.members_of(unknown);
        if !forgotten.iter().flat_map(|pack| &pack.members).any(|member| member.object.kind.is_data()) {
            return Ok(Vec::new());
        }
        let (doomed, _) = Doomed::read(&*self.store, &self.sealer).await?;
        for pack in &mut forgotten {
            pack.members.retain(|member| !doomed.is_forgotten(&member.object));
        }
        forgotten.retain(|pack| !pack.members.is_empty());
        Ok(forgotten)
    }
}

fn not_written(cause: io::Error) -> RepositoryError {
    RepositoryError::System(format!("a temporary file cannot be written: {cause}"))
}

fn write_out(catalog: &Catalog) -> io::Result<File> {
    let mut out = BufWriter::with_capacity(1 << 20, tempfile::tempfile()?);
    stored::write(catalog, &mut out)?;
    out.into_inner().map_err(io::IntoInnerError::into_error)
}

mod read;
mod replace;
mod sweep;
#[cfg(test)]
mod tests;
