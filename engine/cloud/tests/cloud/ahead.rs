//! What keeps a long line busy: several requests are under way at once.

use std::sync::Arc;
use std::time::Duration;

use cloudstic_e2e::{random, tree};
use cloudstic_engine::backup::{BackupRequest, backup};
use cloudstic_engine::clock::SystemClock;
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::{InitOptions, Repository};
use cloudstic_engine::restore::{Overwrite, RestoreRequest, restore};
use cloudstic_engine::source::local::{LocalOptions, LocalSource};
use cloudstic_engine::store::ObjectStore;
use hyper::Method;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::server::{Believes, KEY_ID, MemoryS3, SECRET, Server, s3};
use super::{ALL, store};

/// One that answers nothing about chunks, of this method, before so many were asked for.
async fn gathering(method: Method, many: usize) -> Server {
    let mut service = S3ServiceBuilder::new(MemoryS3::new(Believes::All));
    service.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
    let service = service.build();
    let asked = Arc::new(watch::Sender::new(0));
    Server::serve(move |request| {
        let (service, asked) = (service.clone(), Arc::clone(&asked));
        let is_gathered = request.method() == method && request.uri().path().contains("/chunk/");
        async move {
            if is_gathered {
                asked.send_modify(|count| *count += 1);
                let _ = asked.subscribe().wait_for(|count| *count >= many).await;
            }
            s3(&service, request).await
        }
    })
    .await
}

/// Of one large file, which one thread reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn chunks_are_stored_and_read_several_at_a_time() {
    for method in [Method::PUT, Method::GET] {
        let server = gathering(method, 4).await;
        let work = tokio::time::timeout(Duration::from_secs(120), round(&server));
        assert!(work.await.is_ok(), "one waited for another: {:?}", server.take_asked());
    }
}

async fn round(server: &Server) {
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    let bytes = random::bytes(3, 16_000_000);
    tree::write(&source, "large", &bytes);
    let store = Arc::new(store(server, ALL).await) as Arc<dyn ObjectStore>;
    Repository::init(Arc::clone(&store), InitOptions::default()).await.unwrap();
    let repository = Arc::new(Repository::open(store, Vec::new()).await.unwrap());
    let request = BackupRequest {
        source: Arc::new(LocalSource::new(source, LocalOptions::default()).unwrap()),
        cache: None,
        tags: Vec::new(),
        dry_run: false,
        read_all: false,
        clock: Arc::new(SystemClock),
        lease: LeaseWatch::not_needed(),
    };
    backup(Arc::clone(&repository), request, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    let request = RestoreRequest {
        snapshot: "latest".to_owned(),
        paths: Vec::new(),
        target: target.clone(),
        overwrite: Overwrite::default(),
        dry_run: false,
        identity: None,
        lease: LeaseWatch::not_needed(),
    };
    restore(repository, request, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    assert!(std::fs::read(target.join("large")).unwrap() == bytes);
}
