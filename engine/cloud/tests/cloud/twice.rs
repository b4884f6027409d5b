//! Requests that are delivered twice: what comes second meets what came first, and whoever asked must still be told the
//! truth.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloudstic_engine::crypto::Sealer;
use cloudstic_engine::keys::{KeyChange, KeyRequest, change};
use cloudstic_engine::lock::{Kind, LeaseWatch, Locks};
use cloudstic_engine::repository::{Credential, InitOptions, Repository, RepositoryError};
use cloudstic_engine::store::ObjectStore;
use cloudstic_engine::store::limits::{LimitedStore, StoreLimits};
use tokio_util::sync::CancellationToken;

use super::backups::full_round;
use super::server::Fault;
use super::services::Service;
use super::settings_at;
use super::site::Site;

/// A site where every request comes twice.
async fn twice(service: Service) -> Site {
    let site = Site::new(service).await;
    site.line.faults.always(Fault::Twice);
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_repository_is_made_written_and_read() {
    let site = twice(Service::ministack()).await;
    full_round(&site, &site.store().await).await;
    site.is_sound().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_is_told_to_be_in_force() {
    let site = twice(Service::memory().await).await;
    let store = site.store().await;
    let password = |text: &str| vec![Credential::Password(text.into())];
    let options = InitOptions { credentials: password("first"), ..InitOptions::default() };
    assert!(Repository::init(Arc::clone(&store), options).await.unwrap().encrypted);
    let again = Repository::init(Arc::clone(&store), InitOptions::default()).await;
    assert!(matches!(again, Err(RepositoryError::AlreadyInitialised { .. })), "{again:?}");
    let repository = Arc::new(Repository::open(Arc::clone(&store), password("first")).await.unwrap());
    let add = KeyChange::AddPassword { label: "more".to_owned(), password: "more".into() };
    let set = KeyChange::SetPassword { label: Some("default".to_owned()), password: "second".into() };
    for wanted in [add, set] {
        let (credentials, lease) = (password("first"), LeaseWatch::not_needed());
        let request = KeyRequest { credentials, change: wanted, dry_run: false, lease };
        change(Arc::clone(&repository), request, CancellationToken::new()).await.unwrap();
    }
    for (text, opens) in [("first", false), ("second", true), ("more", true)] {
        assert_eq!(Repository::open(Arc::clone(&store), password(text)).await.is_ok(), opens, "{text}");
    }
}

const CLIENTS: usize = 4;
const ROUNDS: usize = 4;

/// The locks that are held at this moment.
type Holders = Arc<Mutex<Vec<(usize, Kind)>>>;

/// Takes locks of both kinds, proves that each is still there, and gives it back.
async fn work(locks: Locks, number: usize, holders: Holders) {
    for round in 0..ROUNDS {
        let kind = if (number + round).is_multiple_of(2) { Kind::Exclusive } else { Kind::Shared };
        let lease = locks.acquire_with(kind, "work", Duration::from_secs(50)).await.unwrap();
        {
            let mut holders = holders.lock().unwrap();
            holders.push((number, kind));
            let is_alone = holders.len() == 1 || holders.iter().all(|(_, kind)| *kind == Kind::Shared);
            assert!(is_alone, "{holders:?}");
        }
        lease.watch().prove().await.unwrap();
        holders.lock().unwrap().retain(|(holder, _)| *holder != number);
        lease.release().await.unwrap();
    }
}

async fn locks_are_kept(service: Service) {
    let Site { service, line, .. } = &twice(service).await;
    let holders = Holders::default();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let store = service.store_with(settings_at(&line.url)).await;
        let store: Arc<dyn ObjectStore> =
            Arc::new(LimitedStore::new(Arc::new(store), StoreLimits::default(), Arc::default()));
        // Others are in the way only for a moment here.
        let random = Arc::new(move || getrandom::u32().map_or(1.0, f64::from) / f64::from(u32::MAX) / 10.0);
        let locks = Locks::new(store, Sealer::new(None)).with_random(random);
        clients.push(tokio::spawn(work(locks, number, Arc::clone(&holders))));
    }
    for client in clients {
        client.await.unwrap();
    }
    let store = service.store().await;
    assert_eq!(Locks::new(Arc::new(store), Sealer::new(None)).list().await.unwrap(), [], "nothing is left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn locks_are_kept_where_conditions_are_met() {
    locks_are_kept(Service::memory().await).await;
    locks_are_kept(Service::ministack()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn locks_are_kept_where_conditions_are_ignored() {
    locks_are_kept(Service::memory_without_conditions().await).await;
}
