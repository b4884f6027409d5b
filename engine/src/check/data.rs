//! Reads the files' data, and proves each content: by its chunks, which are proven by their names, and by the hash of all
//! of its bytes, which is what it is named for.
//!
//! The work is cut into packs, and contents that are read by themselves: those that lie so, and those of large files, whose
//! chunks are anywhere, so that a part of the data has no more of them than it should. A pack is read once, as a whole, held
//! against its name, and the small files in it are proven from that; so each stored byte is read once, but for lists of
//! chunks, and for chunks in packs or of several files, which are read for each file: its hash needs its bytes in order.

use bytes::Bytes;

use super::CheckError;
use super::contents::Contents;
use super::faults::{Findings, problem_of};
use super::numbers::Bits;
use super::report::Problem;
use super::stop::Stop;
use super::subset::{Arc, DataRead, ReadData, Subset};
use super::survey::{Survey, pack_key};
use crate::object::{Content, Hash, Hasher, INLINE_MAX, ObjectKind, ObjectRef, json};
use crate::progress::Progress;
use crate::repository::{ObjectReader, ReadError};
use crate::store::StoreError;
use tokio::runtime::Handle;

/// Packs beyond this size are read in pieces.
const WHOLE: u64 = 64 << 20;
/// The size of those pieces.
const PIECE: u64 = 4 << 20;

/// A content in a pack: the number of the pack in the catalog, where it begins, and its own number.
type Member = (u32, u32, u32);

/// A piece of work.
enum Unit<'a> {
    Pack { name: Hash, size: u64, members: &'a [Member], is_needed: bool },
    Content { number: u32 },
}

/// What became of it.
#[derive(Default)]
struct Done {
    contents: u64,
    bytes: u64,
    packs: u64,
    stored: u64,
    lost: Vec<(ObjectRef, Problem)>,
    damaged_pack: Option<Problem>,
}

/// Reads and proves.
struct Prover<'a> {
    reader: &'a ObjectReader,
    survey: &'a Survey,
    contents: &'a Contents,
    runtime: Handle,
}

/// Reads the part of the data that is asked for. `needed_packs` are those in which something is that snapshots need, by
/// their places in the survey; only they are read unless `all`.
pub(super) fn check_data(
    context: (&ObjectReader, &Survey, &Stop, &dyn Progress),
    contents: &Contents,
    read: ReadData,
    (needed_packs, all): (&Bits, bool),
    findings: &mut Findings,
) -> Result<Option<DataRead>, CheckError> {
    let (reader, survey, stop, progress) = context;
    let (members, alone) = divide(survey, contents);
    let mut units = units(survey, &members, alone, (needed_packs, all));
    let costs = units.iter().map(|unit| (unit.name(contents), unit.stored(survey, contents)));
    let Some(arc) = Arc::new(read, costs) else { return Ok(None) };
    units.retain(|unit| arc.contains(&unit.name(contents)));
    let expected = units.iter().map(|unit| unit.stored(survey, contents)).sum();
    progress.expect(units.len() as u64, expected);
    let prover = Prover { reader, survey, contents, runtime: Handle::current() };
    let mut total = DataRead { complete: arc.is_whole(), ..DataRead::default() };
    let is_numbered = matches!(read, ReadData::Part { subset: Subset::Numbered { .. }, .. } | ReadData::All);
    total.next = (!is_numbered).then(|| arc.end());
    stop.each(
        &units,
        1,
        |unit| prover.prove(unit),
        |unit, done| {
            progress.advance(1, done.stored);
            total.contents += done.contents;
            total.bytes += done.bytes;
            total.packs += done.packs;
            total.stored_bytes += done.stored;
            for (object, problem) in done.lost {
                findings.lose(survey, object, problem);
            }
            if let (Unit::Pack { name, is_needed, .. }, Some(problem)) = (unit, done.damaged_pack) {
                note_damaged_pack(&pack_key(name), *is_needed, problem, findings);
            }
        },
    )?;
    Ok(Some(total))
}

/// A damaged pack in which nothing is that a snapshot needs costs nothing.
pub(super) fn note_damaged_pack(key: &str, is_needed: bool, problem: Problem, findings: &mut Findings) {
    if is_needed {
        findings.fault(key, problem);
    } else {
        findings.remark(key, format!("{problem}; no snapshot needs anything that is in it"));
    }
}

/// The contents of small files in packs, sorted by where they lie, and all others.
fn divide(survey: &Survey, contents: &Contents) -> (Vec<Member>, Vec<u32>) {
    let (mut members, mut alone) = (Vec::new(), Vec::new());
    for number in contents.needed() {
        let is_small = contents.size(number).is_some_and(|size| size <= INLINE_MAX);
        match survey.catalog.order(&contents.numbers.object(number)).filter(|_| is_small) {
            Some((pack, offset)) => members.push((pack, offset, number)),
            None => alone.push(number),
        }
    }
    members.sort_unstable();
    (members, alone)
}

fn units<'a>(
    survey: &Survey,
    members: &'a [Member],
    alone: Vec<u32>,
    (needed_packs, all): (&Bits, bool),
) -> Vec<Unit<'a>> {
    let mut numbers: Vec<(Hash, u32)> = survey.catalog.packs().iter().copied().zip(0..).collect();
    numbers.sort_unstable();
    let mut units = Vec::new();
    let mut needed = needed_packs.iter().peekable();
    for (&(name, size), place) in survey.packs.iter().zip(0..) {
        let is_needed = needed.next_if_eq(&place).is_some();
        if !(is_needed || all) {
            continue;
        }
        let number = numbers.binary_search_by(|(pack, _)| pack.cmp(&name)).ok().map(|at| numbers[at].1);
        let members = number.map_or(&members[..0], |number| {
            let from = members.partition_point(|member| member.0 < number);
            let to = members.partition_point(|member| member.0 <= number);
            &members[from..to]
        });
        units.push(Unit::Pack { name, size, members, is_needed });
    }
    units.extend(alone.into_iter().map(|number| Unit::Content { number }));
    units
}

impl Unit<'_> {
    /// Which place on the ring it has.
    fn name(&self, contents: &Contents) -> Hash {
        match self {
            Self::Pack { name, .. } => *name,
            Self::Content { number } => contents.numbers.object(*number).hash,
        }
    }

    /// Stored bytes that are read for it, about; those of a large file's chunks are counted as the file's.
    fn stored(&self, survey: &Survey, contents: &Contents) -> u64 {
        match self {
            Self::Pack { size, .. } => *size,
            Self::Content { number } => {
                let own = survey.plain_size(&contents.numbers.object(*number)).unwrap_or(0);
                let chunks = contents.size(*number).filter(|size| *size > INLINE_MAX).unwrap_or(0);
                u64::from(own) + chunks
            }
        }
    }
}

impl Prover<'_> {
    fn prove(&self, unit: &Unit<'_>) -> Result<Done, CheckError> {
        let mut done = Done { stored: unit.stored(self.survey, self.contents), ..Done::default() };
        match unit {
            Unit::Content { number } => {
                let content = self.contents.numbers.object(*number);
                self.prove_content(*number, self.reader.read(&content), &mut done)?;
            }
            Unit::Pack { name, size, members, .. } => {
                done.packs = 1;
                let whole = match self.read_pack(name, *size) {
                    Ok((hash, whole)) => {
                        if hash != *name {
                            let problem = "its bytes are not what its name says".to_owned();
                            done.damaged_pack = Some(Problem::Damaged(problem));
                        }
                        whole
                    }
                    Err(error) => {
                        done.damaged_pack = Some(problem_of(ReadError::Store(error))?);
                        None
                    }
                };
                for (_, _, number) in *members {
                    let content = self.contents.numbers.object(*number);
                    let from_whole = whole.as_ref().and_then(|whole| self.member(&content, whole));
                    let plain = from_whole.map_or_else(|| self.reader.read(&content), Ok);
                    self.prove_content(*number, plain, &mut done)?;
                }
            }
        }
        Ok(done)
    }

    /// The hash of a pack, and all of it if it is not too large.
    fn read_pack(&self, name: &Hash, size: u64) -> Result<(Hash, Option<Bytes>), StoreError> {
        let store = self.reader.repository().store();
        let key = pack_key(name);
        if size <= WHOLE {
            let whole = self.runtime.block_on(store.get(&key))?;
            return Ok((Hash::of(&whole), Some(whole)));
        }
        let (mut hasher, mut at) = (Hasher::new(), 0);
        while at < size {
            let end = size.min(at + PIECE);
            hasher.update(&self.runtime.block_on(store.get_range(&key, at..end))?);
            at = end;
        }
        Ok((hasher.finish(), None))
    }

    /// A content from its pack, if it can be opened there.
    fn member(&self, content: &ObjectRef, whole: &Bytes) -> Option<Bytes> {
        let place = self.survey.catalog.find(content)?;
        let sealed = whole.get(place.offset as usize..(place.offset + place.length) as usize)?;
        self.reader.repository().prove(content, sealed).ok()
    }

    fn prove_content(&self, number: u32, plain: Result<Bytes, ReadError>, done: &mut Done) -> Result<(), CheckError> {
        let content = self.contents.numbers.object(number);
        let size = self.contents.size(number).unwrap_or_default();
        match plain.and_then(|plain| prove_content(self.reader, &content, &plain)) {
            Ok(bytes) if bytes == size => {
                done.contents += 1;
                done.bytes += bytes;
            }
            Ok(bytes) => {
                let problem = format!("its data have {bytes} bytes, and its file has {size}");
                done.lost.push((content, Problem::Damaged(problem)));
            }
            Err(ReadError::Damaged { object, problem }) => done.lost.push((object, Problem::Damaged(problem))),
            Err(ReadError::Missing(object)) => done.lost.push((object, Problem::Missing)),
            Err(error) => done.lost.push((content, problem_of(error)?)),
        }
        Ok(())
    }
}

/// Proves a content by its data, and gives their size in bytes. The error names the chunk that is wrong, or the content.
pub(crate) fn prove_content(reader: &ObjectReader, content: &ObjectRef, plain: &[u8]) -> Result<u64, ReadError> {
    let damaged = |problem: String| ReadError::Damaged { object: *content, problem };
    let list: Content = json::decode(plain).map_err(|why| damaged(why.to_string()))?;
    let inline = list.inline_data().map_err(|why| damaged(format!("its data are not base64: {why}")))?;
    let (mut hasher, mut size) = (Hasher::new(), 0);
    let mut last: Option<(ObjectRef, Bytes)> = None;
    for chunk in &list.chunks {
        if chunk.kind != ObjectKind::Chunk {
            return Err(damaged(format!("{chunk} is in the place of a chunk")));
        }
        // A run of zeros is one chunk many times.
        let bytes = match &last {
            Some((known, bytes)) if known == chunk => bytes.clone(),
            _ => reader.read(chunk).map_err(|why| name_chunk(why, *chunk))?,
        };
        size += bytes.len() as u64;
        if size > list.size {
            return Err(damaged("it has more data than its file is long".to_owned()));
        }
        hasher.update(&bytes);
        last = Some((*chunk, bytes));
    }
    hasher.update(&inline);
    size += inline.len() as u64;
    let hash = hasher.finish();
    if size != list.size {
        return Err(damaged(format!("its data have {size} bytes, and it says {}", list.size)));
    }
    let is_right = content.hash == hash || reader.repository().content_ref(&hash) == *content;
    if is_right { Ok(size) } else { Err(damaged(format!("its data have the hash {hash}"))) }
}

/// A failure of the store that says something of just this chunk is the chunk's.
fn name_chunk(error: ReadError, chunk: ObjectRef) -> ReadError {
    match problem_of(error) {
        Ok(Problem::Missing) => ReadError::Missing(chunk),
        Ok(Problem::Damaged(problem)) => ReadError::Damaged { object: chunk, problem },
        Ok(other) => ReadError::Damaged { object: chunk, problem: other.to_string() },
        Err(error) => error,
    }
}
