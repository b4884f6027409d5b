#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]
use cloudstic_engine::{backup::*, cache::StatCache, progress::Silent, repository::*, source::local::*, store::*};
use std::sync::Arc;
use std::time::Instant;
#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let store: Arc<dyn ObjectStore> = Arc::new(LocalStore::new(&args[2]));
    let cred = vec![Credential::PlatformKey("00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff".into())];
    if !std::path::Path::new(&args[2]).exists() {
        Repository::init(store.clone(), InitOptions { credentials: cred.clone(), ..Default::default() }).await.unwrap();
    }
    let t = Instant::now();
    let repo = Arc::new(Repository::open(store, cred).await.unwrap());
    let cache = Some(Arc::new(StatCache::open(std::path::Path::new(&args[3])).unwrap()));
    let req = BackupRequest {
        source: Arc::new(LocalSource::new(&args[1], LocalOptions::default()).unwrap()),
        cache,
        tags: vec![],
        dry_run: false,
        read_all: false,
        clock: cloudstic_engine::clock::system(),
    };
    let r = backup(repo, req, Arc::new(Silent), Default::default()).await.unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let hwm = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    println!(
        "{:?} files {:?} read {} added {} stored {} warn {} {}",
        t.elapsed(),
        r.files,
        r.read_bytes,
        r.added_bytes,
        r.stored_bytes,
        r.warning_count,
        hwm
    );
}
