//! Reads every node of every tree, each once, and keeps what leads where as numbers: 4 bytes an entry.
//!
//! The rules of the HAMT (format, section 7) that hold for one node by itself are checked here. A shape that is not
//! canonical is allowed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::CheckError;
use super::entries::Entries;
use super::faults::{Findings, problem_of};
use super::numbers::Numbers;
use super::report::Problem;
use super::stop::Stop;
use super::survey::Survey;
use crate::object::{Hash, LeafEntry, Node, ObjectKind, ObjectRef};
use crate::repository::ObjectReader;

/// Nodes at this level and below it are leaves.
const DEEPEST: u32 = 6;

/// Which slots lead from the root to a node: 1, and then 5 bits a level.
type Route = u32;

const ROOT: Route = 1;

/// Nodes that a thread reads at once.
const BATCH: usize = 16;

/// What leads where.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) nodes: Numbers,
    spans: Vec<Span>,
    /// The numbers of nodes, or of filemetas.
    items: Vec<u32>,
    count: u64,
}

/// A node: where its items are.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u64,
    length: u32,
    /// How it was reached first; 0 if it never was.
    queued: Route,
    is_read: bool,
    is_leaf: bool,
}

/// What a node leads to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Below<'a> {
    /// Nodes.
    Nodes(&'a [u32]),
    /// Filemetas.
    Entries(&'a [u32]),
    /// It could not be read.
    Unknown,
}

/// A node that is to be read, and from where it was reached.
#[derive(Debug, Clone, Copy)]
struct Visit {
    number: u32,
    route: Route,
}

/// What was read of a node.
enum Read {
    Internal { children: Vec<(Route, ObjectRef)>, problem: Option<String> },
    Leaf { entries: Vec<Found>, problem: Option<String> },
    Lost(Problem),
}

/// An entry of a leaf.
struct Found {
    filemeta: Hash,
    key: u64,
    prefix: Option<u16>,
}

impl Graph {
    pub(crate) fn new(survey: &Survey) -> Self {
        let nodes = Numbers::new(Arc::clone(&survey.catalog), ObjectKind::Node);
        Self { spans: vec![Span::default(); nodes.end() as usize], nodes, items: Vec::new(), count: 0 }
    }

    /// How many nodes were read.
    pub(crate) fn len(&self) -> u64 {
        self.count
    }

    /// Reads all nodes below these roots, and notes the entries of all leaves.
    pub(crate) fn read(
        &mut self,
        roots: impl Iterator<Item = ObjectRef>,
        context: (&ObjectReader, &Survey, &Stop),
        entries: &mut Entries,
        findings: &mut Findings,
    ) -> Result<(), CheckError> {
        let (reader, survey, stop) = context;
        let mut level: Vec<Visit> = Vec::new();
        for root in roots {
            self.enqueue(root, ROOT, &mut level, findings);
        }
        let hasher = entries.hasher().clone();
        while !level.is_empty() {
            let nodes = &self.nodes;
            level.sort_by_cached_key(|visit| reader.locality(&nodes.object(visit.number)));
            let visits: Vec<(ObjectRef, Visit)> =
                level.iter().map(|visit| (self.nodes.object(visit.number), *visit)).collect();
            let mut next = Vec::new();
            stop.each(
                &visits,
                BATCH,
                |(node, visit)| read_node(reader, node, visit.route, &hasher),
                |(node, visit), read| self.place(*node, *visit, read, &mut next, survey, entries, findings),
            )?;
            level = next;
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "one place where all that is collected comes together")]
    fn place(
        &mut self,
        node: ObjectRef,
        visit: Visit,
        read: Read,
        next: &mut Vec<Visit>,
        survey: &Survey,
        entries: &mut Entries,
        findings: &mut Findings,
    ) {
        let known = self.spans[visit.number as usize].is_read;
        let start = self.items.len() as u64;
        let mut malformed = |problem: Option<String>| {
            if let Some(problem) = problem {
                let number = findings.fault(&node.key(), Problem::Malformed(problem));
                findings.bad.entry(node).or_insert(number);
            }
        };
        let is_leaf = match read {
            Read::Lost(problem) => {
                findings.lose(survey, node, problem);
                return;
            }
            Read::Internal { problem, .. } | Read::Leaf { problem, .. } if known => return malformed(problem),
            Read::Internal { children, problem } => {
                malformed(problem);
                for (route, child) in children {
                    let number = self.enqueue(child, route, next, findings);
                    self.items.extend(number);
                }
                false
            }
            Read::Leaf { entries: found, problem } => {
                malformed(problem);
                for entry in found {
                    match entries.note(&entry.filemeta, entry.key, entry.prefix) {
                        Ok(number) => self.items.push(number),
                        Err(number) => {
                            let filemeta = entries.numbers.object(number);
                            let text =
                                format!("it has {filemeta} under another fileId or parent than another node does");
                            let fault = findings.fault(&node.key(), Problem::Malformed(text));
                            findings.bad.entry(node).or_insert(fault);
                            self.items.push(number);
                        }
                    }
                }
                true
            }
        };
        self.count += 1;
        let length = (self.items.len() as u64 - start) as u32;
        let span = &mut self.spans[visit.number as usize];
        *span = Span { start, length, is_read: true, is_leaf, ..*span };
    }

    /// Has a node read, unless it was reached on the same way before; gives its number, if it is a node at all. A leaf
    /// may rightly be at different places of two trees: it is read again then, for the rules of that place.
    fn enqueue(
        &mut self,
        node: ObjectRef,
        route: Route,
        next: &mut Vec<Visit>,
        findings: &mut Findings,
    ) -> Option<u32> {
        if node.kind != ObjectKind::Node {
            let number = findings.fault(&node.key(), Problem::Malformed("it is in the place of a node".to_owned()));
            findings.bad.entry(node).or_insert(number);
            return None;
        }
        let number = self.nodes.number(&node.hash);
        if number as usize >= self.spans.len() {
            self.spans.resize(number as usize + 1, Span::default());
        }
        let span = &mut self.spans[number as usize];
        if span.queued != route {
            next.push(Visit { number, route });
        }
        if span.queued == 0 {
            span.queued = route;
        }
        Some(number)
    }

    /// Whether a node could be read.
    pub(crate) fn is_read(&self, node: u32) -> bool {
        self.spans.get(node as usize).is_some_and(|span| span.is_read)
    }

    /// How many entries are below a root.
    pub(crate) fn entry_count(&self, root: ObjectRef) -> u64 {
        let mut count = 0;
        self.walk(root, |_, below| {
            if let Below::Entries(items) = below {
                count += items.len() as u64;
            }
        });
        count
    }

    /// What a node leads to.
    pub(crate) fn below(&self, node: u32) -> Below<'_> {
        let Some(span) = self.spans.get(node as usize).filter(|span| span.is_read) else { return Below::Unknown };
        let items = &self.items[span.start as usize..span.start as usize + span.length as usize];
        if span.is_leaf { Below::Entries(items) } else { Below::Nodes(items) }
    }

    /// Visits every node below a root, and what each leads to.
    pub(crate) fn walk(&self, root: ObjectRef, mut visit: impl FnMut(u32, Below<'_>)) {
        let mut waiting: Vec<u32> = self.nodes.find(&root.hash).into_iter().collect();
        let mut seen = super::numbers::Bits::default();
        while let Some(node) = waiting.pop() {
            if !seen.insert(node) {
                continue;
            }
            let below = self.below(node);
            if let Below::Nodes(children) = below {
                waiting.extend(children);
            }
            visit(node, below);
        }
    }
}

fn read_node(
    reader: &ObjectReader,
    node: &ObjectRef,
    route: Route,
    hasher: &std::hash::RandomState,
) -> Result<Read, CheckError> {
    let level = (31 - route.leading_zeros()) / 5;
    match reader.read_json::<Node>(node) {
        Err(why) => Ok(Read::Lost(problem_of(why)?)),
        Ok(Node::Internal { bitmap, children }) => {
            let slots: Vec<u32> = (0..32).filter(|slot| bitmap >> slot & 1 == 1).collect();
            let problem = if slots.len() != children.len() || slots.is_empty() {
                Some(format!("its bitmap has {} slots, and it has {} children", slots.len(), children.len()))
            } else if level >= DEEPEST {
                Some("it is below the deepest level".to_owned())
            } else {
                None
            };
            let children = if level >= DEEPEST { Vec::new() } else { children };
            let routes = slots.into_iter().chain(std::iter::repeat(0)).map(|slot| route << 5 | slot);
            Ok(Read::Internal { children: routes.zip(children).collect(), problem })
        }
        Ok(Node::Leaf(leaf)) => {
            let problem = leaf_problem(&leaf.entries, route, level);
            let data = leaf.entries.iter().filter(|entry| entry.filemeta.kind == ObjectKind::Filemeta);
            let found = |entry: &LeafEntry| Found {
                filemeta: entry.filemeta.hash,
                key: super::entries::id_hash(hasher, &entry.key),
                prefix: entry.path_key.map(|key| u16::from_be_bytes([key.as_bytes()[0], key.as_bytes()[1]])),
            };
            Ok(Read::Leaf { entries: data.map(found).collect(), problem })
        }
    }
}

/// The first rule that a leaf breaks.
fn leaf_problem(entries: &[LeafEntry], route: Route, level: u32) -> Option<String> {
    if !entries.is_sorted_by(|a, b| a.key.as_bytes() < b.key.as_bytes()) {
        return Some("its entries are not sorted by their fileIds, or one is there twice".to_owned());
    }
    // At the deepest level all but two bits of the routing number have been used.
    let prefix = |routing: u32| 1 << (5 * level) | routing.checked_shr(32 - 5 * level).unwrap_or(0);
    for entry in entries {
        if prefix(entry.routing()) != route {
            return Some(format!("{:?} does not belong under it", entry.key));
        }
        let rest = |hash: &Hash| hash.as_bytes()[2..].to_vec();
        if entry.path_key.is_some_and(|key| rest(&key) != rest(&Hash::of(entry.key.as_bytes()))) {
            return Some(format!("the routing key of {:?} is not that of its fileId", entry.key));
        }
        if entry.filemeta.kind != ObjectKind::Filemeta {
            return Some(format!("{} is in the place of a filemeta", entry.filemeta));
        }
    }
    None
}

/// Snapshots by the trees that they share.
pub(crate) fn by_root(
    snapshots: impl Iterator<Item = (ObjectRef, Option<ObjectRef>)>,
) -> BTreeMap<ObjectRef, Vec<ObjectRef>> {
    let mut roots: BTreeMap<ObjectRef, Vec<ObjectRef>> = BTreeMap::new();
    for (snapshot, root) in snapshots {
        if let Some(root) = root {
            roots.entry(root).or_default().push(snapshot);
        }
    }
    roots
}
