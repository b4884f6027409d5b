//! Questions about repositories, with the engine.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use cloudstic_engine::object::ChunkerKind;
use cloudstic_engine::repository::{InitOptions, Repository};
use cloudstic_proto::{Reason, v1};
use secrecy::ExposeSecret;
use tokio::sync::mpsc;

use super::listing::{self, Selection};
use super::{Engine, Listing, Queries, convert, open};
use crate::config::RepositoryConfig;
use crate::failure::Failure;
use crate::supervisor::{Hold, TaskKind, panic_text};

/// How many unreadable snapshots are told one by one.
const WARNINGS_TOLD: usize = 1000;
/// How many messages of entries wait for a slow reader at most.
const PARTS_AHEAD: usize = 4;

#[async_trait]
impl Queries for Engine {
    async fn init(&self, request: v1::InitRequest) -> Result<v1::InitResponse, Failure> {
        let name = &request.repository;
        let repository = self.open.configured(name)?;
        check_init(&request, repository)?;
        let options = InitOptions {
            credentials: open::credentials(name, repository).await?,
            recovery: request.recovery,
            chunker: request.keyed_chunker.then_some(ChunkerKind::Keyed),
        };
        // To its end, also if the caller goes: what is cut off in between is no repository, and refuses to become one.
        let making = tokio::spawn(Repository::init(self.open.store(name, repository).await?, options));
        let report = making.await.map_err(|panic| Failure::internal(panic.to_string()))??;
        tracing::info!(repository = name, encrypted = report.encrypted, slots = ?report.slots, "repository made");
        Ok(v1::InitResponse {
            encrypted: report.encrypted,
            slots: report.slots,
            recovery_words: report.recovery_words.map(|words| words.expose_secret().into()),
        })
    }

    async fn snapshots(&self, request: v1::ListSnapshotsRequest) -> Result<v1::ListSnapshotsResponse, Failure> {
        let v1::ListSnapshotsRequest { repository, filter } = request;
        let filter = convert::filter(filter);
        let open = self.open.get(&repository).await?;
        let list = open.snapshots_and_missing().await.map_err(|error| self.noted(&repository, &open, error))?;
        let matching = list.readable.into_iter().filter(|entry| filter.matches(entry));
        Ok(v1::ListSnapshotsResponse {
            snapshots: matching.map(convert::snapshot_entry).collect(),
            warnings: list.unreadable.iter().take(WARNINGS_TOLD).map(convert::warning).collect(),
            warning_count: list.unreadable.len() as u64,
        })
    }

    async fn locks(&self, repository: &str) -> Result<Vec<v1::Lock>, Failure> {
        self.locks_of(repository).await
    }

    async fn break_locks(&self, repository: &str) -> Result<Vec<v1::Lock>, Failure> {
        self.break_locks_of(repository).await
    }

    async fn keys(&self, repository: &str) -> Result<v1::ListKeysResponse, Failure> {
        self.keys_of(repository).await
    }

    async fn change_keys(
        &self,
        request: v1::ChangeKeysRequest,
        hold: Option<Hold>,
    ) -> Result<v1::ChangeKeysResponse, Failure> {
        self.change_keys_of(request, hold).await
    }

    async fn entries(&self, request: v1::ListEntriesRequest) -> Result<Listing, Failure> {
        let name = request.repository.clone();
        let repository = self.open.get(&name).await?;
        // A folder is looked into again and again, a whole tree once.
        let kept = request.shallow;
        let view = self.views.get(&repository, &request.snapshot, kept).await;
        let view = view.map_err(|error| self.noted(&name, &repository, error))?;
        let head = convert::snapshot(view.reference(), view.snapshot());
        let cancel = self.stop.child_token();
        let cancelled = cancel.clone();
        let (parts, receiver) = mpsc::channel(PARTS_AHEAD);
        self.tasks.spawn_blocking(TaskKind::Query, move || {
            let list = || {
                if let Some(listed) = listing::shallow(&view, &request, &cancelled)? {
                    return listing::send_listed(listed, view.objects(), head, &parts);
                }
                let tree = view.tree(&cancelled)?;
                let selection = Selection::new(&tree, &request)?;
                listing::send(&tree, view.objects(), selection, head, &parts, &cancelled)
            };
            // Without an error at its end, a listing that broke off would look like a whole one.
            if let Err(failure) = unpanicked(list) {
                let _ = parts.blocking_send(Err(failure));
            }
        });
        Ok(Listing::new(receiver, cancel))
    }
}

impl Engine {
    pub(super) fn noted(&self, name: &str, repository: &Arc<Repository>, error: impl Into<Failure>) -> Failure {
        let failure = error.into();
        self.open.failed(name, repository, &failure);
        failure
    }
}

fn check_init(request: &v1::InitRequest, repository: &RepositoryConfig) -> Result<(), Failure> {
    let name = &request.repository;
    match (repository.credentials.is_empty() && repository.kms.is_none(), request.unencrypted) {
        (false, true) => Err(Failure::bad_request(format!(
            "repository {name} has credentials in the configuration, so it cannot be made unencrypted: remove them first"
        ))),
        (true, false) => Err(Failure::new(
            Reason::NoCredential,
            format!(
                "repository {name} has no credential in the configuration: add password, platform_key or \
                 recovery_words to [repositories.{name}], or ask for an unencrypted one"
            ),
        )),
        (true, true) if request.recovery => {
            Err(Failure::bad_request("an unencrypted repository needs no recovery words"))
        }
        (true, true) if request.keyed_chunker => {
            Err(Failure::bad_request("an unencrypted repository has no key for its chunk boundaries"))
        }
        _ => Ok(()),
    }
}

pub(super) fn unpanicked<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|panic| Err(Failure::internal(format!("a panic: {}", panic_text(panic.as_ref())))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::config::{CredentialKind, CredentialRef, LimitsConfig, StoreLocation};

    fn check(encrypted: bool, request: v1::InitRequest) -> Result<(), Reason> {
        let secret = "env:X".parse().unwrap();
        let credential = CredentialRef { kind: CredentialKind::Password, secret };
        let store = StoreLocation::Local("/srv".into());
        let credentials = if encrypted { vec![credential] } else { Vec::new() };
        let repository = RepositoryConfig {
            store,
            credentials,
            kms: None,
            max_running_jobs: None,
            lock_wait: Duration::ZERO,
            prune: crate::config::PruneConfig { max_waste_percent: 30, max_repack_bytes: None },
            limits: LimitsConfig::default(),
        };
        check_init(&request, &repository).map_err(|failure| failure.reason)
    }

    #[test]
    fn nobody_makes_an_unencrypted_repository_by_mistake() {
        let plain = || v1::InitRequest { unencrypted: true, ..Default::default() };
        assert_eq!(check(false, v1::InitRequest::default()), Err(Reason::NoCredential));
        assert_eq!(check(true, plain()), Err(Reason::BadRequest));
        assert_eq!(check(false, plain()), Ok(()));
        assert_eq!(check(true, v1::InitRequest { recovery: true, ..Default::default() }), Ok(()));
        assert_eq!(check(false, v1::InitRequest { recovery: true, ..plain() }), Err(Reason::BadRequest));
        assert_eq!(check(false, v1::InitRequest { keyed_chunker: true, ..plain() }), Err(Reason::BadRequest));
    }

    #[test]
    fn a_panic_in_a_listing_is_an_error_of_the_listing() {
        let panics = || -> Result<(), Failure> { std::panic::resume_unwind(Box::new("oh")) };
        assert_eq!(unpanicked(panics).unwrap_err().reason, Reason::Internal);
    }
}
