//! What is known of a source from its previous snapshot, and what that says of an entry.

use std::borrow::Cow;

use tokio_util::sync::CancellationToken;

use crate::cache::{CacheView, CachedEntry, Proves};
use crate::object::{Hash, ObjectKind, ObjectRef, file_id_bytes};
use crate::repository::{Existing, ObjectReader};
use crate::source::{Entry, FileType};
use crate::tree::{Cancelled, EntryId, Tree};

/// What is known of a source.
pub(super) struct Previous {
    kind: Kind,
    root: Option<ObjectRef>,
    existing: Option<Existing>,
    /// Entries that are not folders, folders, and bytes of files.
    totals: (u64, u64, u64),
}

enum Kind {
    Nothing,
    Cache(CacheView),
    Tree(Tree),
}

/// What is known of the entries of one folder.
pub(super) enum PreviousFolder<'a> {
    Nothing,
    Cache(Vec<CachedEntry>, &'a Existing),
    Tree(&'a Tree, Cow<'a, [u8]>, &'a Existing),
}

/// What is known of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing: it is new.
    Nothing,
    /// It is as it was: this is its filemeta.
    Unchanged(Hash),
    /// It was there; its bytes are as they were, if `content` is given, but its metadata may not be.
    Before {
        /// Its filemeta then.
        filemeta: Hash,
        /// Its content and the hash of that.
        content: Option<(ObjectRef, Hash)>,
    },
}

impl Previous {
    pub(super) fn nothing() -> Self {
        Self { kind: Kind::Nothing, root: None, existing: None, totals: (0, 0, 0) }
    }

    /// What the stat cache says of the snapshot with this root. What does not exist is not believed.
    pub(super) fn cache(view: CacheView, root: Option<ObjectRef>, existing: Existing) -> Self {
        let source = view.source();
        let totals = (source.files, source.folders, source.bytes);
        let root = root.filter(|root| existing.contains(root).unwrap_or(false));
        Self { kind: Kind::Cache(view), root, existing: Some(existing), totals }
    }

    /// What a snapshot with this root says. What of it is damaged counts as not there, so that it is stored anew.
    pub(super) fn tree(
        reader: &ObjectReader,
        root: Option<ObjectRef>,
        existing: Existing,
        cancel: &CancellationToken,
    ) -> Result<Self, Cancelled> {
        let tree = Tree::load(reader, root, true, cancel)?;
        let mut totals = (0, 0, 0);
        for entry in tree.entries() {
            let count = if entry.is_folder { &mut totals.1 } else { &mut totals.0 };
            *count += 1;
            totals.2 += entry.size;
        }
        // A root that leads to something damaged is not one to keep.
        let root = root.filter(|_| tree.problems().is_empty());
        Ok(Self { kind: Kind::Tree(tree), root, existing: Some(existing), totals })
    }

    /// The root of the previous tree.
    pub(super) fn root(&self) -> Option<ObjectRef> {
        self.root
    }

    /// Entries that are not folders, folders, and bytes of files.
    pub(super) fn totals(&self) -> (u64, u64, u64) {
        self.totals
    }

    /// What is known of a folder's entries.
    pub(super) fn folder(&self, file_id: &str) -> PreviousFolder<'_> {
        let Some(existing) = &self.existing else { return PreviousFolder::Nothing };
        match &self.kind {
            Kind::Nothing => PreviousFolder::Nothing,
            Kind::Cache(view) => match view.folder(file_id) {
                Ok(entries) => PreviousFolder::Cache(entries, existing),
                Err(problem) => {
                    tracing::warn!(%problem, "the stat cache cannot be read");
                    PreviousFolder::Nothing
                }
            },
            Kind::Tree(tree) => PreviousFolder::Tree(tree, file_id_bytes(file_id).into_owned().into(), existing),
        }
    }
}

impl PreviousFolder<'_> {
    /// What is known of an entry of this folder.
    pub(super) fn entry(&self, entry: &Entry) -> Known {
        match self {
            Self::Nothing => Known::Nothing,
            Self::Cache(entries, existing) => entries
                .binary_search_by(|known| known.name.as_slice().cmp(&entry.name))
                .ok()
                .map_or(Known::Nothing, |at| from_cache(&entries[at], entry, existing)),
            Self::Tree(tree, path, existing) => {
                let path = if path.is_empty() { entry.name.clone() } else { [path, &b"/"[..], &entry.name].concat() };
                tree.find(&path).map_or(Known::Nothing, |id| from_tree(tree, id, entry, existing))
            }
        }
    }

    /// The record of an entry of this folder, if it is known from the cache.
    pub(super) fn record(&self, entry: &Entry) -> Option<CachedEntry> {
        let entries = self.cached();
        let at = entries.binary_search_by(|known| known.name.as_slice().cmp(&entry.name)).ok()?;
        entries.get(at).cloned()
    }

    /// The records of this folder, if it is known from the cache.
    pub(super) fn cached(&self) -> &[CachedEntry] {
        match self {
            Self::Cache(entries, _) => entries,
            Self::Nothing | Self::Tree(..) => &[],
        }
    }
}

fn from_cache(known: &CachedEntry, entry: &Entry, existing: &Existing) -> Known {
    let was_folder = known.stat.file_type == FileType::Folder;
    if was_folder != (entry.stat.file_type == FileType::Folder) {
        return Known::Nothing;
    }
    let is_same = known.stat == entry.stat && known.hardlink == entry.hardlink;
    let proves = if is_same { known.proves } else { Proves::Nothing };
    // What cannot be asked for is stored again, and then the same failure ends the backup.
    let exists = |kind, hash| existing.contains(&ObjectRef::new(kind, hash)).unwrap_or(false);
    let has_bytes = known.content.is_none_or(|content| exists(ObjectKind::Content, content));
    match proves {
        Proves::Everything if has_bytes && exists(ObjectKind::Filemeta, known.filemeta) => {
            Known::Unchanged(known.filemeta)
        }
        Proves::Bytes(hash) if has_bytes => {
            let content = known.content.map(|content| (ObjectRef::new(ObjectKind::Content, content), hash));
            Known::Before { filemeta: known.filemeta, content }
        }
        // The change time has moved, so even bytes with the old size and modification time may be others.
        _ => Known::Before { filemeta: known.filemeta, content: None },
    }
}

fn from_tree(tree: &Tree, id: EntryId, entry: &Entry, existing: &Existing) -> Known {
    let known = tree.get(id);
    let is_folder = entry.stat.file_type == FileType::Folder;
    if known.is_folder != is_folder {
        return Known::Nothing;
    }
    let is_regular = known.kind.is_none() && entry.stat.file_type == FileType::Regular;
    let is_same = is_regular && known.size == entry.stat.size && known.mtime == entry.stat.mtime;
    let content = if is_same { tree.content(id).zip(known.content_hash.copied()) } else { None };
    let content = content.filter(|(content, _)| existing.contains(content).unwrap_or(false));
    Known::Before { filemeta: *known.filemeta, content }
}
