//! Whom the faults hurt: a second look at the trees, only where there are faults.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::CheckError;
use super::contents::Contents;
use super::entries::{Entries, TOP};
use super::faults::Findings;
use super::graph::{Below, Graph, by_root};
use super::numbers::NONE;
use super::report::{Harm, PATHS_KEPT, SNAPSHOTS_KEPT};
use super::stop::Stop;
use crate::object::{Content, FileMeta, Node, ObjectKind, ObjectRef, Snapshot, file_id_bytes};
use crate::repository::ObjectReader;
use crate::tree::show_path;

/// What of the repository was read.
#[derive(Clone, Copy)]
pub(crate) struct Trees<'a> {
    pub(crate) reader: &'a ObjectReader,
    pub(crate) stop: &'a Stop,
    pub(crate) graph: &'a Graph,
    pub(crate) entries: &'a Entries,
    pub(crate) contents: &'a Contents,
    pub(crate) snapshots: &'a BTreeMap<ObjectRef, Arc<Snapshot>>,
}

/// What is lost of a tree.
#[derive(Debug, Default)]
pub(crate) struct Loss {
    /// The faults by which each lost entry is lost, by the numbers of their filemetas.
    pub(crate) entries: BTreeMap<u32, Vec<u32>>,
    /// The faults by which nodes are lost, and with them entries of which nothing is known.
    pub(crate) nodes: Vec<u32>,
}

impl Loss {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.nodes.is_empty()
    }
}

/// Bytes of all paths together that a report keeps.
const TOLD: usize = 2 << 20;

/// Tells each fault whom it hurts, and gives the snapshots of which something is lost.
pub(super) fn tell(trees: Trees<'_>, chosen: &[ObjectRef], findings: &mut Findings) -> Result<u64, CheckError> {
    let mut damaged = 0;
    for (snapshot, number) in findings.bad.clone().iter().filter(|(object, _)| object.kind == ObjectKind::Snapshot) {
        damaged += 1;
        let is_lost = !trees.snapshots.contains_key(snapshot);
        add(findings, *number, Harm { snapshot: *snapshot, paths: Vec::new(), path_count: 0, unknown: is_lost });
    }
    let lost_contents = lost_contents(trees, findings)?;
    let roots = chosen.iter().filter_map(|chosen| Some((*chosen, trees.snapshots.get(chosen)?.root)));
    for (root, snapshots) in by_root(roots) {
        trees.stop.check()?;
        let loss = loss(trees, root, findings, &lost_contents);
        if loss.is_empty() {
            continue;
        }
        damaged += snapshots.iter().filter(|snapshot| !findings.bad.contains_key(snapshot)).count() as u64;
        let source = trees.snapshots.get(&snapshots[0]).map(|snapshot| snapshot.source.source_type.clone());
        let names = Names::of(trees, root, &loss, source.as_deref().unwrap_or_default())?;
        let mut by_fault: BTreeMap<u32, (Vec<u32>, bool)> = BTreeMap::new();
        for (entry, faults) in &loss.entries {
            for fault in faults {
                by_fault.entry(*fault).or_default().0.push(*entry);
            }
        }
        for fault in &loss.nodes {
            by_fault.entry(*fault).or_default().1 = true;
        }
        for (fault, (entries, unknown)) in by_fault {
            let mut paths: Vec<String> = entries.iter().filter_map(|entry| names.path(*entry)).collect();
            paths.sort();
            paths.truncate(PATHS_KEPT);
            for snapshot in &snapshots {
                let path_count = entries.len() as u64;
                add(findings, fault, Harm { snapshot: *snapshot, paths: paths.clone(), path_count, unknown });
            }
        }
    }
    Ok(damaged)
}

fn add(findings: &mut Findings, fault: u32, mut harm: Harm) {
    let size: usize = harm.paths.iter().map(String::len).sum();
    if findings.told + size > TOLD {
        harm.paths.clear();
    } else {
        findings.told += size;
    }
    if let Some(fault) = findings.faults.get_mut(fault as usize) {
        fault.snapshots += 1;
        if fault.harm.len() < SNAPSHOTS_KEPT {
            fault.harm.push(harm);
        }
    }
}

/// The contents that are lost, by number, and the faults by which they are.
pub(crate) type LostContents = HashMap<u32, Vec<u32>>;

/// Finds the contents that are lost themselves, or by a chunk.
pub(crate) fn lost_contents(trees: Trees<'_>, findings: &Findings) -> Result<LostContents, CheckError> {
    let mut lost = LostContents::new();
    for (object, fault) in findings.bad.iter().filter(|(object, _)| object.kind == ObjectKind::Content) {
        if let Some(number) = trees.contents.numbers.find(&object.hash) {
            lost.entry(number).or_default().push(*fault);
        }
    }
    if findings.bad.keys().any(|object| object.kind == ObjectKind::Chunk) {
        let large = trees.contents.large();
        trees.stop.each(
            &large,
            16,
            |number| {
                let list = trees.reader.read_json::<Content>(&trees.contents.numbers.object(*number));
                let chunks = list.map(|list| list.chunks).unwrap_or_default();
                let mut faults: Vec<u32> = chunks.iter().filter_map(|chunk| findings.bad.get(chunk)).copied().collect();
                faults.sort_unstable();
                faults.dedup();
                Ok(faults)
            },
            |number, faults| {
                if !faults.is_empty() {
                    lost.entry(*number).or_default().extend(faults);
                }
            },
        )?;
    }
    Ok(lost)
}

/// What is lost of the tree below a root.
pub(crate) fn loss(trees: Trees<'_>, root: ObjectRef, findings: &Findings, lost_contents: &LostContents) -> Loss {
    let mut loss = Loss::default();
    trees.graph.walk(root, |node, below| {
        let node = trees.graph.nodes.object(node);
        if let Some(fault) = findings.bad.get(&node) {
            loss.nodes.push(*fault);
        }
        let Below::Entries(entries) = below else { return };
        for entry in entries {
            let own = findings.bad.get(&trees.entries.numbers.object(*entry));
            let content = Some(trees.entries.facts(*entry).content).filter(|content| *content != NONE);
            let by_content = content.and_then(|content| lost_contents.get(&content));
            if own.is_some() || by_content.is_some() {
                let faults = own.into_iter().chain(by_content.into_iter().flatten()).copied();
                loss.entries.insert(*entry, faults.collect());
            }
        }
    });
    loss
}

/// What lost entries are called.
pub(crate) struct Names {
    paths: HashMap<u32, String>,
}

impl Names {
    /// Reads the leaves again that have lost entries.
    pub(crate) fn of(trees: Trees<'_>, root: ObjectRef, loss: &Loss, source_type: &str) -> Result<Self, CheckError> {
        let Trees { reader, stop, graph, entries, .. } = trees;
        let mut leaves = Vec::new();
        graph.walk(root, |node, below| {
            if let Below::Entries(items) = below
                && items.iter().any(|item| loss.entries.contains_key(item))
            {
                leaves.push(graph.nodes.object(node));
            }
        });
        let mut ids: HashMap<u32, String> = HashMap::new();
        stop.each(
            &leaves,
            4,
            |leaf| Ok(reader.read_json::<Node>(leaf).ok()),
            |_, node| {
                let Some(Node::Leaf(leaf)) = node else { return };
                for entry in leaf.entries {
                    let number = entries.numbers.find(&entry.filemeta.hash);
                    if let Some(number) = number.filter(|number| loss.entries.contains_key(number)) {
                        ids.insert(number, entry.key);
                    }
                }
            },
        )?;
        let is_path = matches!(source_type, "local" | "sftp");
        let mut chains = Chains { trees, root, by_key: None };
        let named = |(number, id): (u32, String)| {
            let path = if is_path { show_path(&file_id_bytes(&id)) } else { chains.path(number).unwrap_or(id) };
            (number, path)
        };
        Ok(Self { paths: ids.into_iter().map(named).collect() })
    }

    /// The path of an entry, fit to be shown.
    pub(crate) fn path(&self, entry: u32) -> Option<String> {
        self.paths.get(&entry).cloned()
    }
}

/// Paths of a cloud source, whose fileIds say nothing: by the names of the parents.
struct Chains<'a> {
    trees: Trees<'a>,
    root: ObjectRef,
    by_key: Option<HashMap<u64, u32>>,
}

impl Chains<'_> {
    fn path(&mut self, entry: u32) -> Option<String> {
        const DEEPEST: usize = 256;
        let Trees { reader, graph, entries, .. } = self.trees;
        let root = self.root;
        let by_key = self.by_key.get_or_insert_with(|| {
            let mut by_key = HashMap::new();
            graph.walk(root, |_, below| {
                if let Below::Entries(items) = below {
                    by_key.extend(items.iter().map(|item| (entries.facts(*item).key, *item)));
                }
            });
            by_key
        });
        let (mut names, mut at) = (Vec::new(), entry);
        while names.len() < DEEPEST {
            let meta: FileMeta = reader.read_json(&entries.numbers.object(at)).ok()?;
            names.push(show_path(meta.name.as_bytes()));
            match entries.facts(at).parent {
                TOP => break,
                parent => at = *by_key.get(&parent)?,
            }
        }
        names.reverse();
        Some(names.join("/"))
    }
}
