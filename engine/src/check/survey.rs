//! What lies in the store, and where each object is looked for: listings, the catalog and the footers, and none of the
//! objects themselves.
//!
//! Beside a backup this is asked for in the order in which it writes, backwards: first the snapshots, then the catalog, then
//! packs and objects. So everything that a snapshot needs which was seen is seen, too.

use std::sync::Arc;

use futures::future::ready;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::faults::{Findings, problem_of};
use super::report::Problem;
use crate::object::{Hash, ObjectKind, ObjectRef};
use crate::pack::{CATALOG_KEY, Catalog, DOOMED_KEY, Doomed, FIRST_READ, Footer, PackMembers, read_footer};
use crate::repository::{LATEST_KEY, Repository, RepositoryError, StoredCatalog};
use crate::store::Version;

/// What lies in the store.
#[derive(Debug)]
pub(crate) struct Survey {
    /// All packs and their sizes, sorted.
    pub(crate) packs: Vec<(Hash, u64)>,
    /// What lies in the store by itself, by kind: names and sizes, sorted.
    plain: [Vec<(Hash, u32)>; ObjectKind::ALL.len()],
    /// The catalog as it is stored, as far as it can be read.
    pub(crate) stored: Arc<Catalog>,
    /// Which one that is; `None` if there is none.
    pub(crate) version: Option<Version>,
    /// Whether it is missing or damaged, and there are packs of which nothing else says what is in them.
    pub(crate) is_catalog_lost: bool,
    /// The same without packs that are not there, and with what footers say of packs that it does not name.
    pub(crate) catalog: Arc<Catalog>,
    /// The snapshots that there are; sorted.
    pub(crate) snapshots: Vec<ObjectRef>,
    /// Packs of which neither the catalog nor a footer says what is in them, and that are not listed as doomed; sorted.
    pub(crate) unknown: Vec<Hash>,
    /// Packs that have a footer which can be believed; sorted.
    pub(crate) with_footer: Vec<Hash>,
    /// The fewest bytes that a sealed object has.
    smallest: u32,
}

/// What the catalog says of one pack.
#[derive(Debug, Clone, Copy, Default)]
struct Named {
    /// How many entries it has.
    entries: u32,
    /// Where the last one ends.
    end: u64,
}

impl Survey {
    /// Looks at everything, and finds what is wrong with the catalog and the footers.
    pub(crate) async fn make(repository: &Arc<Repository>, findings: &mut Findings) -> Result<Self, RepositoryError> {
        let mut snapshots: Vec<ObjectRef> =
            list(repository, ObjectKind::Snapshot).await?.into_iter().map(|(hash, _)| snapshot(hash)).collect();
        let (stored, is_damaged, version) = match repository.stored_catalog().await? {
            Some(StoredCatalog { catalog, problem, version }) => {
                let is_damaged = problem.is_some();
                problem.map(|problem| findings.fault(CATALOG_KEY, Problem::Damaged(problem.to_string())));
                (catalog, is_damaged, Some(version))
            }
            None => (Catalog::default(), false, None),
        };
        let is_missing = version.is_none();
        let packs = list_packs(repository).await?;
        let stored = Arc::new(stored);
        let named = by_pack(&stored);
        let exists = |pack: &Hash| packs.binary_search_by(|(name, _)| name.cmp(pack)).is_ok();
        let catalog = if stored.packs().iter().all(exists) {
            Arc::clone(&stored)
        } else {
            Arc::new((*stored).clone().retain_packs(exists).0)
        };
        for (pack, named) in stored.packs().iter().zip(&named) {
            if let Ok(at) = packs.binary_search_by(|(name, _)| name.cmp(pack))
                && packs[at].1 < named.end
            {
                findings.fault(&pack_key(pack), Problem::TooShort { size: packs[at].1, needed: named.end });
            }
        }
        for key in stored.pointers().keys().filter(|key| *key != LATEST_KEY) {
            findings.fault(CATALOG_KEY, Problem::Wrong(format!("it has {key:?}, which is no object that is packed")));
        }
        find_overlaps(&stored, findings);
        let Footers { added, unknown, with_footer } =
            read_footers(repository, &packs, &stored, &named, findings).await?;
        let recovered: usize = added.iter().map(|pack| pack.members.len()).sum();
        if recovered > 0 && !is_damaged && !is_missing {
            findings.remark(CATALOG_KEY, format!(
                "does not name {} packs with {recovered} objects, which their footers know: their backup is under way, or \
                 was cut off",
                added.len()
            ));
        }
        let is_catalog_lost = (is_damaged || is_missing) && !unknown.is_empty();
        if is_missing && is_catalog_lost {
            findings.fault(CATALOG_KEY, Problem::Missing);
        } else if is_missing && !packs.is_empty() {
            findings.remark(CATALOG_KEY, "is missing; the footers of the packs know what is in it".to_owned());
        }
        for pack in unknown.iter().filter(|_| !is_catalog_lost) {
            let text = "neither the catalog nor a footer says what is in it: it is of a backup that is under way or was cut \
                        off, or another program has overwritten the catalog; `cloudsticctl repair` looks into it";
            findings.remark(&pack_key(pack), text.to_owned());
        }
        let catalog = if added.is_empty() { catalog } else { Arc::new(Arc::unwrap_or_clone(catalog).with(added)) };
        snapshots.extend(catalog.objects(ObjectKind::Snapshot));
        // Those of packs that are gone are lost, and must not be forgotten.
        snapshots.extend(stored.objects(ObjectKind::Snapshot));
        snapshots.sort_unstable();
        snapshots.dedup();
        let mut plain: [Vec<(Hash, u32)>; ObjectKind::ALL.len()] = Default::default();
        for kind in ObjectKind::ALL {
            plain[kind as usize] = list(repository, kind).await?;
        }
        let smallest = if repository.marker().encrypted { 29 } else { 1 };
        Ok(Self { packs, plain, stored, version, is_catalog_lost, catalog, snapshots, unknown, with_footer, smallest })
    }

    /// Whether an object is where it is looked for, as far as listings tell.
    pub(crate) fn has(&self, object: &ObjectRef) -> bool {
        match self.catalog.find(object) {
            Some(place) => self.pack_size(&place.pack).is_some_and(|size| place.offset + place.length <= size),
            None => self.plain_size(object).is_some_and(|size| size >= self.smallest),
        }
    }

    /// The same store, where objects are looked for by another catalog, which says all that is known; and without
    /// snapshots of which only a catalog that was hit has said something.
    pub(crate) fn with_catalog(self, catalog: Arc<Catalog>, is_real: impl Fn(&ObjectRef) -> bool) -> Self {
        let mut snapshots = self.snapshots.clone();
        let is_there = |snapshot: &ObjectRef| catalog.contains(snapshot) || self.plain_size(snapshot).is_some();
        snapshots.retain(|snapshot| is_there(snapshot) || is_real(snapshot));
        snapshots.extend(catalog.objects(ObjectKind::Snapshot));
        snapshots.sort_unstable();
        snapshots.dedup();
        Self { is_catalog_lost: false, catalog, snapshots, ..self }
    }

    /// The size of what lies in the store by itself.
    pub(crate) fn plain_size(&self, object: &ObjectRef) -> Option<u32> {
        let plain = &self.plain[object.kind as usize];
        let at = plain.binary_search_by(|(name, _)| name.cmp(&object.hash)).ok()?;
        Some(plain[at].1)
    }

    /// Everything of a kind that lies in the store by itself.
    pub(crate) fn plain(&self, kind: ObjectKind) -> &[(Hash, u32)] {
        &self.plain[kind as usize]
    }

    /// The size of a pack that there is.
    pub(crate) fn pack_size(&self, pack: &Hash) -> Option<u64> {
        let at = self.packs.binary_search_by(|(name, _)| name.cmp(pack)).ok()?;
        Some(self.packs[at].1)
    }

    /// What an object that is nowhere is lost by: its pack, the catalog, or nothing but itself.
    pub(crate) fn cause(&self, object: &ObjectRef) -> Option<(String, Problem)> {
        match self.stored.find(object).or_else(|| self.catalog.find(object)) {
            Some(place) => {
                let needed = place.offset + place.length;
                match self.pack_size(&place.pack) {
                    None => Some((pack_key(&place.pack), Problem::Missing)),
                    Some(size) if size < needed => Some((pack_key(&place.pack), Problem::TooShort { size, needed })),
                    Some(_) => None,
                }
            }
            None if self.is_catalog_lost && self.plain_size(object).is_none() => {
                let problem = "it does not say where objects are that lie in packs without footers";
                Some((CATALOG_KEY.to_owned(), Problem::Damaged(problem.to_owned())))
            }
            None => None,
        }
    }

    /// The pack that an object lies in.
    pub(crate) fn pack_of(&self, object: &ObjectRef) -> Option<String> {
        self.catalog.find(object).map(|place| pack_key(&place.pack))
    }

    /// Objects of the four kinds of data, in packs and beside them.
    pub(crate) fn data_objects(&self) -> u64 {
        let data = ObjectKind::ALL.into_iter().filter(|kind| kind.is_data());
        let count = |kind| {
            let beside = |&&(hash, _): &&(Hash, u32)| !self.catalog.contains(&ObjectRef::new(kind, hash));
            self.catalog.objects(kind).count() + self.plain(kind).iter().filter(beside).count()
        };
        data.map(|kind| count(kind) as u64).sum()
    }
}

pub(crate) fn pack_key(pack: &Hash) -> String {
    format!("packs/{pack}")
}

fn snapshot(hash: Hash) -> ObjectRef {
    ObjectRef::new(ObjectKind::Snapshot, hash)
}

async fn list(repository: &Repository, kind: ObjectKind) -> Result<Vec<(Hash, u32)>, RepositoryError> {
    let prefix = format!("{}/", kind.as_str());
    let mut listed: Vec<(Hash, u32)> = repository
        .store()
        .list(&prefix)
        .try_filter_map(|stat| {
            let name = stat.key.strip_prefix(&prefix).and_then(|name| name.parse().ok());
            ready(Ok(name.map(|name| (name, u32::try_from(stat.size).unwrap_or(u32::MAX)))))
        })
        .try_collect()
        .await?;
    listed.sort_unstable();
    Ok(listed)
}

async fn list_packs(repository: &Repository) -> Result<Vec<(Hash, u64)>, RepositoryError> {
    let mut packs: Vec<(Hash, u64)> = repository
        .store()
        .list("packs/")
        .try_filter_map(|stat| {
            let name = stat.key.strip_prefix("packs/").and_then(|name| name.parse().ok());
            ready(Ok(name.map(|name| (name, stat.size))))
        })
        .try_collect()
        .await?;
    packs.sort_unstable();
    Ok(packs)
}

/// By the numbers of the packs in the catalog.
fn by_pack(catalog: &Catalog) -> Vec<Named> {
    let mut named = vec![Named::default(); catalog.packs().len()];
    let mut note = |pack: u32, end: u64| {
        let pack = &mut named[pack as usize];
        pack.entries += 1;
        pack.end = pack.end.max(end);
    };
    for (object, place) in catalog.located() {
        if let Some((pack, _)) = catalog.order(&object) {
            note(pack, place.offset + place.length);
        }
    }
    for place in catalog.pointers().values() {
        if let Some(pack) = catalog.packs().iter().position(|pack| *pack == place.pack) {
            note(pack as u32, place.offset + place.length);
        }
    }
    named
}

/// Finds members of one pack that the catalog lets overlap: it is wrong of at least one of the two.
fn find_overlaps(catalog: &Catalog, findings: &mut Findings) {
    let mut places: Vec<(u32, u32, u32, u8, u32)> = Vec::with_capacity(catalog.len());
    for kind in ObjectKind::ALL {
        for (number, object) in (0..).zip(catalog.objects(kind)) {
            if let (Some((pack, offset)), Some(place)) = (catalog.order(&object), catalog.find(&object)) {
                places.push((pack, offset, place.length as u32, kind as u8, number));
            }
        }
    }
    places.sort_unstable();
    let object = |kind: u8, number: u32| {
        let kind = ObjectKind::ALL[usize::from(kind)];
        catalog.hash_at(kind, number).map(|hash| ObjectRef::new(kind, *hash))
    };
    for pair in places.windows(2) {
        let ((pack, offset, length, kind, number), next) = (pair[0], pair[1]);
        if pack != next.0 || u64::from(offset) + u64::from(length) <= u64::from(next.1) {
            continue;
        }
        if let (Some(first), Some(second)) = (object(kind, number), object(next.3, next.4)) {
            findings.misplaced.extend([first, second]);
            let pack = pack_key(&catalog.packs()[pack as usize]);
            findings.fault(CATALOG_KEY, Problem::Wrong(format!("it lets {first} and {second} overlap in {pack}")));
        }
    }
}

struct Footers {
    /// What is in packs that the catalog does not name.
    added: Vec<PackMembers>,
    /// Packs that neither it nor a footer knows.
    unknown: Vec<Hash>,
    /// Packs with a footer.
    with_footer: Vec<Hash>,
}

/// Reads the footers of all packs, and holds them against the catalog.
async fn read_footers(
    repository: &Arc<Repository>,
    packs: &[(Hash, u64)],
    stored: &Catalog,
    named: &[Named],
    findings: &mut Findings,
) -> Result<Footers, RepositoryError> {
    let mut numbers: Vec<(Hash, u32)> = stored.packs().iter().copied().zip(0..).collect();
    numbers.sort_unstable();
    let named_as = |pack: &Hash| {
        let at = numbers.binary_search_by(|(name, _)| name.cmp(pack)).ok()?;
        Some(named[numbers[at].1 as usize])
    };
    let store = repository.store();
    let mut footers = stream::iter(packs.to_vec())
        .map(|(pack, size)| async move {
            let end = named_as(&pack).map_or(0, |named| named.end);
            if end == size {
                // Where a member reaches to the end, what looks like a footer is somebody's data.
                return Ok::<_, RepositoryError>((pack, Ok(Footer::None)));
            }
            let first = size.saturating_sub(end).clamp(1, FIRST_READ);
            match read_footer(&**store, repository.sealer(), (pack, size), first).await {
                Ok(footer) => Ok((pack, Ok(footer))),
                Err(error) => Ok((pack, Err(problem_of(error.into())?))),
            }
        })
        .buffer_unordered(store.capabilities().concurrency);
    let (doomed, _) = Doomed::read(&**store, repository.sealer()).await?;
    if doomed.is_unreadable() {
        // It costs no data; but until it is replaced, what is stored already is stored again.
        findings.fault(DOOMED_KEY, Problem::Damaged("it cannot be read".to_owned()));
    }
    let (mut added, mut unknown, mut with_footer) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((pack, footer)) = footers.try_next().await? {
        let named = named_as(&pack);
        if named.is_none() && doomed.has_pack(&pack) {
            // A prune or a repair was about to delete it.
            continue;
        }
        let problem = match footer {
            Ok(Footer::Members(members)) => {
                with_footer.push(pack);
                match named {
                    Some(named) => compare(stored, &members, named, findings),
                    None => added.push(members),
                }
                continue;
            }
            Ok(Footer::None) => None,
            Ok(Footer::Bad(problem)) => Some(Problem::Damaged(problem.to_string())),
            Err(problem) => Some(problem),
        };
        if let Some(problem) = problem {
            findings.fault(&pack_key(&pack), problem);
        }
        if named.is_none() {
            unknown.push(pack);
        }
    }
    added.sort_unstable_by_key(|members| members.pack);
    unknown.sort_unstable();
    with_footer.sort_unstable();
    Ok(Footers { added, unknown, with_footer })
}

/// Whether the catalog puts nothing into a pack that the pack's footer does not have there.
fn compare(stored: &Catalog, footer: &PackMembers, named: Named, findings: &mut Findings) {
    let place = |member: &crate::pack::Member| (u64::from(member.offset), u64::from(member.length));
    let agrees = |member: &&crate::pack::Member| {
        stored
            .find(&member.object)
            .is_some_and(|found| found.pack == footer.pack && (found.offset, found.length) == place(member))
    };
    if footer.members.iter().filter(agrees).count() == named.entries as usize {
        return;
    }
    let mut listed: Vec<_> = footer.members.iter().map(|member| (member.object, place(member))).collect();
    listed.sort_unstable();
    for said in stored.members_of(&[footer.pack]).iter().flat_map(|pack| &pack.members) {
        if listed.binary_search(&(said.object, place(said))).is_err() {
            findings.misplaced.insert(said.object);
            findings.fault(
                CATALOG_KEY,
                Problem::Wrong(format!(
                    "it has {} at byte {} of {}, and that pack's footer does not",
                    said.object,
                    said.offset,
                    pack_key(&footer.pack)
                )),
            );
        }
    }
}
