//! Second copies of what is needed: by itself and in a pack, or in two packs. Only one is found, the one that the catalog
//! names; before another one goes, that one is proven. If it is bad and the other one is good, the other one stays.
//!
//! What it costs: of each pack that goes and of which the catalog does not explain every byte, the size of the footer is
//! read, and where that is not all of the rest, what it lists. Only where there are second copies, objects are. Those in
//! packs without a footer are not found: the CLI's, where two of its backups have stored the same at the same time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::PruneError;
use super::plan::Plan;
use super::survey::Survey;
use crate::check::prove_content;
use crate::object::{Content, Hash, ObjectKind, ObjectRef, json};
use crate::pack::{Catalog, FIRST_READ, Footer, Location, footer_size, read_footer};
use crate::reach::Reach;
use crate::repository::{ReadError, Repository};
use crate::source::Warning;
use crate::store::{StoreError, StoreErrorKind};

/// Footers that are read at once.
const FOOTERS: usize = 4;

/// An object by its number, in the catalog or among those that lie by themselves.
pub(super) type Numbered = (ObjectKind, u32);

/// What became of objects that lie in a pack and by themselves.
#[derive(Debug, Default)]
pub(super) struct Alone {
    /// Those by themselves that can go, because the one in the pack is good. Numbered among those by themselves.
    pub(super) copies: BTreeSet<Numbered>,
    /// Those that stay by themselves, because the one in the pack is bad. Numbered in the catalog.
    pub(super) unnamed: BTreeSet<Numbered>,
    pub(super) warnings: Vec<Warning>,
}

/// Proves the copies in packs of needed objects that lie by themselves, too.
pub(super) async fn settle_alone(
    repository: &Arc<Repository>,
    catalog: &Arc<Catalog>,
    reach: &Reach,
) -> Result<Alone, PruneError> {
    let mut both = Vec::new();
    for kind in ObjectKind::ALL {
        for (number, (object, _)) in (0..).zip(reach.alone().objects(kind)) {
            if let (true, Some(packed)) = (reach.needs(&object), catalog.number(&object)) {
                both.push((object, number, packed));
            }
        }
    }
    let judge = Judge { repository, catalog };
    let judged: Vec<_> = stream::iter(both)
        .map(async |(object, number, packed)| {
            let Some(place) = catalog.find(&object) else { return Ok(None) };
            let verdict = judge.hold(&object, &Place::Pack(place), &Place::Alone).await?;
            Ok::<_, PruneError>(Some((object, number, packed, verdict)))
        })
        .buffer_unordered(repository.store().capabilities().concurrency)
        .try_collect()
        .await?;
    let mut alone = Alone::default();
    for (object, number, packed, verdict) in judged.into_iter().flatten() {
        let problem = match verdict {
            Verdict::First => {
                alone.copies.insert((object.kind, number));
                continue;
            }
            Verdict::Second(problem) => {
                reach.prefer_alone(&object);
                alone.unnamed.insert((object.kind, packed));
                format!("{problem}, in its pack; the copy by itself is good, and takes its place")
            }
            Verdict::Neither(problem) => {
                format!("{problem}, in its pack and by itself; both were kept: run `cloudsticctl repair`")
            }
        };
        alone.warnings.push(Warning { path: object.key(), problem });
    }
    Ok(alone)
}

/// What became of objects that lie in two packs, of which one goes.
#[derive(Debug, Default)]
pub(super) struct InPacks {
    /// The places of good second copies, where the first one is bad.
    pub(super) places: Vec<(ObjectKind, u32, Location)>,
    /// The packs of second copies where both are bad.
    pub(super) held: BTreeSet<Hash>,
    pub(super) warnings: Vec<Warning>,
}

/// Finds second copies in packs that go, and proves them where the first one is bad.
pub(super) async fn better_places(
    repository: &Arc<Repository>,
    survey: &Survey,
    plan: &Plan,
    reach: &Reach,
) -> Result<InPacks, PruneError> {
    let catalog = &survey.whole.catalog;
    let second = second_copies(repository, survey, plan, reach).await?;
    let doubtful = doubtful(repository, catalog, second).await?;
    let judge = Judge { repository, catalog };
    let (mut found, mut settled, mut bad) = (InPacks::default(), BTreeSet::new(), Vec::new());
    for (object, number, place) in doubtful {
        let Some(first) = catalog.find(&object).filter(|_| !settled.contains(&object)) else { continue };
        match judge.hold(&object, &Place::Pack(first), &Place::Pack(place)).await? {
            Verdict::First => {}
            Verdict::Second(problem) => {
                let problem = format!("{problem}, in packs/{}; another copy is good, and takes its place", first.pack);
                found.warnings.push(Warning { path: object.key(), problem });
                found.places.push((object.kind, number, place));
                settled.insert(object);
            }
            Verdict::Neither(problem) => bad.push((object, first.pack, place.pack, problem)),
        }
    }
    // A third one may be good.
    for (object, first, second, problem) in bad.into_iter().filter(|(object, ..)| !settled.contains(object)) {
        let problem =
            format!("{problem}, in packs/{first} and in packs/{second}; both were kept: run `cloudsticctl repair`");
        found.warnings.push(Warning { path: object.key(), problem });
        found.held.insert(second);
    }
    Ok(found)
}

/// An object, its number in the catalog, and the place of a second copy.
type Second = (ObjectRef, u32, Location);

/// Those of which the first copy is not proven by a look at all that lie in one pack at once: it is bad, or a list of chunks.
async fn doubtful(
    repository: &Arc<Repository>,
    catalog: &Arc<Catalog>,
    second: Vec<Second>,
) -> Result<Vec<Second>, PruneError> {
    let mut by_pack: BTreeMap<Hash, Vec<(Location, Second)>> = BTreeMap::new();
    for second in second {
        if let Some(first) = catalog.find(&second.0) {
            by_pack.entry(first.pack).or_default().push((first, second));
        }
    }
    let mut doubtful = Vec::new();
    for (pack, seconds) in by_pack {
        let start = seconds.iter().map(|(first, _)| first.offset).min().unwrap_or(0);
        let end = seconds.iter().map(|(first, _)| first.offset + first.length).max().unwrap_or(0);
        let bytes = match repository.store().get_range(&format!("packs/{pack}"), start..end).await {
            Ok(bytes) => bytes,
            Err(error) if is_of_object(&error) => Bytes::new(),
            Err(error) => return Err(error.into()),
        };
        let opener = Arc::clone(repository);
        let proving = tokio::task::spawn_blocking(move || {
            let is_good = |(first, (object, ..)): &(Location, Second)| {
                let from = (first.offset - start) as usize;
                let sealed = bytes.get(from..from + first.length as usize);
                let plain = sealed.and_then(|sealed| opener.prove(object, sealed).ok());
                plain.is_some_and(|plain| object.kind != ObjectKind::Content || is_whole(&opener, object, &plain))
            };
            seconds.into_iter().filter(|second| !is_good(second)).map(|(_, second)| second).collect::<Vec<_>>()
        });
        doubtful.extend(proving.await?);
    }
    Ok(doubtful)
}

/// Whether a content proves itself: it has its data in it.
fn is_whole(repository: &Repository, object: &ObjectRef, plain: &[u8]) -> bool {
    let Ok(content) = json::decode::<Content>(plain) else { return false };
    let data = content.inline_data().ok().filter(|_| content.chunks.is_empty()).map(|data| Hash::of(&data));
    data.is_some_and(|hash| hash == object.hash || repository.content_ref(&hash) == *object)
}

/// Whether a failure says something of just one object.
fn is_of_object(error: &StoreError) -> bool {
    matches!(error.kind, StoreErrorKind::NotFound | StoreErrorKind::Corrupt)
}

/// Objects that are needed and lie also in packs that go, by their footers.
async fn second_copies(
    repository: &Arc<Repository>,
    survey: &Survey,
    plan: &Plan,
    reach: &Reach,
) -> Result<Vec<Second>, PruneError> {
    let (store, catalog) = (&**repository.store(), &survey.whole.catalog);
    let concurrency = store.capabilities().concurrency;
    let going: Vec<(Hash, u64, u64)> =
        stream::iter(unexplained(survey, plan))
            .map(|(pack, size, rest)| async move {
                Ok((pack, size, rest - footer_size(store, &pack, size).await?.min(rest)))
            })
            .buffer_unordered(concurrency)
            .try_collect::<Vec<_>>()
            .await
            .map_err(|error: StoreError| PruneError::from(error))?;
    // A footer may list tens of thousands.
    let mut footers = stream::iter(going.into_iter().filter(|(_, _, rest)| *rest > 0))
        .map(|(pack, size, _)| read_footer(store, repository.sealer(), (pack, size), FIRST_READ))
        .buffer_unordered(concurrency.min(FOOTERS));
    let mut second = Vec::new();
    while let Some(footer) = footers.try_next().await? {
        let Footer::Members(listed) = footer else { continue };
        for member in listed.members {
            let place = Location { pack: listed.pack, offset: member.offset.into(), length: member.length.into() };
            let Some(number) = catalog.number(&member.object) else { continue };
            let is_first = catalog.find(&member.object) == Some(place);
            if !is_first && reach.needs_packed(member.object.kind, number) {
                second.push((member.object, number, place));
            }
        }
    }
    second.sort_unstable_by_key(|(object, _, place)| (*object, place.pack));
    Ok(second)
}

/// The packs that go and have bytes that are of no object that the catalog names there, and how many those are.
fn unexplained(survey: &Survey, plan: &Plan) -> Vec<(Hash, u64, u64)> {
    let going = survey.packs.iter().filter(|(pack, _)| plan.removes(pack));
    let mut left: Vec<(Hash, u64)> = going.copied().collect();
    let catalog = &survey.whole.catalog;
    let packed = catalog.located().map(|(_, place)| place);
    for place in packed.chain(catalog.pointers().values().copied()) {
        if let Ok(at) = left.binary_search_by(|(pack, _)| pack.cmp(&place.pack)) {
            left[at].1 = left[at].1.saturating_sub(place.length);
        }
    }
    left.retain(|(_, rest)| *rest > 0);
    left.into_iter().map(|(pack, rest)| (pack, survey.size(&pack), rest)).collect()
}

/// Where a copy is.
enum Place {
    Pack(Location),
    Alone,
}

/// Which of two copies is good, what its name says; else what is wrong with the first one.
enum Verdict {
    First,
    Second(String),
    Neither(String),
}

struct Judge<'a> {
    repository: &'a Arc<Repository>,
    catalog: &'a Arc<Catalog>,
}

impl Judge<'_> {
    /// Holds two copies against their name. The second one is read only if it matters.
    async fn hold(&self, object: &ObjectRef, first: &Place, second: &Place) -> Result<Verdict, PruneError> {
        let problem = match self.read(object, first).await? {
            Ok(plain) if object.kind != ObjectKind::Content => {
                drop(plain);
                return Ok(Verdict::First);
            }
            Ok(plain) => {
                // A list of chunks is proven by all of them; but two that are the same need no proof.
                let other = if is_inline(&plain) { None } else { self.read(object, second).await?.ok() };
                if other.is_some_and(|other| other == plain) {
                    return Ok(Verdict::First);
                }
                match self.prove(object, plain).await? {
                    Ok(()) => return Ok(Verdict::First),
                    Err(problem) => problem,
                }
            }
            Err(problem) => problem,
        };
        let is_good = match self.read(object, second).await? {
            Ok(plain) if object.kind == ObjectKind::Content => self.prove(object, plain).await?.is_ok(),
            read => read.is_ok(),
        };
        Ok(if is_good { Verdict::Second(problem) } else { Verdict::Neither(problem) })
    }

    /// The plain bytes of a copy, or what is wrong with it.
    async fn read(&self, object: &ObjectRef, place: &Place) -> Result<Result<Bytes, String>, PruneError> {
        let store = self.repository.store();
        let read = match place {
            Place::Pack(Location { pack, offset, length }) => {
                store.get_range(&format!("packs/{pack}"), *offset..offset + length).await
            }
            Place::Alone => store.get(&object.key()).await,
        };
        let sealed = match read {
            Ok(sealed) => sealed,
            Err(error) if is_of_object(&error) => return Ok(Err(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        let (repository, object) = (Arc::clone(self.repository), *object);
        match tokio::task::spawn_blocking(move || repository.prove(&object, &sealed)).await? {
            Err(ReadError::Store(error)) => Err(error.into()),
            proof => Ok(proof.map_err(|problem| problem.to_string())),
        }
    }

    /// Proves a content by its data.
    async fn prove(&self, content: &ObjectRef, plain: Bytes) -> Result<Result<(), String>, PruneError> {
        let (reader, content) = (self.repository.known_reader(Arc::clone(self.catalog)), *content);
        match tokio::task::spawn_blocking(move || prove_content(&reader, &content, &plain)).await? {
            Err(ReadError::Store(error)) => Err(error.into()),
            proof => Ok(proof.map(drop).map_err(|problem| problem.to_string())),
        }
    }
}

fn is_inline(content: &[u8]) -> bool {
    json::decode::<Content>(content).is_ok_and(|content| content.chunks.is_empty())
}
