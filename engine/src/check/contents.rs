//! The contents that files need: that each is there, and each chunk of a large one. Small ones, whose data lie in them,
//! are not read.

use std::sync::Arc;

use super::CheckError;
use super::faults::{Findings, problem_of};
use super::numbers::{Bits, Numbers};
use super::report::Problem;
use super::stop::Stop;
use super::survey::Survey;
use crate::object::{Content, Hash, INLINE_MAX, ObjectKind, ObjectRef};
use crate::repository::ObjectReader;

/// Contents that a thread reads at once.
const BATCH: usize = 16;

/// In place of the size of a content that no file needs.
const UNNEEDED: u64 = u64::MAX;

/// All contents, and the chunks of the large ones.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) numbers: Numbers,
    sizes: Vec<u64>,
    pub(crate) chunks: Numbers,
    pub(crate) needed_chunks: Bits,
}

impl Contents {
    pub(crate) fn new(survey: &Survey) -> Self {
        let numbers = Numbers::new(Arc::clone(&survey.catalog), ObjectKind::Content);
        let chunks = Numbers::new(Arc::clone(&survey.catalog), ObjectKind::Chunk);
        Self { sizes: vec![UNNEEDED; numbers.end() as usize], numbers, chunks, needed_chunks: Bits::default() }
    }

    /// Notes that a file needs a content of a size; the error is another size that another file has said.
    pub(super) fn note(&mut self, content: &Hash, size: u64) -> Result<u32, u64> {
        let number = self.numbers.number(content);
        if number as usize >= self.sizes.len() {
            self.sizes.resize(number as usize + 1, UNNEEDED);
        }
        match &mut self.sizes[number as usize] {
            known if *known == UNNEEDED => *known = size,
            known if *known != size => return Err(*known),
            _ => {}
        }
        Ok(number)
    }

    /// The size of the file that a content is of.
    pub(crate) fn size(&self, number: u32) -> Option<u64> {
        self.sizes.get(number as usize).copied().filter(|size| *size != UNNEEDED)
    }

    /// The numbers of all that files need.
    pub(crate) fn needed(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.sizes.len() as u32).filter(|number| self.sizes[*number as usize] != UNNEEDED)
    }

    /// The same, but only of large files, whose chunks are elsewhere.
    pub(crate) fn large(&self) -> Vec<u32> {
        self.needed().filter(|number| self.sizes[*number as usize] > INLINE_MAX).collect()
    }

    /// Looks whether all contents, and all chunks of large ones, are there.
    pub(crate) fn check(
        &mut self,
        context: (&ObjectReader, &Survey, &Stop),
        findings: &mut Findings,
    ) -> Result<(), CheckError> {
        let (reader, survey, stop) = context;
        let absent: Vec<ObjectRef> =
            self.needed().map(|number| self.numbers.object(number)).filter(|content| !survey.has(content)).collect();
        look_closer(&absent, context, findings)?;
        let mut large = self.large();
        large.sort_by_cached_key(|number| reader.locality(&self.numbers.object(*number)));
        let large: Vec<(ObjectRef, u64)> =
            large.into_iter().map(|number| (self.numbers.object(number), self.sizes[number as usize])).collect();
        let mut absent = Vec::new();
        stop.each(
            &large,
            BATCH,
            |(content, size)| match reader.read_json::<Content>(content) {
                Err(why) => Ok(Err(problem_of(why)?)),
                Ok(list) => Ok(list_problem(&list, *size).map_or(Ok(list), Err)),
            },
            |(content, _), list| match list {
                Err(problem) => findings.lose(survey, *content, problem),
                Ok(list) => {
                    for chunk in list.chunks {
                        let number = self.chunks.number(&chunk.hash);
                        if self.needed_chunks.insert(number) && !survey.has(&chunk) {
                            absent.push(chunk);
                        }
                    }
                }
            },
        )?;
        look_closer(&absent, context, findings)
    }
}

/// What shows that the list of a large file's chunks is not the right one.
fn list_problem(list: &Content, size: u64) -> Option<Problem> {
    if list.size != size {
        return Some(Problem::Damaged(format!("it says that its file has {} bytes, and that has {size}", list.size)));
    }
    let other = list.chunks.iter().find(|chunk| chunk.kind != ObjectKind::Chunk)?;
    Some(Problem::Damaged(format!("{other} is in the place of a chunk")))
}

/// Objects that are not where they are looked for first may be in a pack whose footer knows them.
fn look_closer(
    absent: &[ObjectRef],
    (reader, survey, stop): (&ObjectReader, &Survey, &Stop),
    findings: &mut Findings,
) -> Result<(), CheckError> {
    stop.each(
        absent,
        1,
        |object| match reader.read(object) {
            Ok(_) => Ok(None),
            Err(why) => Ok(Some(problem_of(why)?)),
        },
        |object, problem| {
            if let Some(problem) = problem {
                findings.lose(survey, *object, problem);
            }
        },
    )
}
