//! Making what was written a snapshot. The order is what makes a crash harmless: packs are in the store already; the
//! catalog is written, then the snapshot, then what points to it. Whatever is cut off, what is there is whole, and only
//! unreferenced objects may be left.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::snapshots::SNAPSHOTS_KEY;
use super::writer::Written;
use super::{Repository, RepositoryError};
use crate::object::{Hash, Latest, ObjectKind, ObjectRef, Snapshot, SnapshotEntry, SourceInfo, Timestamp, json};

/// The key of the pointer to the latest snapshot.
const LATEST_KEY: &str = "index/latest";
const GENERATOR: &str = concat!("cloudsticd/", env!("CARGO_PKG_VERSION"));

/// A snapshot that is to be.
#[derive(Debug, Clone)]
pub struct NewSnapshot {
    /// When the backup was made.
    pub created: DateTime<Utc>,
    /// Its tree.
    pub root: Option<ObjectRef>,
    /// Where it came from.
    pub source: SourceInfo,
    /// Tags.
    pub tags: Vec<String>,
    /// The hash of the exclude patterns, if any.
    pub exclude_hash: Option<Hash>,
}

impl Repository {
    /// Publishes what a writer has written as a snapshot. Its number is the highest so far and one.
    pub async fn commit(
        self: &Arc<Self>,
        written: Written,
        new: NewSnapshot,
    ) -> Result<(ObjectRef, Snapshot), RepositoryError> {
        self.extend_catalog(written.packs, None).await?;
        let mut snapshots = self.snapshots().await?;
        let seq = snapshots.iter().map(|entry| entry.seq).max().unwrap_or(0) + 1;
        let snapshot = Snapshot {
            version: 1,
            created: Timestamp::seconds(new.created),
            root: new.root,
            seq,
            source: new.source,
            meta: BTreeMap::from([("generator".to_owned(), GENERATOR.to_owned())]),
            tags: new.tags,
            change_token: String::new(),
            exclude_hash: new.exclude_hash.map(|hash| hash.to_string()).unwrap_or_default(),
        };
        let bytes = json::encode(&snapshot);
        let reference = ObjectRef::new(ObjectKind::Snapshot, Hash::of(&bytes));
        self.put_sealed(&reference.key(), &bytes).await?;
        self.put_sealed(LATEST_KEY, &json::encode(&Latest { latest_snapshot: reference, seq })).await?;
        self.extend_catalog(Vec::new(), Some(LATEST_KEY)).await?;
        snapshots.retain(|entry| entry.reference != reference);
        snapshots.push(SnapshotEntry::new(reference, &snapshot));
        snapshots.sort_by_key(|entry| (entry.seq, entry.reference));
        self.put_sealed(SNAPSHOTS_KEY, &json::encode(&snapshots)).await?;
        Ok((reference, snapshot))
    }

    async fn put_sealed(&self, key: &str, plain: &[u8]) -> Result<(), RepositoryError> {
        let sealed = self.sealer.seal(plain)?;
        Ok(self.store.put(key, Bytes::from(sealed)).await?)
    }
}
