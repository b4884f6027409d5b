//! Reading objects, and proving each by its name.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::pack_cache::{Access, PackCache};
use super::{ReadError, Repository, RepositoryError};
use crate::object::{Hash, ObjectKind, ObjectRef, json};
use crate::pack::{Catalog, Location, heal_all};
use crate::source::Warning;
use crate::store::StoreError;

/// Reads objects and proves each by its name. Blocking: for worker threads, never for async tasks. Cheap to clone;
/// keeps the packs it used last.
///
/// An object is looked for where the catalog says, then by itself, then where the footers of packs say; the first that
/// is what its name says is taken.
#[derive(Debug, Clone)]
pub struct ObjectReader(Arc<Reader>);

#[derive(Debug)]
struct Reader {
    repository: Arc<Repository>,
    catalog: Arc<Catalog>,
    runtime: Handle,
    packs: PackCache,
    /// What the footers of all packs say, read when the catalog fails for the first time.
    footers: OnceLock<Arc<Catalog>>,
    detours: Mutex<Vec<Warning>>,
}

impl Repository {
    /// A reader of the repository as it is now.
    pub async fn reader(self: &Arc<Self>) -> Result<ObjectReader, RepositoryError> {
        // What somebody else has written since would seem to be damaged, and what the CLI has written to be lost.
        Ok(self.known_reader(self.refresh_catalog().await?))
    }

    /// A reader that goes by this catalog.
    pub(crate) fn known_reader(self: &Arc<Self>, catalog: Arc<Catalog>) -> ObjectReader {
        ObjectReader(Arc::new(Reader {
            repository: Arc::clone(self),
            catalog,
            runtime: Handle::current(),
            packs: PackCache::default(),
            footers: OnceLock::new(),
            detours: Mutex::default(),
        }))
    }
}

impl ObjectReader {
    /// The plain bytes of an object, proven by its name. A content object is named by its file's hash, so for it this
    /// proves nothing: prove the file's bytes.
    pub fn read(&self, object: &ObjectRef) -> Result<Bytes, ReadError> {
        let reader = &*self.0;
        let first = match reader.catalog.find(object) {
            Some(location) => reader.read_packed(object, &location),
            None => reader.read_plain(object),
        };
        let failure = match first {
            Ok(bytes) => return Ok(bytes),
            Err(failure) => failure,
        };
        match reader.read_elsewhere(object) {
            Some(bytes) => {
                let problem = format!("{failure}; it was found elsewhere, so nothing is lost");
                let mut detours = reader.detours.lock().unwrap_or_else(PoisonError::into_inner);
                detours.push(Warning { path: object.to_string(), problem });
                Ok(bytes)
            }
            None => Err(failure),
        }
    }

    /// Begins to read an object. What comes back waits for it, and gives what [`ObjectReader::read`] would; what lies in a
    /// pack is read only then, as packs are kept anyway.
    pub fn begin(&self, object: &ObjectRef) -> impl FnOnce() -> Result<Bytes, ReadError> + Send + use<> {
        let reader = &*self.0;
        let fetching = reader.catalog.find(object).is_none().then(|| {
            let (store, key) = (Arc::clone(&reader.repository.store), object.key());
            AbortOnDropHandle::new(reader.runtime.spawn(async move { store.get(&key).await }))
        });
        let (this, object) = (self.clone(), *object);
        move || {
            let sealed = fetching.map(|fetching| this.0.runtime.block_on(fetching));
            let Some(Ok(Ok(sealed))) = sealed else { return this.read(&object) };
            // What cannot be proven may be found elsewhere.
            this.0.repository.prove(&object, &sealed).or_else(|_| this.read(&object))
        }
    }

    /// [`ObjectReader::read`], parsed.
    pub fn read_json<T: DeserializeOwned>(&self, object: &ObjectRef) -> Result<T, ReadError> {
        json::decode(&self.read(object)?).map_err(|cause| damaged(object, cause))
    }

    /// The repository that it reads.
    pub fn repository(&self) -> &Arc<Repository> {
        &self.0.repository
    }

    /// The catalog that it goes by.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.0.catalog
    }

    /// Where an object lies, for reading in physical order: the number of its pack, and the offset. What lies by itself
    /// comes last.
    pub fn locality(&self, object: &ObjectRef) -> (u32, u64) {
        self.0.catalog.order(object).map_or((u32::MAX, 0), |(pack, offset)| (pack, u64::from(offset)))
    }

    /// Says what is going to be read, so that a pack of which much is wanted is fetched whole at once.
    pub fn expect(&self, objects: impl IntoIterator<Item = ObjectRef>) {
        let Reader { catalog, packs, .. } = &*self.0;
        let mut counts = vec![0; catalog.packs().len()];
        for (pack, _) in objects.into_iter().filter_map(|object| catalog.order(&object)) {
            counts[pack as usize] += 1;
        }
        packs.expect(catalog.packs().iter().copied().zip(counts));
    }

    /// What was found only on a second try: damage of the repository that has cost nothing yet.
    pub fn detours(&self) -> Vec<Warning> {
        let mut detours = self.0.repository.damage();
        detours.extend(self.own_detours());
        detours
    }

    /// The same, but only objects that this reader has found only on a second try.
    pub(crate) fn own_detours(&self) -> Vec<Warning> {
        self.0.detours.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Reader {
    fn read_elsewhere(&self, object: &ObjectRef) -> Option<Bytes> {
        let in_catalog = self.catalog.find(object);
        let plain = in_catalog.and_then(|_| self.read_plain(object).ok());
        plain.or_else(|| {
            let location = self.footers().find(object).filter(|location| Some(*location) != in_catalog)?;
            self.read_packed(object, &location).ok()
        })
    }

    fn footers(&self) -> &Catalog {
        self.footers.get_or_init(|| {
            let repository = &self.repository;
            let healed = heal_all(&*repository.store, &repository.sealer, Arc::default());
            self.runtime.block_on(healed).map(|healed| healed.catalog).unwrap_or_default()
        })
    }

    fn read_packed(&self, object: &ObjectRef, location: &Location) -> Result<Bytes, ReadError> {
        let sealed = self.read_member(location).map_err(|error| {
            if error.is_not_found() {
                damaged(object, format!("packs/{} is missing", location.pack))
            } else {
                error.into()
            }
        })?;
        self.repository.prove(object, &sealed)
    }

    fn read_member(&self, location: &Location) -> Result<Bytes, StoreError> {
        let key = format!("packs/{}", location.pack);
        let range = location.offset..location.offset + location.length;
        if let Access::Whole(cell) = self.packs.access(&location.pack) {
            let mut cell = cell.lock().unwrap_or_else(PoisonError::into_inner);
            let pack = match &*cell {
                Some(pack) => pack.clone(),
                None => {
                    let pack = cell.insert(self.fetch_pack(&key, &location.pack)?).clone();
                    self.packs.filled(&location.pack, pack.len());
                    pack
                }
            };
            if range.end <= pack.len() as u64 {
                return Ok(pack.slice(range.start as usize..range.end as usize));
            }
        }
        self.runtime.block_on(self.repository.store.get_range(&key, range))
    }

    /// A whole pack. Its name is the hash of all of it, so this also sees damage where no member lies.
    fn fetch_pack(&self, key: &str, name: &Hash) -> Result<Bytes, StoreError> {
        let pack = self.runtime.block_on(self.repository.store.get(key))?;
        if Hash::of(&pack) != *name {
            self.repository.note_damage(key, "its bytes are not what its name says".to_owned());
        }
        Ok(pack)
    }

    fn read_plain(&self, object: &ObjectRef) -> Result<Bytes, ReadError> {
        match self.runtime.block_on(self.repository.store.get(&object.key())) {
            Ok(sealed) => self.repository.prove(object, &sealed),
            Err(error) if error.is_not_found() => Err(ReadError::Missing(*object)),
            Err(error) => Err(error.into()),
        }
    }
}

impl Repository {
    /// The plain bytes of a sealed object, proven by its name as far as that goes: see [`ObjectReader::read`].
    pub(crate) fn prove(&self, object: &ObjectRef, sealed: &[u8]) -> Result<Bytes, ReadError> {
        let limit = object.kind.max_plain_size();
        let sealer = &self.sealer;
        let plain = match object.kind {
            ObjectKind::Chunk => {
                let is_right = |data: &[u8]| self.dedup_name(data) == object.hash;
                sealer.open_proven(sealed, limit, is_right)
            }
            // That proves nothing, but what is no content at all may be found elsewhere.
            ObjectKind::Content => sealer
                .open(sealed, limit)
                .map(|plain| Some(plain).filter(|plain| plain.starts_with(b"{\"type\":\"content\""))),
            ObjectKind::Filemeta | ObjectKind::Node | ObjectKind::Snapshot => {
                sealer.open(sealed, limit).map(|plain| Some(plain).filter(|plain| Hash::of(plain) == object.hash))
            }
        };
        match plain {
            Ok(Some(plain)) => Ok(plain.into()),
            Ok(None) => Err(damaged(object, "its bytes are not what its name says")),
            Err(problem) => Err(damaged(object, problem)),
        }
    }
}

fn damaged(object: &ObjectRef, problem: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged { object: *object, problem: problem.to_string() }
}
