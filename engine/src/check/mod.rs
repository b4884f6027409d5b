//! Checking a repository: that everything a snapshot needs is there and is what it should be.
//!
//! Why an undamaged repository never errs, also while a backup runs beside it: what is looked for is looked at in the
//! order in which a backup writes, backwards (see [`survey`]), and the shared lock keeps prunes and forgets away; what a
//! backup has not written yet is a remark, never a fault. Why no damage hides: every node and filemeta is read and proven
//! by its name, every content and chunk is looked for, and with their data read, the bytes of every file are held against
//! the hash that names them, and every pack against its own.
//!
//! Each object is read once, however many snapshots share it. What is kept of a tree is some 36 bytes an entry, beside the
//! catalog; paths are not kept. They are found again where there are faults.

mod chosen;
mod contents;
mod data;
mod entries;
mod faults;
mod graph;
mod harm;
mod indexes;
mod lost;
mod numbers;
mod relations;
mod report;
mod slots;
mod stop;
mod subset;
mod survey;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use chosen::{choose, new_snapshots};
use indexes::Seen;

use crate::lock::{LeaseWatch, LockLost};
use crate::object::{Hash, ObjectKind, ObjectRef, Snapshot};
use crate::progress::{Phase, Progress};
use crate::repository::{ObjectReader, ReadError, Repository, RepositoryError};

pub(crate) use contents::Contents;
pub(crate) use data::prove_content;
pub(crate) use entries::{Entries, TOP, id_hash};
pub(crate) use faults::{Findings, problem_of};
pub(crate) use graph::{Below, Graph, by_root};
pub(crate) use harm::{LostContents, Trees, loss, lost_contents};
pub(crate) use indexes::{Stored, read_indexes};
pub(crate) use lost::{Lineup, find_losses};
pub(crate) use numbers::Bits;
pub(crate) use relations::{NO_PARENT, tree_problems};
pub use report::{CheckReport, Fault, Harm, KEPT, Problem, Remark};
pub(crate) use stop::Stop;
pub use subset::{DataRead, ParseSubsetError, ReadData, Subset};
pub(crate) use survey::{Survey, pack_key};

/// What to check.
#[derive(Debug, Clone)]
pub struct CheckRequest {
    /// `latest`, a snapshot's hash, or the beginning of one; all snapshots without one.
    pub snapshot: Option<String>,
    /// How much of the files' data to read.
    pub data: ReadData,
    /// A shared lock.
    pub lease: LeaseWatch,
}

/// Why a repository could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The repository.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The repository lock was lost.
    #[error(transparent)]
    LockLost(#[from] LockLost),
    /// Cancelled.
    #[error("the check was cancelled; it has not seen everything")]
    Cancelled,
}

impl From<ReadError> for CheckError {
    fn from(error: ReadError) -> Self {
        Self::Repository(error.into())
    }
}

/// Checks a repository. What is wrong with it is in the report; the error is what kept this from looking.
pub async fn check(
    repository: Arc<Repository>,
    request: CheckRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<CheckReport, CheckError> {
    // If nobody waits for this any more, its threads end.
    let cancel = cancel.child_token();
    let _guard = cancel.clone().drop_guard();
    let lease = request.lease.clone();
    let examined = examine(&repository, &request, progress, cancel).await?;
    let report = tokio::task::spawn_blocking(move || examined.report()).await.map_err(RepositoryError::from)??;
    if report.fault_count > 0 {
        // What a prune swept after the lock was lost must not pass for damage.
        lease.confirm().await?;
    }
    Ok(report)
}

/// Everything that a check has seen.
pub(crate) struct Examined {
    pub(crate) survey: Survey,
    pub(crate) reader: ObjectReader,
    pub(crate) stop: Stop,
    /// All snapshots that can be read.
    pub(crate) snapshots: BTreeMap<ObjectRef, Arc<Snapshot>>,
    /// Those of them that cannot be read, and were remembered.
    pub(crate) remembered: BTreeSet<ObjectRef>,
    /// Those whose trees were looked at.
    pub(crate) chosen: Vec<ObjectRef>,
    pub(crate) graph: Graph,
    pub(crate) entries: Entries,
    pub(crate) contents: Contents,
    pub(crate) findings: Findings,
    pub(crate) needed_packs: Bits,
    is_all: bool,
    data: Option<DataRead>,
}

/// Looks at everything.
pub(crate) async fn examine(
    repository: &Arc<Repository>,
    request: &CheckRequest,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
) -> Result<Examined, CheckError> {
    progress.phase(Phase::Opening);
    request.lease.confirm().await?;
    let mut findings = Findings::told_to(Arc::clone(&progress));
    slots::check_slots(repository, &mut findings).await?;
    let survey = Survey::make(repository, &mut findings).await?;
    let stop = Stop::new(cancel, request.lease.clone());
    examine_survey(repository, survey, findings, BTreeMap::new(), request, (progress, stop)).await
}

/// Looks at everything that a survey has found. `known` are snapshots that are lost, and of which something else says what
/// they were.
pub(crate) async fn examine_survey(
    repository: &Arc<Repository>,
    survey: Survey,
    findings: Findings,
    known: BTreeMap<ObjectRef, Arc<Snapshot>>,
    request: &CheckRequest,
    (progress, stop): (Arc<dyn Progress>, Stop),
) -> Result<Examined, CheckError> {
    let reader = repository.known_reader(Arc::clone(&survey.catalog));
    let (name, data) = (request.snapshot.clone(), request.data);
    let work = move || {
        let mut examined = Examined::snapshots(survey, reader, stop, findings, known, name.as_deref())?;
        examined.trees(&*progress)?;
        examined.data(data, &*progress)?;
        examined.detours()?;
        Ok::<_, CheckError>(examined)
    };
    let mut examined = tokio::task::spawn_blocking(work).await.map_err(RepositoryError::from)??;
    // Last, so that a backup that was about to write them has done so.
    let indexes = read_indexes(repository, &examined.survey.catalog).await?;
    let new = new_snapshots(repository, &indexes, &examined.survey.snapshots).await?;
    let seen = Seen { readable: &examined.snapshots, all: &examined.survey.snapshots, new: &new };
    indexes::check_indexes(indexes, seen, &mut examined.findings);
    Ok(examined)
}

impl Examined {
    /// Reads all snapshots.
    fn snapshots(
        survey: Survey,
        reader: ObjectReader,
        stop: Stop,
        mut findings: Findings,
        known: BTreeMap<ObjectRef, Arc<Snapshot>>,
        name: Option<&str>,
    ) -> Result<Self, CheckError> {
        let unknown: Vec<ObjectRef> =
            survey.snapshots.iter().filter(|snapshot| !known.contains_key(snapshot)).copied().collect();
        let mut all = survey.snapshots.clone();
        all.extend(known.keys());
        all.sort_unstable();
        all.dedup();
        let remembered = known.keys().copied().collect();
        let mut snapshots = known;
        stop.each(
            &unknown,
            4,
            |reference| match reader.read_json::<Snapshot>(reference) {
                Ok(snapshot) => Ok(Ok(snapshot)),
                Err(why) => Ok(Err(problem_of(why)?)),
            },
            |reference, read| match read {
                Ok(snapshot) => {
                    let is_sane = snapshot.version == 1 && snapshot.seq > 0 && snapshot.created.moment().is_some();
                    if !is_sane {
                        let problem = "it has not version 1, a number and a time".to_owned();
                        findings.fault(&reference.key(), Problem::Malformed(problem));
                    }
                    snapshots.insert(*reference, Arc::new(snapshot));
                }
                Err(problem) => findings.lose(&survey, *reference, problem),
            },
        )?;
        let chosen = choose(&all, &snapshots, name)?;
        Ok(Self {
            graph: Graph::new(&survey),
            entries: Entries::new(&survey),
            contents: Contents::new(&survey),
            survey,
            reader,
            stop,
            snapshots,
            remembered,
            chosen,
            findings,
            needed_packs: Bits::default(),
            is_all: name.is_none(),
            data: None,
        })
    }

    /// Reads all trees, and looks for everything that they need.
    fn trees(&mut self, progress: &dyn Progress) -> Result<(), CheckError> {
        let Self { survey, reader, stop, snapshots, chosen, graph, entries, contents, findings, .. } = self;
        progress.phase(Phase::Listing);
        let chosen = chosen.iter().filter_map(|chosen| Some((*chosen, snapshots.get(chosen)?.root)));
        let roots = by_root(chosen);
        graph.read(roots.keys().copied(), (reader, survey, stop), entries, findings)?;
        progress.expect(entries.len(), 0);
        entries.read((reader, survey, stop, progress), contents, findings)?;
        for (root, snapshots) in &roots {
            stop.check()?;
            relations::check_tree(graph, entries, *root, snapshots, findings);
        }
        contents.check((reader, survey, stop), findings)?;
        self.needed_packs = self.find_needed_packs();
        Ok(())
    }

    fn data(&mut self, read: ReadData, progress: &dyn Progress) -> Result<(), CheckError> {
        if read == ReadData::No {
            return Ok(());
        }
        progress.phase(Phase::Reading);
        let context = (&self.reader, &self.survey, &self.stop, progress);
        let needed = (&self.needed_packs, self.is_all);
        self.data = data::check_data(context, &self.contents, read, needed, &mut self.findings)?;
        Ok(())
    }

    /// What was found only on a second try is damaged in the first place.
    fn detours(&mut self) -> Result<(), CheckError> {
        for detour in self.reader.own_detours() {
            self.findings.fault(&detour.path, Problem::Misplaced(detour.problem));
        }
        let repository = Arc::clone(self.reader.repository());
        for damage in repository.damage() {
            let Some(pack) = damage.path.strip_prefix("packs/").and_then(|name| name.parse::<Hash>().ok()) else {
                continue;
            };
            // It may have been found long ago.
            let Ok(place) = self.survey.packs.binary_search_by(|(name, _)| name.cmp(&pack)) else { continue };
            let now = tokio::runtime::Handle::current().block_on(repository.store().get(&damage.path));
            let is_right = match now {
                Ok(bytes) => Hash::of(&bytes) == pack,
                Err(error) => {
                    problem_of(error.into())?;
                    false
                }
            };
            if !is_right {
                let is_needed = self.needed_packs.iter().any(|needed| needed as usize == place);
                let problem = Problem::Damaged(damage.problem);
                data::note_damaged_pack(&damage.path, is_needed, problem, &mut self.findings);
            }
        }
        Ok(())
    }

    /// The packs in which something is that the chosen snapshots need, by their places in the survey.
    fn find_needed_packs(&self) -> Bits {
        let catalog = &self.survey.catalog;
        let places: Vec<Option<u32>> = catalog
            .packs()
            .iter()
            .map(|pack| self.survey.packs.binary_search_by(|(name, _)| name.cmp(pack)).ok())
            .map(|place| place.map(|place| place as u32))
            .collect();
        let mut needed = Bits::default();
        let mut need = |object: ObjectRef| {
            let place = catalog.order(&object).and_then(|(pack, _)| places[pack as usize]);
            if let Some(place) = place {
                needed.insert(place);
            }
        };
        self.chosen.iter().for_each(|snapshot| need(*snapshot));
        (0..self.graph.nodes.end()).filter(|node| !matches!(self.graph.below(*node), Below::Unknown)).for_each(
            |node| {
                need(self.graph.nodes.object(node));
            },
        );
        self.entries.named().for_each(|entry| need(self.entries.numbers.object(entry)));
        self.contents.needed().for_each(|content| need(self.contents.numbers.object(content)));
        self.contents.needed_chunks.iter().for_each(|chunk| need(self.contents.chunks.object(chunk)));
        for pointer in catalog.pointers().values() {
            if let Ok(place) = self.survey.packs.binary_search_by(|(name, _)| name.cmp(&pointer.pack)) {
                needed.insert(place as u32);
            }
        }
        needed
    }

    /// What the trees are made of.
    pub(crate) fn trees_of(&self) -> Trees<'_> {
        let Self { reader, stop, graph, entries, contents, snapshots, .. } = self;
        Trees { reader, stop, graph, entries, contents, snapshots }
    }

    fn report(mut self) -> Result<CheckReport, CheckError> {
        let mut findings = std::mem::take(&mut self.findings);
        let lost_packs = self.survey.stored.packs().iter().filter(|pack| self.survey.pack_size(pack).is_none());
        for pack in lost_packs {
            findings.note_lost_pack(&pack_key(pack));
        }
        let damaged_snapshots =
            if findings.has_faults() { harm::tell(self.trees_of(), &self.chosen, &mut findings)? } else { 0 };
        let lost = |kind| findings.bad.keys().filter(|object| object.kind == kind).count() as u64;
        let readable = self.chosen.iter().filter(|chosen| self.snapshots.contains_key(chosen)).count() as u64;
        let found = |all: u64, kind| all.saturating_sub(lost(kind));
        let data = self.graph.len()
            + found(self.entries.len(), ObjectKind::Filemeta)
            + found(self.contents.needed().count() as u64, ObjectKind::Content)
            + found(self.contents.needed_chunks.count(), ObjectKind::Chunk);
        let all = |count: u64| if self.is_all { count } else { 0 };
        let packs = self.survey.packs.len() as u64;
        let (faults, fault_count, remarks, remark_count) = findings.into_parts();
        Ok(CheckReport {
            snapshots: self.chosen.len() as u64,
            objects: readable + data,
            unreferenced: all(self.survey.data_objects().saturating_sub(data)),
            packs,
            unneeded_packs: all(packs.saturating_sub(self.needed_packs.count())),
            data: self.data,
            faults,
            fault_count,
            remarks,
            remark_count,
            damaged_snapshots,
        })
    }
}
