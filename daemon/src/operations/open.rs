//! Open repositories, kept for the next job: opening costs a key derivation on purpose.
//!
//! The one invariant: a repository is being opened at most once at a time, and one that failed, or is not the one any
//! more that was opened, is opened anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cloudstic_engine::repository::{Credential, Repository};
use cloudstic_engine::store::{LocalStore, Meter, MeteredStore, ObjectStore};
use cloudstic_proto::Reason;
use futures::FutureExt;
use tokio::sync::OnceCell;

use super::cloud;
use super::remote::Remotes;
use crate::config::{Config, CredentialKind, RepositoryConfig, StoreLocation};
use crate::failure::Failure;
use crate::metrics::Metrics;

/// The repositories that are open, by name.
#[derive(Debug)]
pub(super) struct OpenRepositories {
    config: Arc<Config>,
    open: Shared<Repository>,
    metrics: Arc<Metrics>,
    remotes: Remotes,
}

impl OpenRepositories {
    pub(super) fn new(config: Arc<Config>, metrics: Arc<Metrics>) -> Self {
        let remotes = Remotes::new(&config, Arc::clone(&metrics));
        Self { config, open: Shared::default(), metrics, remotes }
    }

    /// The repository of that name. One that was opened before proves first that it is still what lies there, so that
    /// nothing is read or written with what is only in memory.
    pub(super) async fn get(&self, name: &str) -> Result<Arc<Repository>, Failure> {
        let repository = self.configured(name)?;
        if let Some(kept) = self.open.kept(name) {
            match kept.prove_identity().await {
                Ok(()) => return Ok(kept),
                Err(problem) => {
                    tracing::warn!(repository = name, %problem, "the repository is opened anew");
                    self.open.forget(name, &kept);
                }
            }
        }
        let opening = async {
            let credentials = credentials(name, repository).await?;
            let opened = Repository::open(self.store(name, repository).await?, credentials).await?;
            self.metrics.opened(name, &opened.fingerprint());
            Ok::<_, Failure>(opened.counting_heals(self.metrics.heals(name)))
        };
        self.open.get(name, opening).await
    }

    /// The store of a repository, with the layers that belong around every one.
    pub(super) async fn store(
        &self,
        name: &str,
        repository: &RepositoryConfig,
    ) -> Result<Arc<dyn ObjectStore>, Failure> {
        match &repository.store {
            StoreLocation::Local(path) => {
                let backend = Arc::new(LocalStore::new(path));
                Ok(Arc::new(MeteredStore::with(backend, self.meter(name))))
            }
            StoreLocation::Sftp(config) => self.remotes.sftp(name, config, &repository.limits).await,
            StoreLocation::S3(config) => self.remotes.s3(name, config, &repository.limits).boxed().await,
            StoreLocation::B2(config) => self.remotes.b2(name, config, &repository.limits).boxed().await,
        }
    }

    /// What was asked of the store of a repository, since the daemon started.
    pub(super) fn meter(&self, name: &str) -> Arc<Meter> {
        self.metrics.meter(name)
    }

    pub(super) fn configured(&self, name: &str) -> Result<&RepositoryConfig, Failure> {
        self.config.repositories.get(name).ok_or_else(|| Failure::no_such_repository(name))
    }

    /// Something failed with an open repository. If that may be because of what it holds in memory, because somebody
    /// has replaced the repository for example, then the next one opens it anew.
    pub(super) fn failed(&self, name: &str, repository: &Arc<Repository>, failure: &Failure) {
        let doubtful = matches!(
            failure.reason,
            Reason::NotInitialised | Reason::WrongCredential | Reason::Damaged | Reason::StoreFailed
        );
        // What only it knows of packs whose names somebody has overwritten would be lost with it.
        let is_another = matches!(failure.reason, Reason::NotInitialised | Reason::WrongCredential);
        if doubtful && (is_another || !repository.remembers_more_than_is_stored()) {
            self.open.forget(name, repository);
        }
    }
}

/// Fetches the secrets of a repository.
pub(super) async fn credentials(name: &str, repository: &RepositoryConfig) -> Result<Vec<Credential>, Failure> {
    let mut credentials = Vec::new();
    for credential in &repository.credentials {
        let secret = credential.secret.resolve().await;
        let secret =
            secret.map_err(|error| Failure::new(Reason::NoCredential, format!("repository {name}: {error}")))?;
        credentials.push(match credential.kind {
            CredentialKind::Password => Credential::Password(secret),
            CredentialKind::PlatformKey => Credential::PlatformKey(secret),
            CredentialKind::RecoveryWords => Credential::RecoveryWords(secret),
        });
    }
    if let Some(kms) = &repository.kms {
        credentials.push(cloud::kms(name, kms).boxed().await?);
    }
    Ok(credentials)
}

/// Things by name, each made once and shared.
#[derive(Debug)]
struct Shared<T>(Mutex<HashMap<String, Arc<OnceCell<Arc<T>>>>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Shared<T> {
    /// The thing of that name; whoever asks while it is being made waits for it.
    async fn get<E>(&self, name: &str, make: impl Future<Output = Result<T, E>>) -> Result<Arc<T>, E> {
        let cell = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default().clone();
        cell.get_or_try_init(|| async { make.await.map(Arc::new) }).await.cloned()
    }

    /// The thing of that name, if it has been made.
    fn kept(&self, name: &str) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name)?.get().cloned()
    }

    /// The next one to ask makes it anew, unless somebody has done so already.
    fn forget(&self, name: &str, thing: &Arc<T>) {
        let mut things = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if things.get(name).and_then(|cell| cell.get()).is_some_and(|kept| Arc::ptr_eq(kept, thing)) {
            things.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::accounts::Accounts;
    use cloudstic_engine::repository::InitOptions;
    use tokio::sync::Notify;

    #[tokio::test]
    async fn what_is_asked_of_a_store_is_counted_and_a_kept_repository_costs_two_requests_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("[repositories.main]\nstore = \"local:{}\"", folder.path().display());
        let config = Arc::new(Config::parse("test.toml".as_ref(), &text, &Accounts::default()).unwrap());
        let metrics = Arc::new(Metrics::new(config.backends()));
        let open = OpenRepositories::new(config, Arc::clone(&metrics));
        let store = open.store("main", open.configured("main").unwrap()).await.unwrap();
        Repository::init(store, InitOptions::default()).await.unwrap();
        let before = open.meter("main").requests();
        assert!(before > 0);
        metrics.checked_whole(
            "main",
            "what lay here before",
            std::time::UNIX_EPOCH + std::time::Duration::from_secs(77),
        );
        assert!(metrics.text().unwrap().contains(" 77.0"));
        let first = open.get("main").await.unwrap();
        assert!(!metrics.text().unwrap().contains(" 77.0"));
        assert_eq!(open.meter("main").requests(), before + 1, "the marker");
        assert!(Arc::ptr_eq(&first, &open.get("main").await.unwrap()));
        assert_eq!(open.meter("main").requests(), before + 2, "the marker; there is no key slot");
    }

    #[tokio::test]
    async fn what_only_an_open_repository_knows_outlives_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        cloudstic_e2e::golden::copy("plain", folder.path());
        let text = format!("[repositories.main]\nstore = \"local:{}\"", folder.path().display());
        let config = Arc::new(Config::parse("test.toml".as_ref(), &text, &Accounts::default()).unwrap());
        let metrics = Arc::new(Metrics::new(config.backends()));
        let open = OpenRepositories::new(config, metrics);
        let first = open.get("main").await.unwrap();
        assert_eq!(first.snapshots().await.unwrap().readable.len(), 3);
        // As a program does that writes it blindly.
        std::fs::write(folder.path().join("index/packs"), "{}").unwrap();
        assert_eq!(first.snapshots().await.unwrap().readable.len(), 3);
        open.failed("main", &first, &Failure::new(Reason::Damaged, "a chunk is missing"));
        assert!(Arc::ptr_eq(&first, &open.get("main").await.unwrap()));
        open.failed("main", &first, &Failure::new(Reason::NotInitialised, "it is another one"));
        assert!(!Arc::ptr_eq(&first, &open.get("main").await.unwrap()));
    }

    #[tokio::test]
    async fn two_who_ask_at_once_share_one_opening() {
        let shared = Shared::<u32>::default();
        let go = Notify::new();
        let first = shared.get("a", async {
            go.notified().await;
            Ok::<_, ()>(1)
        });
        let second = shared.get("a", async { Ok::<_, ()>(2) });
        let release = async { go.notify_one() };
        let (first, second, ()) = tokio::join!(first, second, release);
        assert_eq!((*first.unwrap(), *second.unwrap()), (1, 1));
    }

    #[tokio::test]
    async fn a_failed_opening_is_tried_again_and_a_forgotten_one_too() {
        let shared = Shared::<u32>::default();
        assert_eq!(shared.get("a", async { Err("no") }).await.unwrap_err(), "no");
        let one = shared.get("a", async { Ok::<_, ()>(1) }).await.unwrap();
        shared.forget("a", &one);
        let two = shared.get("a", async { Ok::<_, ()>(2) }).await.unwrap();
        assert_eq!(*two, 2);
        // An old failure does not throw away what is new.
        shared.forget("a", &one);
        assert_eq!(*shared.get("a", async { Ok::<_, ()>(3) }).await.unwrap(), 2);
    }
}
