//! Stores at cloud services: made with their secrets, and with what is known of the service.
//!
//! What a service does with conditions is found out when its repository is first used, and remembered in
//! `state/stores.json`, which may be deleted at any time: then it is found out again, as it is after a month. Where B2 has
//! an account's buckets is asked once, and again when something was refused there, or after a day.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use cloudstic_cloud::b2::B2Settings;
use cloudstic_cloud::kms::{KmsKey, KmsSettings};
use cloudstic_cloud::s3::{Conditions, S3Settings, S3Store};
use cloudstic_cloud::{AwsCredentials, Network, SetupError};
use cloudstic_engine::repository::Credential;
use cloudstic_engine::store::{StoreError, StoreErrorKind, StoreResult};
use cloudstic_proto::Reason;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::config::{AwsKeys, B2Config, KmsConfig, S3Config, Way};
use crate::failure::Failure;
use crate::secrets::SecretRef;

/// How long it is believed what a service did.
const BELIEVED: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long the place is believed that B2 named.
const PLACE_BELIEVED: Duration = Duration::from_secs(24 * 3600);

/// How long a service may take to be tried.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is known of services.
#[derive(Debug)]
pub(super) struct Clouds {
    path: PathBuf,
    known: Mutex<BTreeMap<String, Tried>>,
    /// By location.
    places: Mutex<HashMap<String, Place>>,
}

/// Where B2 has a bucket, and what it was told when it said so.
#[derive(Debug)]
struct Place {
    asked: B2Settings,
    at: Instant,
    found: S3Settings,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Tried {
    /// Seconds since 1970.
    at: u64,
    conditions: Conditions,
}

impl Clouds {
    /// What an earlier daemon found out, if that can be read.
    pub(super) fn new(state_dir: &Path) -> Self {
        let path = state_dir.join("stores.json");
        let known = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { path, known: Mutex::new(known), places: Mutex::default() }
    }

    /// A bucket of B2, wherever the account has it.
    pub(super) async fn connect_b2(&self, settings: &B2Settings, stall: Duration) -> StoreResult<S3Store> {
        let found = match self.place(settings) {
            Some(found) => found,
            None => {
                let asked = settings.find().await;
                let found = asked.map_err(|error| trouble(format!("b2:{}", settings.location), &error))?;
                let place = Place { asked: settings.clone(), at: Instant::now(), found: found.clone() };
                self.places().insert(settings.location.to_string(), place);
                found
            }
        };
        let connected = self.connect(S3Settings { stall, ..found }).await;
        connected.inspect_err(|_| drop(self.places().remove(&settings.location.to_string())))
    }

    /// What B2 said when it was asked the same before, unless that may not be so any more.
    fn place(&self, settings: &B2Settings) -> Option<S3Settings> {
        let places = self.places();
        let Place { asked, at, found } = places.get(&settings.location.to_string())?;
        let is_good = asked.asks_like(settings) && at.elapsed() < PLACE_BELIEVED && !found.refused.is_noted();
        is_good.then(|| found.clone())
    }

    fn places(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bucket, with what is known of its service. To be tried again where the error says that this may help.
    pub(super) async fn connect(&self, settings: S3Settings) -> StoreResult<S3Store> {
        let place = format!("{} {}", settings.endpoint.as_deref().unwrap_or("aws"), settings.location);
        let name = settings.name.clone();
        let store = S3Store::connect(settings, Conditions::NONE).await.map_err(|error| trouble(name, &error))?;
        if let Some(conditions) = self.known(&place, SystemTime::now()) {
            return Ok(store.with_conditions(conditions));
        }
        match store.probe(PATIENCE).await {
            Ok(conditions) => {
                self.remember(place, conditions).await;
                Ok(store.with_conditions(conditions))
            }
            // Who can only read needs no conditions.
            Err(StoreError {
                kind: StoreErrorKind::Denied | StoreErrorKind::Full | StoreErrorKind::Retained, ..
            }) => Ok(store),
            Err(error) => Err(error),
        }
    }

    fn known(&self, place: &str, now: SystemTime) -> Option<Conditions> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Tried { at, conditions } = *known.get(place)?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).ok()?;
        (since < BELIEVED).then_some(conditions)
    }

    /// If it cannot be written, it is found out again by the next daemon.
    async fn remember(&self, place: String, conditions: Conditions) {
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let known = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(place, Tried { at, conditions });
            known.clone()
        };
        let path = self.path.clone();
        let writing = tokio::task::spawn_blocking(move || {
            let temporary = path.with_extension("json.tmp");
            fs::write(&temporary, serde_json::to_vec_pretty(&known)?)?;
            fs::rename(&temporary, &path)
        });
        if let Err(problem) = writing.await.unwrap_or_else(|panic| Err(panic.into())) {
            tracing::warn!(%problem, path = %self.path.display(), "what was found out of a store is not remembered");
        }
    }
}

/// What a bucket of S3 is told.
pub(super) async fn s3(name: &str, config: &S3Config, stall: Duration) -> Result<S3Settings, Failure> {
    Ok(S3Settings {
        endpoint: config.endpoint.clone(),
        region: config.region.clone(),
        profile: config.profile.clone(),
        path_style: config.path_style,
        checksums: config.checksums,
        credentials: credentials(name, config.keys.as_ref()).await?,
        storage_class: config.storage_class,
        encryption: config.encryption.clone(),
        removes_versions: config.remove_versions,
        network: network(name, &config.way)?,
        stall,
        ..S3Settings::new(config.bucket.clone())
    })
}

/// What a bucket of B2 is told.
pub(super) async fn b2(name: &str, config: &B2Config) -> Result<B2Settings, Failure> {
    Ok(B2Settings {
        location: config.bucket.clone(),
        key_id: secret(name, &config.key_id).await?,
        key: secret(name, &config.application_key).await?,
        network: network(name, &config.way)?,
        service: config.endpoint.clone(),
    })
}

/// What opens a repository with a key of AWS KMS.
pub(super) async fn kms(name: &str, config: &KmsConfig) -> Result<Credential, Failure> {
    let settings = KmsSettings {
        key: config.key.clone(),
        endpoint: config.endpoint.clone(),
        region: config.region.clone(),
        profile: config.profile.clone(),
        credentials: credentials(name, config.keys.as_ref()).await?,
        network: network(name, &config.way)?,
    };
    let key = KmsKey::connect(&settings).await.map_err(|error| failed(name, &error))?;
    Ok(Credential::KeyService(Arc::new(key)))
}

async fn credentials(name: &str, keys: Option<&AwsKeys>) -> Result<AwsCredentials, Failure> {
    let Some(keys) = keys else { return Ok(AwsCredentials::Default) };
    let session_token = match &keys.session_token {
        Some(token) => Some(secret(name, token).await?),
        None => None,
    };
    let (id, secret) = (secret(name, &keys.id).await?, secret(name, &keys.secret).await?);
    Ok(AwsCredentials::Keys { id, secret, session_token })
}

async fn secret(name: &str, secret: &SecretRef) -> Result<SecretString, Failure> {
    let found = secret.resolve().await;
    found.map_err(|error| Failure::new(Reason::NoCredential, format!("repository {name}: {error}")))
}

fn network(name: &str, way: &Way) -> Result<Network, Failure> {
    let wrong = |error: cloudstic_cloud::BadNetwork| failed(name, &error.into());
    let network = match &way.proxy {
        Some(proxy) => Network::default().with_proxy(proxy).map_err(wrong)?,
        None => Network::default(),
    };
    match &way.ca_file {
        Some(path) => network.with_authorities(path).map_err(wrong),
        None => Ok(network),
    }
}

fn failed(name: &str, error: &SetupError) -> Failure {
    Failure::new(Reason::StoreFailed, format!("repository {name}: {error}"))
}

/// Why there is no store, as an error of the store.
fn trouble(backend: String, error: &SetupError) -> StoreError {
    let kind = match error {
        SetupError::Unreachable { .. } => StoreErrorKind::Transient,
        _ => StoreErrorKind::Other,
    };
    StoreError { kind, key: String::new(), backend, detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use cloudstic_engine::store::ObjectStore;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// B2, and where it has buckets, at one address. Gives that, and how often it was asked for the place.
    async fn b2_and_s3() -> (String, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let text = format!(r#"{{"apiInfo":{{"storageApi":{{"s3ApiUrl":"{url}"}}}}}}"#);
        let count = Arc::new(AtomicUsize::new(0));
        let asked = Arc::clone(&count);
        let authorize = move || {
            asked.fetch_add(1, Ordering::SeqCst);
            std::future::ready(text)
        };
        let refuse = || std::future::ready(axum::http::StatusCode::FORBIDDEN);
        let router = axum::Router::new().route("/b2api/v3/b2_authorize_account", axum::routing::get(authorize));
        tokio::spawn(axum::serve(listener, router.fallback(refuse)).into_future());
        (url, count)
    }

    #[tokio::test]
    async fn the_place_of_buckets_is_asked_once_until_something_is_refused_there() {
        let (url, asked) = b2_and_s3().await;
        let folder = tempfile::tempdir().unwrap();
        let clouds = Clouds::new(folder.path());
        clouds.remember(format!("{url} bucket"), Conditions::NONE).await;
        let settings = |key: &str| B2Settings {
            location: "bucket".parse().unwrap(),
            key_id: "id".into(),
            key: key.into(),
            network: Network::default(),
            service: Some(url.clone()),
        };
        let connect = async |key: &str| clouds.connect_b2(&settings(key), Duration::from_secs(30)).await.unwrap();
        connect("secret").await;
        let second = connect("secret").await;
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        connect("another one").await;
        connect("secret").await;
        assert_eq!(asked.load(Ordering::SeqCst), 3, "it is the keys' owner who has the buckets");
        assert_eq!(second.get("config").await.unwrap_err().kind, StoreErrorKind::Denied);
        connect("secret").await;
        assert_eq!(asked.load(Ordering::SeqCst), 3, "that was heard by those who go by an older answer");
        let third = connect("secret").await;
        assert_eq!(third.get("config").await.unwrap_err().kind, StoreErrorKind::Denied);
        connect("secret").await;
        connect("secret").await;
        assert_eq!(asked.load(Ordering::SeqCst), 4);
    }

    #[tokio::test]
    async fn what_was_found_out_is_known_to_the_next_daemon_and_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let found = Conditions { create: true, ..Conditions::NONE };
        Clouds::new(folder.path()).remember("aws bucket".to_owned(), found).await;
        let next = Clouds::new(folder.path());
        let now = SystemTime::now();
        assert_eq!(next.known("aws bucket", now + Duration::from_secs(60)), Some(found));
        assert_eq!(next.known("aws bucket/x", now), None);
        assert_eq!(next.known("aws bucket", now + 2 * BELIEVED), None);
        fs::write(folder.path().join("stores.json"), "garbage").unwrap();
        assert_eq!(Clouds::new(folder.path()).known("aws bucket", now), None);
    }
}
