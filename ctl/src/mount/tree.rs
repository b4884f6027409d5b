//! The file system: what is where, and what is in it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fuser::FileType;
use tokio::time::Instant;

use super::blocks::{Blocks, File};
use super::cache::Cache;
use super::catalogue::{Catalogue, Listing};
use super::names;
use super::nodes::{Child, Node, Nodes, What};
use super::remote::{Fault, Listed, Remote};

/// How many entries of folders are kept. `--help` tells it.
pub(crate) const LISTED: usize = 100_000;

/// For how long the list of snapshots is believed.
const FRESH: Duration = Duration::from_secs(5);

/// Why something is not done; [`super::kernel`] gives these their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such entry.
    Missing,
    /// It is not a folder.
    NotAFolder,
    /// It is not a file that can be read, or not a link.
    Unfit,
    /// It cannot be read; why was told.
    Failed,
}

/// Where a line goes that says why something cannot be read.
pub(crate) type Say = Box<dyn Fn(&str) + Send + Sync>;

/// A snapshot, and a path in it.
type Place = (Arc<str>, Arc<[u8]>);

/// A folder that somebody has opened: it does not change until it is closed.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) node: Arc<Node>,
    pub(crate) listing: Arc<Listing>,
}

/// The file system over a [`Remote`].
pub(crate) struct Tree<R> {
    remote: R,
    pub(crate) nodes: Nodes,
    listings: Cache<Place, Arc<Listing>>,
    pub(crate) blocks: Blocks,
    catalogue: tokio::sync::Mutex<Option<(Instant, Arc<Catalogue>)>>,
    say: Say,
    said: Mutex<String>,
}

impl<R: Remote> Tree<R> {
    /// A file system with this root.
    pub(crate) fn new(remote: R, root: What, say: Say) -> Self {
        Self {
            remote,
            nodes: Nodes::new(root),
            listings: Cache::new(LISTED, |listing: &Arc<Listing>| listing.children.len()),
            blocks: Blocks::new(),
            catalogue: tokio::sync::Mutex::default(),
            say,
            said: Mutex::default(),
        }
    }

    /// The entry of a name in a folder; the kernel has looked it up then.
    pub(crate) async fn look_up(&self, parent: u64, name: &[u8]) -> Result<Arc<Node>, Refusal> {
        let parent = self.node(parent)?;
        let listing = self.listing(&parent).await?;
        match listing.find(name) {
            Some(child) => Ok(self.nodes.look_up(&parent, child)),
            None if listing.complete => Err(Refusal::Missing),
            // It may be what could not be read.
            None => Err(Refusal::Failed),
        }
    }

    /// The node of a number.
    pub(crate) fn node(&self, number: u64) -> Result<Arc<Node>, Refusal> {
        self.nodes.get(number).ok_or(Refusal::Missing)
    }

    /// Opens a folder.
    pub(crate) async fn open_folder(&self, number: u64) -> Result<Folder, Refusal> {
        let node = self.node(number)?;
        let listing = self.listing(&node).await?;
        Ok(Folder { node, listing })
    }

    /// Opens a file.
    pub(crate) fn open_file(&self, number: u64) -> Result<File, Refusal> {
        let node = self.node(number)?;
        match (&node.child.what, node.place()) {
            (What::Entry(entry), Some((snapshot, path))) if entry.kind == FileType::RegularFile => {
                Ok(File::new(snapshot, path, entry.size, entry.identity))
            }
            _ => Err(Refusal::Unfit),
        }
    }

    /// Where a link points.
    pub(crate) fn target(&self, number: u64) -> Result<Arc<Child>, Refusal> {
        let node = self.node(number)?;
        match &node.child.what {
            What::Link(_) => {}
            What::Entry(entry) if entry.kind == FileType::Symlink => {}
            _ => return Err(Refusal::Unfit),
        }
        Ok(Arc::clone(&node.child))
    }

    /// What of a range lies in a file; what follows is read ahead if it looks as if it were wanted.
    pub(crate) async fn read(self: &Arc<Self>, file: &Arc<File>, offset: u64, length: u64) -> Result<Bytes, Refusal> {
        for index in file.ahead_of(offset, length) {
            let (tree, file) = (Arc::clone(self), Arc::clone(file));
            // Whoever needs the block will be told if it fails.
            tokio::spawn(async move { tree.blocks.block(&tree.remote, &file, index).await.map(drop) });
        }
        let read = self.blocks.read(&self.remote, file, offset, length).await;
        read.map_err(|fault| self.refused(&format!("cannot read {}", names::shown(&file.snapshot, &file.path)), fault))
    }

    /// What is in a folder.
    async fn listing(&self, node: &Node) -> Result<Arc<Listing>, Refusal> {
        match &node.child.what {
            What::Top => Ok(Arc::clone(&self.catalogue().await?.top)),
            What::Snapshots => Ok(Arc::clone(&self.catalogue().await?.snapshots)),
            What::Tags => Ok(Arc::clone(&self.catalogue().await?.tags)),
            What::Tag => self.catalogue().await?.tag(&node.child.name).ok_or(Refusal::Missing),
            What::Entry(entry) if entry.kind != FileType::Directory => Err(Refusal::NotAFolder),
            What::Link(_) => Err(Refusal::NotAFolder),
            What::Snapshot(..) | What::Entry(_) => {
                let (snapshot, path) = node.place().ok_or(Refusal::Missing)?;
                let key = (snapshot, Arc::from(path));
                self.listings.get(&key, || self.fetch(&key.0, &key.1)).await
            }
        }
    }

    async fn fetch(&self, snapshot: &str, path: &[u8]) -> Result<Arc<Listing>, Refusal> {
        let what = || format!("cannot list {}", names::shown(snapshot, path));
        let (entries, problems) = match self.remote.list(snapshot, path).await {
            Ok(entries) => (entries, Vec::new()),
            Err(Listed::Partly(entries, problems)) => (entries, problems),
            Err(Listed::Not(fault)) => return Err(self.refused(&what(), fault)),
        };
        for problem in &problems {
            self.tell(&format!("{} completely: {problem}", what()));
        }
        let child = |entry: super::remote::Entry| Child { name: entry.name.clone(), what: What::Entry(entry) };
        Ok(Arc::new(Listing::new(entries.into_iter().map(child).collect(), problems.is_empty())))
    }

    /// The mount's own folders as they are now.
    async fn catalogue(&self) -> Result<Arc<Catalogue>, Refusal> {
        let mut known = self.catalogue.lock().await;
        if let Some((asked, catalogue)) = &*known
            && asked.elapsed() < FRESH
        {
            return Ok(Arc::clone(catalogue));
        }
        let snapshots = self.remote.snapshots().await;
        let snapshots = snapshots.map_err(|fault| self.refused("cannot list the snapshots", fault))?;
        for problem in &snapshots.problems {
            self.tell(&format!("cannot list all snapshots: {problem}"));
        }
        let catalogue = Arc::new(Catalogue::new(&snapshots));
        *known = Some((Instant::now(), Arc::clone(&catalogue)));
        Ok(catalogue)
    }

    fn refused(&self, what: &str, fault: Fault) -> Refusal {
        let (why, refusal) = match fault {
            Fault::Missing(why) => (why, Refusal::Missing),
            Fault::Failed(why) => (why, Refusal::Failed),
        };
        self.tell(&format!("{what}: {why}"));
        refusal
    }

    /// Says a line, but not again and again: programs and the kernel try more than once.
    fn tell(&self, line: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != line {
            (self.say)(line);
            line.clone_into(&mut said);
        }
    }
}

impl Folder {
    /// Gives the entries from `offset` on to `add`, each with its offset, the one of the next, and the child (none for
    /// the folder itself and the one above it), until it wants no more. After the last one of a folder that is not
    /// complete comes an error, so that nobody takes it for the whole.
    pub(crate) fn page(
        &self,
        offset: u64,
        mut add: impl FnMut(u64, &[u8], Option<&Arc<Child>>) -> bool,
    ) -> Result<(), Refusal> {
        let dots: [(&[u8], _); 2] = [(b".", None), (b"..", None)];
        let children = self.listing.children.iter().map(|child| (&*child.name, Some(child)));
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut any = false;
        for (next, (name, child)) in (1..).zip(dots.into_iter().chain(children)).skip(from) {
            if !add(next, name, child) {
                return Ok(());
            }
            any = true;
        }
        if any || self.listing.complete { Ok(()) } else { Err(Refusal::Failed) }
    }
}
