//! Whole backups and restores, by way of the layer of retries, over lines on which things go wrong: they end right, or
//! with an error that says why, and the repository is sound.

use std::sync::Arc;
use std::time::Duration;

use cloudstic_cloud::s3::S3Settings;
use cloudstic_e2e::oracle::assert_same_tree;
use cloudstic_e2e::{random, tree};
use cloudstic_engine::repository::{InitOptions, Repository};
use cloudstic_engine::store::ObjectStore;
use hyper::Method;
use tokio::sync::Notify;

use super::server::Fault;
use super::services::Service;
use super::site::{Site, back_up, bring_back};

/// Two backups of a tree that changes, and a restore.
pub(crate) async fn full_round(site: &Site, store: &Arc<dyn ObjectStore>) {
    let (source, target) = (site.path("source"), site.path("target"));
    tree::full(&source);
    Repository::init(Arc::clone(store), InitOptions::default()).await.unwrap();
    let repository = Arc::new(Repository::open(Arc::clone(store), Vec::new()).await.unwrap());
    back_up(&repository, &source).await.unwrap();
    tree::change(&source);
    back_up(&repository, &source).await.unwrap();
    bring_back(&repository, "latest", &target).await;
    assert_same_tree(&source, &target);
}

/// A test at each kind of service: with conditions that hold and without, of this project and of others.
macro_rules! at_each_service {
    ($($name:ident)*) => { $(mod $name {
        use crate::services::Service;

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn in_memory() {
            super::$name(Service::memory().await).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn with_versions() {
            super::$name(Service::memory_with_versions().await).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn ministack() {
            super::$name(Service::ministack()).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn rclone() {
            super::$name(Service::rclone()).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn in_files() {
            super::$name(Service::files().await).await;
        }
    })* };
}

at_each_service! {
    what_passes_is_survived
    what_is_never_answered_is_asked_again
    a_backup_whose_credentials_end_says_so_and_the_next_one_goes_on
}

async fn what_passes_is_survived(service: Service) {
    let site = Site::new(service).await;
    let store = site.store().await;
    site.line.faults.again(
        3,
        vec![
            Fault::Reset,
            Fault::AnswerLost,
            Fault::HalfSent,
            Fault::CutOff,
            Fault::Refused(500, "InternalError", None),
            Fault::Refused(503, "SlowDown", Some("0")),
            Fault::Twice,
            Fault::Refused(429, "TooManyRequests", Some("1")),
            Fault::Slow(8 << 20),
            Fault::Refused(502, "", None),
        ],
    );
    full_round(&site, &store).await;
    let requests = site.line.faults.stop();
    assert!(requests > 100, "{requests}");
    site.is_sound().await;
}

/// Connections that go on and say nothing. Who waits for them gives up after a moment, here.
async fn what_is_never_answered_is_asked_again(service: Service) {
    let site = Site::new(service).await;
    full_round(&site, &site.store().await).await;
    let short = S3Settings { stall: Duration::from_millis(300), ..site.settings() };
    let store = site.store_with(short).await;
    let repository = Arc::new(Repository::open(Arc::clone(&store), Vec::new()).await.unwrap());
    site.line.faults.again(5, vec![Fault::Silence(Arc::new(Notify::new())), Fault::Stall, Fault::CutShort]);
    bring_back(&repository, "latest", &site.path("again")).await;
    assert!(site.line.faults.stop() > 5);
    assert_same_tree(&site.path("source"), &site.path("again"));
    // Of a write nobody else takes notice than the layer's time limit.
    tree::write(&site.path("source"), "new.bin", &random::bytes(5, 5_000_000));
    site.line.faults.add(Method::PUT, "chunk/", Fault::Stall);
    site.line.faults.add(Method::PUT, "chunk/", Fault::Silence(Arc::new(Notify::new())));
    back_up(&repository, &site.path("source")).await.unwrap();
    site.is_sound().await;
}

/// A line is slow, not dead: what goes over it takes longer than anybody would wait for a single byte.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_line_is_no_silent_one() {
    let site = Site::new(Service::memory().await).await;
    full_round(&site, &site.store().await).await;
    let short = S3Settings { stall: Duration::from_secs(3), ..site.settings() };
    // Nothing would be tried again.
    let store: Arc<dyn ObjectStore> = Arc::new(site.service.store_with(short).await);
    let repository = Arc::new(Repository::open(Arc::clone(&store), Vec::new()).await.unwrap());
    tree::write(&site.path("source"), "new.bin", &random::bytes(5, 3_000_000));
    site.line.faults.always(Fault::Slow(256 << 10));
    back_up(&repository, &site.path("source")).await.unwrap();
    site.line.faults.always(Fault::Slow(1 << 20));
    bring_back(&repository, "latest", &site.path("again")).await;
    assert!(site.line.faults.stop() > 10);
    assert_same_tree(&site.path("source"), &site.path("again"));
}

/// Temporary credentials end while a backup is under way.
async fn a_backup_whose_credentials_end_says_so_and_the_next_one_goes_on(service: Service) {
    let site = Site::new(service).await;
    let store = site.store().await;
    full_round(&site, &store).await;
    let repository = Arc::new(Repository::open(Arc::clone(&store), Vec::new()).await.unwrap());
    tree::write(&site.path("source"), "new.bin", &random::bytes(5, 5_000_000));
    site.line.take_asked();
    site.line.faults.after(Method::PUT, "chunk/", Fault::Refused(400, "ExpiredToken", None));
    let said = back_up(&repository, &site.path("source")).await.unwrap_err().to_string();
    // Whichever is told first: an answer to HEAD has no room for more.
    assert!(said.contains("the session token has expired: give a new one") || said.contains("have expired"), "{said}");
    site.line.faults.stop();
    let asked = site.line.take_asked();
    let written = |part: &str| asked.iter().filter(|it| it.method == Method::PUT && it.target.contains(part)).count();
    assert!(written("chunk/") > 0 && written("snapshot/") == 0, "{asked:?}");
    site.is_sound().await;
    let repository = Arc::new(Repository::open(store, Vec::new()).await.unwrap());
    back_up(&repository, &site.path("source")).await.unwrap();
    bring_back(&repository, "latest", &site.path("again")).await;
    assert_same_tree(&site.path("source"), &site.path("again"));
    site.is_sound().await;
}
