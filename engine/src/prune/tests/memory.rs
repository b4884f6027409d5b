//! A repository of a million files, in which an older snapshot was forgotten, for `scripts/measure-prune.sh`: the daemon
//! must prune it within 300 MB. That takes minutes, so `make stress` does it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::Utc;
use cloudstic_e2e::random;

use super::bench::{key, open};
use crate::lock::LeaseWatch;
use crate::object::{Content, Hash, ObjectRef};
use crate::repository::{InitOptions, NewSnapshot, ObjectWriter, Repository, RepositoryError};
use crate::store::{LocalStore, ObjectStore};
use crate::tree::memory::{meta, write_tree};

const FILES: u64 = 1_000_000;

/// What differs between the two snapshots: whole packs, and some of each of the others.
fn is_changed(n: u64) -> bool {
    n < FILES / 10 || n.is_multiple_of(20)
}

fn write_files(repository: &Repository, writer: &ObjectWriter, is_old: bool) -> Result<ObjectRef, RepositoryError> {
    let files = (0..FILES).map(|n| {
        let path = format!("folder-{}/file-{n}", n / 1000);
        let data = random::bytes(if is_old && is_changed(n) { FILES + n } else { n }, 120);
        let hash = Hash::of(&data);
        let content = repository.content_ref(&hash);
        writer.write(content, &Content::encode_inline(&data))?;
        let mut meta = meta(path.as_bytes());
        (meta.content_hash, meta.content_ref, meta.size) = (hash.to_string(), content.hash.to_string(), 120);
        Ok((path, meta))
    });
    write_tree(writer, files)
}

async fn commit(store: &Arc<LocalStore>, is_old: bool) -> ObjectRef {
    let repository = open(Arc::clone(store) as Arc<dyn ObjectStore>).await;
    let lease = LeaseWatch::not_needed();
    let writer = repository.writer(repository.existing().await.unwrap(), lease.clone());
    let written = Arc::clone(&repository);
    let writing = tokio::task::spawn_blocking(move || {
        let root = write_files(&written, &writer, is_old)?;
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
