//! What all snapshots lead to, as numbers: each object is read once.

use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::StatsError;
use super::arena::{Arena, List};
use crate::numbers::{Number, Numbers, Set};
use crate::object::{EntryType, FileMeta, INLINE_MAX, Node, ObjectKind, ObjectRef, SnapshotEntry, json};
use crate::parallel;
use crate::progress::{Phase, Progress};
use crate::reach::Alone;
use crate::repository::{ObjectReader, ReadError, RepositoryError};
use crate::source::Warning;
use crate::warnings::Warnings;

const BATCH: usize = 256;

/// Nodes, filemetas and contents with what they lead to.
pub(super) struct Graph<'a> {
    alone: &'a Alone,
    arena: Arena,
    /// In the order of [`ObjectKind::ALL`].
    numbers: [Numbers; ObjectKind::ALL.len()],
    nodes: Vec<Links>,
    pub(super) filemetas: Vec<Entry>,
    contents: Vec<Chunks>,
    /// Of each snapshot.
    pub(super) roots: Vec<Option<Number>>,
}

/// What a node leads to.
#[derive(Debug, Clone, Copy, Default)]
enum Links {
    /// It cannot be read.
    #[default]
    Nothing,
    Nodes(List),
    Filemetas(List),
}

/// What a node leads to, as numbers.
pub(super) enum Below {
    Nodes(Vec<Number>),
    Filemetas(Vec<Number>),
}

/// What a filemeta says.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    pub(super) size: u64,
    pub(super) content: Option<Number>,
    pub(super) sort: Sort,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Unreadable,
    File,
    Folder,
    Other,
}

/// A content: the size of its file, and its chunks if it has any.
#[derive(Debug, Clone, Copy, Default)]
struct Chunks {
    size: u64,
    list: List,
}

/// A content without its inline data, which may be large.
#[derive(Deserialize)]
struct ChunkList {
    #[serde(default)]
    chunks: Option<Vec<ObjectRef>>,
}

impl<'a> Graph<'a> {
    pub(super) fn read(
        reader: &ObjectReader,
        alone: &'a Alone,
        snapshots: &[SnapshotEntry],
        progress: &dyn Progress,
        cancel: &CancellationToken,
        warnings: &mut Warnings,
    ) -> Result<Self, StatsError> {
        let mut graph = Self {
            alone,
            arena: Arena::new()?,
            numbers: ObjectKind::ALL.map(|kind| Numbers::new(kind, Arc::clone(reader.catalog()))),
            nodes: Vec::new(),
            filemetas: Vec::new(),
            contents: Vec::new(),
            roots: Vec::new(),
        };
        let mut reading = Reading { reader, progress, cancel, warnings, expected: 0 };
        let filemetas = graph.read_nodes(snapshots, &mut reading)?;
        progress.phase(Phase::Reading);
        let contents = graph.read_filemetas(filemetas, &mut reading)?;
        graph.read_contents(contents, &mut reading)?;
        Ok(graph)
    }

    fn read_nodes(
        &mut self,
        snapshots: &[SnapshotEntry],
        reading: &mut Reading<'_>,
    ) -> Result<Vec<Number>, StatsError> {
        let (mut seen_nodes, mut seen_filemetas) = (Set::default(), Set::default());
        let (mut level, mut filemetas) = (Vec::new(), Vec::new());
        for SnapshotEntry { root, .. } in snapshots {
            let root = root.filter(|root| root.kind == ObjectKind::Node).map(|root| self.number(&root));
            level.extend(root.filter(|root| seen_nodes.insert(*root)));
            self.roots.push(root);
        }
        while !level.is_empty() {
            let mut next = Vec::new();
            let Self { numbers, arena, nodes, .. } = self;
            let objects = reading.objects(&numbers[ObjectKind::Node as usize], std::mem::take(&mut level));
            let parse = |bytes: &[u8]| json::decode::<Node>(bytes).map_err(|why| why.to_string());
            reading.each(&objects, parse, |number, node| {
                let (kind, links): (_, Vec<ObjectRef>) = match node {
                    Node::Internal { children, .. } => (ObjectKind::Node, children),
                    Node::Leaf(leaf) => {
                        (ObjectKind::Filemeta, leaf.entries.into_iter().map(|entry| entry.filemeta).collect())
                    }
                };
                let of_kind = links.iter().filter(|link| link.kind == kind);
                let links: Vec<Number> = of_kind.map(|link| numbers[kind as usize].of(link)).collect();
                let list = arena.add(links.iter().copied())?;
                if kind == ObjectKind::Node {
                    next.extend(links.into_iter().filter(|link| seen_nodes.insert(*link)));
                    *slot(nodes, number) = Links::Nodes(list);
                } else {
                    filemetas.extend(links.into_iter().filter(|link| seen_filemetas.insert(*link)));
                    *slot(nodes, number) = Links::Filemetas(list);
                }
                Ok(())
            })?;
            level = next;
        }
        Ok(filemetas)
    }

    /// Gives the contents that have chunks.
    fn read_filemetas(&mut self, filemetas: Vec<Number>, reading: &mut Reading<'_>) -> Result<Vec<Number>, StatsError> {
        let Self { numbers, filemetas: entries, contents, .. } = self;
        let objects = reading.objects(&numbers[ObjectKind::Filemeta as usize], filemetas);
        let (mut seen, mut chunked) = (Set::default(), Vec::new());
        let parse = |bytes: &[u8]| match json::decode::<FileMeta>(bytes) {
            Ok(meta) => Ok((sort(&meta), meta.size, meta.content())),
            Err(why) => Err(why.to_string()),
        };
        reading.each(&objects, parse, |number, (sort, size, content)| {
            let content = content.filter(|_| sort == Sort::File);
            let content = content.map(|content| numbers[ObjectKind::Content as usize].of(&content));
            if let Some(content) = content.filter(|content| seen.insert(*content)) {
                slot(contents, content).size = size;
                chunked.extend((size > INLINE_MAX).then_some(content));
            }
            *slot(entries, number) = Entry { size, content, sort };
            Ok(())
        })?;
        Ok(chunked)
    }

    fn read_contents(&mut self, chunked: Vec<Number>, reading: &mut Reading<'_>) -> Result<(), StatsError> {
        let Self { numbers, arena, contents, .. } = self;
        let objects = reading.objects(&numbers[ObjectKind::Content as usize], chunked);
        let parse = |bytes: &[u8]| json::decode::<ChunkList>(bytes).map_err(|why| why.to_string());
        reading.each(&objects, parse, |number, list| {
            let chunks = list.chunks.unwrap_or_default();
            let chunks = chunks.iter().filter(|chunk| chunk.kind == ObjectKind::Chunk);
            slot(contents, number).list =
                arena.add(chunks.map(|chunk| numbers[ObjectKind::Chunk as usize].of(chunk)))?;
            Ok(())
        })
    }

    fn number(&mut self, object: &ObjectRef) -> Number {
        self.numbers[object.kind as usize].of(object)
    }

    /// What a node leads to.
    pub(super) fn below(&self, node: Number) -> Result<Below, StatsError> {
        Ok(match self.nodes.get(node as usize).copied().unwrap_or_default() {
            Links::Nothing => Below::Nodes(Vec::new()),
            Links::Nodes(list) => Below::Nodes(self.arena.get(list)?),
            Links::Filemetas(list) => Below::Filemetas(self.arena.get(list)?),
        })
    }

    pub(super) fn entry(&self, filemeta: Number) -> Entry {
        self.filemetas.get(filemeta as usize).copied().unwrap_or_default()
    }

    /// The size of the file that has this content, and its chunks in order.
    pub(super) fn content(&self, content: Number) -> Result<(u64, Vec<Number>), StatsError> {
        let Chunks { size, list } = self.contents.get(content as usize).copied().unwrap_or_default();
        Ok((size, self.arena.get(list)?))
    }

    /// What an object takes in the store; `None` if it is not there.
    pub(super) fn length(&self, kind: ObjectKind, number: Number) -> Option<u64> {
        let numbers = &self.numbers[kind as usize];
        let alone = || {
            let number = self.alone.number(&numbers.object(number)?)?;
            self.alone.get(kind, number).map(|(_, size)| size)
        };
        numbers.packed_length(number).or_else(alone)
    }
}

fn slot<T: Default + Clone>(slots: &mut Vec<T>, number: Number) -> &mut T {
    let number = number as usize;
    if slots.len() <= number {
        slots.resize(number + 1, T::default());
    }
    &mut slots[number]
}

fn sort(meta: &FileMeta) -> Sort {
    match (meta.entry_type, meta.kind()) {
        (EntryType::Folder, _) => Sort::Folder,
        (EntryType::File, None) => Sort::File,
        (EntryType::File, Some(_)) => Sort::Other,
    }
}

/// Reads objects, and notes what cannot be read.
struct Reading<'a> {
    reader: &'a ObjectReader,
    progress: &'a dyn Progress,
    cancel: &'a CancellationToken,
    warnings: &'a mut Warnings,
    expected: u64,
}

impl Reading<'_> {
    /// Objects in the order in which they lie in the packs.
    fn objects(&self, numbers: &Numbers, mut wanted: Vec<Number>) -> Vec<(Number, ObjectRef)> {
        wanted.sort_by_cached_key(|number| numbers.place(*number));
        wanted.into_iter().filter_map(|number| Some((number, numbers.object(number)?))).collect()
    }

    fn each<T: Send>(
        &mut self,
        objects: &[(Number, ObjectRef)],
        parse: impl Fn(&[u8]) -> Result<T, String> + Sync,
        mut take: impl FnMut(Number, T) -> Result<(), StatsError>,
    ) -> Result<(), StatsError> {
        let Self { reader, progress, cancel, warnings, expected } = self;
        *expected += objects.len() as u64;
        progress.expect(*expected, 0);
        let work = |(_, object): &(Number, ObjectRef)| match reader.read(object) {
            Ok(bytes) => Ok(parse(&bytes).map_err(|why| format!("it is damaged: {why}"))),
            Err(ReadError::Store(error)) => Err(RepositoryError::from(error).into()),
            Err(problem) => Ok(Err(problem.to_string())),
        };
        parallel::each(objects, BATCH, cancel, work, |(number, object), parsed: Result<T, String>| {
            progress.advance(1, 0);
            match parsed {
                Ok(parsed) => take(*number, parsed)?,
                Err(problem) => {
                    let problem = format!("{problem}; what it leads to is not counted");
                    let warning = Warning { path: object.to_string(), problem };
                    progress.warning(&warning);
                    warnings.push(warning);
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}
