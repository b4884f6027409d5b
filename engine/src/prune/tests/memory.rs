//! A repository of a million files, in which an older snapshot was forgotten, for `scripts/measure-prune.sh`: the daemon
//! must prune it within 300 MB. That takes minutes, so `make stress` does it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::Utc;
use cloudstic_e2e::random;

use super::bench::{key, open};
use crate::lock::LeaseWatch;
use crate::object::{Content, Hash, Leaf, LeafEntry, Node, ObjectKind, ObjectRef, json};
use crate::repository::{InitOptions, NewSnapshot, ObjectWriter, Repository, RepositoryError};
use crate::store::{LocalStore, ObjectStore};
use crate::tree::memory::meta;

const FILES: u64 = 1_000_000;

/// What differs between the two snapshots: whole packs, and some of each of the others.
fn is_changed(n: u64) -> bool {
    n < FILES / 10 || n.is_multiple_of(20)
}

fn write_tree(repository: &Repository, writer: &ObjectWriter, is_old: bool) -> Result<ObjectRef, RepositoryError> {
    let put = |kind, bytes: Vec<u8>| {
        let object = ObjectRef::new(kind, Hash::of(&bytes));
        writer.write(object, &bytes).map(|_| object)
    };
    let (mut entries, mut level) = (Vec::new(), Vec::new());
    for n in 0..FILES {
        let path = format!("folder-{}/file-{n}", n / 1000);
        let data = random::bytes(if is_old && is_changed(n) { FILES + n } else { n }, 120);
        let hash = Hash::of(&data);
        let content = repository.content_ref(&hash);
        writer.write(content, &Content::encode_inline(&data))?;
        let mut meta = meta(path.as_bytes());
        (meta.content_hash, meta.content_ref, meta.size) = (hash.to_string(), content.hash.to_string(), 120);
        let filemeta = put(ObjectKind::Filemeta, json::encode(&meta))?;
        entries.push(LeafEntry { key: path.clone(), path_key: Some(Hash::of(path.as_bytes())), filemeta });
        if entries.len() == 32 {
            let leaf = Node::Leaf(Leaf { entries: std::mem::take(&mut entries) });
            level.push(put(ObjectKind::Node, json::encode(&leaf))?);
        }
    }
    while level.len() > 1 {
        let above = level.chunks(32).map(|children| {
            let node = Node::Internal { bitmap: u32::MAX, children: children.to_vec() };
            put(ObjectKind::Node, json::encode(&node))
        });
        level = above.collect::<Result<_, _>>()?;
    }
    Ok(level[0])
}

async fn commit(store: &Arc<LocalStore>, is_old: bool) -> ObjectRef {
    let repository = open(Arc::clone(store) as Arc<dyn ObjectStore>).await;
    let lease = LeaseWatch::not_needed();
    let writer = repository.writer(repository.existing().await.unwrap(), lease.clone());
    let written = Arc::clone(&repository);
    let writing = tokio::task::spawn_blocking(move || {
        let root = write_tree(&written, &writer, is_old)?;
        Ok::<_, RepositoryError>((root, writer.finish()?))
    });
    let (root, written) = writing.await.unwrap().unwrap();
    let new = NewSnapshot { created: Utc::now(), root: Some(root), ..NewSnapshot::default() };
    repository.commit(written, new, &lease, || Ok::<_, RepositoryError>(())).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make stress"]
async fn a_repository_of_a_million_files() {
    let folder = PathBuf::from(std::env::var_os("CLOUDSTIC_MEASURE").unwrap());
    let store = Arc::new(LocalStore::new(folder));
    let options = InitOptions { credentials: vec![key()], ..InitOptions::default() };
    Repository::init(store.clone(), options).await.unwrap();
    let old = commit(&store, true).await;
    commit(&store, false).await;
    let repository = open(store).await;
    repository.remove_snapshots(&BTreeSet::from([old]), &LeaseWatch::not_needed()).await.unwrap();
    assert_eq!(repository.snapshots().await.unwrap().readable.len(), 1);
}
