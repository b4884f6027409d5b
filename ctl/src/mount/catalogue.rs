//! The folders and links of the mount's own: `snapshots/`, `tags/`, `latest`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::names;
use super::nodes::{Child, What};
use super::remote::{Snapshot, Snapshots};

/// What is in a folder, sorted by name.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) children: Vec<Arc<Child>>,
    /// Whether that is all of it; if not, what is wrong was told.
    pub(crate) complete: bool,
}

impl Listing {
    /// A listing of children in any order. Of two with one name, one is left out: it is not complete then.
    pub(crate) fn new(mut children: Vec<Child>, complete: bool) -> Self {
        children.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let all = children.len();
        children.dedup_by(|a, b| a.name == b.name);
        let complete = complete && children.len() == all;
        Self { children: children.into_iter().map(Arc::new).collect(), complete }
    }

    /// The child of a name.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Arc<Child>> {
        let at = self.children.binary_search_by(|child| (*child.name).cmp(name)).ok()?;
        self.children.get(at)
    }
}

/// The mount's own folders at one moment.
#[derive(Debug)]
pub(crate) struct Catalogue {
    pub(crate) top: Arc<Listing>,
    pub(crate) snapshots: Arc<Listing>,
    pub(crate) tags: Arc<Listing>,
    by_tag: HashMap<Box<[u8]>, Arc<Listing>>,
}

impl Catalogue {
    /// The folders for these snapshots, the newest of which is the first.
    pub(crate) fn new(snapshots: &Snapshots) -> Self {
        let complete = snapshots.problems.is_empty();
        let named = named(snapshots);
        let mut by_tag: BTreeMap<String, Vec<Child>> = BTreeMap::new();
        for (snapshot, name) in snapshots.known.iter().zip(&named) {
            let mut tags: Vec<_> = snapshot.tags.iter().filter_map(|tag| names::of_tag(tag)).collect();
            // A tag may be given twice.
            tags.sort_unstable();
            tags.dedup();
            for tag in tags {
                by_tag.entry(tag).or_default().push(link(name, &format!("../../snapshots/{name}")));
            }
        }
        let mut top = vec![folder("snapshots", What::Snapshots), folder("tags", What::Tags)];
        top.extend(named.first().map(|name| link("latest", &format!("snapshots/{name}"))));
        let of_snapshot = |(snapshot, name): (&Snapshot, &String)| {
            folder(name, What::Snapshot(Arc::clone(&snapshot.hash), snapshot.created))
        };
        let roots = snapshots.known.iter().zip(&named).map(of_snapshot).collect();
        let tags = by_tag.keys().map(|tag| folder(tag, What::Tag)).collect();
        let links =
            |(tag, links): (String, Vec<Child>)| (tag.into_bytes().into(), Arc::new(Listing::new(links, complete)));
        Self {
            top: Arc::new(Listing::new(top, true)),
            snapshots: Arc::new(Listing::new(roots, complete)),
            tags: Arc::new(Listing::new(tags, complete)),
            by_tag: by_tag.into_iter().map(links).collect(),
        }
    }

    /// The links to the snapshots with a tag.
    pub(crate) fn tag(&self, name: &[u8]) -> Option<Arc<Listing>> {
        self.by_tag.get(name).map(Arc::clone)
    }
}

/// A name for each snapshot: with a short hash, unless that is another one's name, too.
fn named(snapshots: &Snapshots) -> Vec<String> {
    let name = |digits: usize| move |snapshot: &Snapshot| names::of_snapshot(snapshot.created, &snapshot.hash, digits);
    let mut times: HashMap<String, usize> = HashMap::new();
    for short in snapshots.known.iter().map(name(12)) {
        *times.entry(short).or_default() += 1;
    }
    let unique = |snapshot: &Snapshot| {
        let short = name(12)(snapshot);
        if times.get(&short) == Some(&1) { short } else { name(64)(snapshot) }
    };
    snapshots.known.iter().map(unique).collect()
}

fn folder(name: &str, what: What) -> Child {
    Child { name: name.as_bytes().into(), what }
}

fn link(name: &str, target: &str) -> Child {
    Child { name: name.as_bytes().into(), what: What::Link(target.as_bytes().into()) }
}
