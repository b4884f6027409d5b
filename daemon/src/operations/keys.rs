//! The key slots of repositories. These are calls and no jobs, because what a job is to do is stored, and here that would
//! be secrets.

use std::sync::Arc;

use cloudstic_engine::keys::{self, DEFAULT_LABEL, KeyChange, KeyError, KeyReport, KeyRequest, SlotInfo};
use cloudstic_engine::lock::{Kind, LeaseWatch};
use cloudstic_engine::repository::Repository;
use cloudstic_proto::v1::change_keys_request::Change;
use cloudstic_proto::{Reason, v1};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::leases::Wanted;
use super::{Engine, open};
use crate::failure::Failure;
use crate::supervisor::{Hold, TaskKind};

impl Engine {
    pub(super) async fn keys_of(&self, name: &str) -> Result<v1::ListKeysResponse, Failure> {
        let repository = self.open.get(name).await?;
        let listed = keys::list(&repository).await.map_err(|error| self.noted(name, &repository, error))?;
        let in_use = repository.opened_by();
        let slots = listed.slots.into_iter().map(|slot| message(slot, in_use.as_deref())).collect();
        Ok(v1::ListKeysResponse { encrypted: listed.encrypted, slots })
    }

    pub(super) async fn change_keys_of(
        &self,
        request: v1::ChangeKeysRequest,
        hold: Option<Hold>,
    ) -> Result<v1::ChangeKeysResponse, Failure> {
        let v1::ChangeKeysRequest { repository: name, change, dry_run, lock_wait } = request;
        let change = wanted(change.ok_or_else(|| Failure::bad_request("say what to change"))?)?;
        let repository = self.open.get(&name).await?;
        let credentials = open::credentials(&name, self.open.configured(&name)?).await?;
        let request = move |lease| KeyRequest { credentials, change, dry_run, lease };
        let done = if dry_run {
            keys::change(Arc::clone(&repository), request(LeaseWatch::not_needed()), self.stop.child_token()).await
        } else {
            let wanted = Wanted {
                name: &name,
                repository: &repository,
                kind: Kind::Exclusive,
                operation: "key",
                wait: lock_wait,
                only_reads: false,
            };
            let (lease, holding) = self.lease_for_call(&wanted).await?;
            let (answer, answered) = oneshot::channel::<Result<KeyReport, KeyError>>();
            let (stop, repository, called) = (self.stop.clone(), Arc::clone(&repository), name.clone());
            // A caller that goes away in the middle must not leave a slot that is written and not proven.
            self.tasks.spawn(TaskKind::Change, async move {
                let work = |lease, cancel| change_for(|| answer.is_closed(), repository, request(lease), cancel);
                let done = lease.during(&stop, work).await;
                drop((hold, holding));
                if let Err(Ok(KeyReport { slot, words: Some(_), .. })) = answer.send(done) {
                    tracing::warn!(repository = called, slot, "nobody has seen the words of this key slot: remove it");
                }
                Ok(())
            });
            answered.await.map_err(|_| Failure::internal("the change of the keys panicked"))?
        };
        let report = done.map_err(|error| {
            let failure = Failure::from(error);
            // A configuration that is behind the slots is no reason to give up what is open, and could not open it again.
            if failure.reason != Reason::WrongCredential {
                self.open.failed(&name, &repository, &failure);
            }
            failure
        })?;
        if !report.opens_with_given && !dry_run {
            tracing::warn!(
                repository = name,
                slot = report.slot,
                "the configured credentials do not open this repository any more: it can be used until it has to be \
                 opened again"
            );
        }
        Ok(v1::ChangeKeysResponse {
            slot: report.slot,
            replaced: report.replaced,
            configured_opens: report.opens_with_given,
            recovery_words: report.words.map(|words| words.expose_secret().into()),
        })
    }
}

/// Changes the slots. New words that nobody will see, because the caller is gone, open nothing for anybody: their slot is
/// removed again.
async fn change_for(
    is_gone: impl Fn() -> bool,
    repository: Arc<Repository>,
    request: KeyRequest,
    cancel: CancellationToken,
) -> Result<KeyReport, KeyError> {
    let (credentials, lease) = (request.credentials.clone(), request.lease.clone());
    let report = keys::change(Arc::clone(&repository), request, cancel.clone()).await?;
    if report.words.is_none() || !is_gone() {
        return Ok(report);
    }
    let change = KeyChange::Remove { slot: report.slot, force: true };
    keys::change(repository, KeyRequest { credentials, change, dry_run: false, lease }, cancel).await?;
    Err(KeyError::Cancelled)
}

fn wanted(change: Change) -> Result<KeyChange, Failure> {
    Ok(match change {
        Change::SetPassword(v1::SetPassword { label, password }) => {
            let label = (!label.is_empty()).then_some(label);
            KeyChange::SetPassword { label, password: secret(password)? }
        }
        Change::AddPassword(v1::AddPassword { label, password }) => {
            KeyChange::AddPassword { label: or_default(label), password: secret(password)? }
        }
        Change::AddPlatformKey(v1::AddPlatformKey { label, key }) => {
            KeyChange::AddPlatformKey { label: or_default(label), key: secret(key)? }
        }
        Change::AddRecoveryKey(v1::AddRecoveryKey { label }) => KeyChange::AddRecovery { label: or_default(label) },
        Change::Remove(v1::RemoveKey { slot, force }) => KeyChange::Remove { slot, force },
    })
}

fn secret(secret: Option<v1::Secret>) -> Result<SecretString, Failure> {
    let bytes = Zeroizing::new(secret.unwrap_or_default().bytes);
    let text = std::str::from_utf8(&bytes).map_err(|_| Failure::bad_request("the new secret is not UTF-8 text"))?;
    Ok(SecretString::from(text))
}

fn or_default(label: String) -> String {
    if label.is_empty() { DEFAULT_LABEL.to_owned() } else { label }
}

fn message(slot: SlotInfo, in_use: Option<&str>) -> v1::KeySlot {
    let kdf = |(algorithm, time, memory, threads)| v1::KeyDerivation { algorithm, time, memory, threads };
    v1::KeySlot {
        in_use: in_use == Some(&slot.name),
        name: slot.name,
        r#type: slot.slot_type.map(|slot_type| slot_type.as_str().to_owned()).unwrap_or_default(),
        label: slot.label,
        kdf: slot.kdf.map(kdf),
        problem: slot.problem.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use cloudstic_engine::repository::{Credential, InitOptions};
    use cloudstic_engine::store::{LocalStore, ObjectStore};

    use super::*;

    #[tokio::test]
    async fn words_that_nobody_sees_leave_no_slot() {
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(LocalStore::new(folder.path()));
        let credentials = || vec![Credential::PlatformKey("00".repeat(32).into())];
        let options = InitOptions { credentials: credentials(), ..InitOptions::default() };
        Repository::init(Arc::clone(&store), options).await.unwrap();
        let repository = Arc::new(Repository::open(store, credentials()).await.unwrap());
        let add = |is_gone: bool| {
            let change = KeyChange::AddRecovery { label: "paper".to_owned() };
            let lease = LeaseWatch::not_needed();
            let request = KeyRequest { credentials: credentials(), change, dry_run: false, lease };
            change_for(move || is_gone, Arc::clone(&repository), request, CancellationToken::new())
        };
        let slots = async || keys::list(&repository).await.unwrap().slots.len();
        assert!(matches!(add(true).await, Err(KeyError::Cancelled)));
        assert_eq!(slots().await, 1);
        assert!(add(false).await.unwrap().words.is_some());
        assert_eq!(slots().await, 2);
    }
}
