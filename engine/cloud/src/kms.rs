//! A key of AWS KMS, for key slots of the type `kms-platform` (format, section 3).

use std::fmt;
use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::SdkError;
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::primitives::Blob;
use cloudstic_engine::crypto::{KeyService, KeyServiceError};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::account::{self, AwsCredentials};
use crate::network::timeouts;
use crate::s3::Refusal;
use crate::{Network, SetupError};

/// How long the service may take, with all that is tried again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that is said of a key.
#[derive(Debug, Clone)]
pub struct KmsSettings {
    /// Its ARN; an id or an alias will do where the region is known.
    pub key: String,
    /// Another service than Amazon's.
    pub endpoint: Option<String>,
    /// By default that of the ARN.
    pub region: Option<String>,
    /// Of the files of the AWS tools.
    pub profile: Option<String>,
    /// Who we are.
    pub credentials: AwsCredentials,
    /// How the service is reached.
    pub network: Network,
}

/// A key of AWS KMS, which never leaves it. What the service does not answer is asked again by the SDK: no layer of ours
/// lies around this.
#[derive(Clone)]
pub struct KmsKey {
    client: Client,
    key: String,
    runtime: Handle,
}

impl KmsKey {
    /// Makes a client; asks nothing yet. Later calls are for worker threads, and wait for tasks of this runtime.
    pub async fn connect(settings: &KmsSettings) -> Result<Self, SetupError> {
        let KmsSettings { key, endpoint, region, profile, credentials, network } = settings;
        let region = region.clone().or_else(|| region_of(key).map(str::to_owned));
        let shared = account::load(network, credentials, region, profile.as_deref()).await;
        if shared.region().is_none() {
            return Err(SetupError::NoKeyRegion { key: key.clone() });
        }
        let mut config = aws_sdk_kms::config::Builder::from(&shared).timeout_config(timeouts());
        if let Some(endpoint) = endpoint {
            config = config.endpoint_url(endpoint);
        }
        Ok(Self { client: Client::from_conf(config.build()), key: key.clone(), runtime: Handle::current() })
    }

    /// Waits for the service, but not for ever.
    fn wait<T>(&self, answer: impl Future<Output = Result<T, String>>) -> Result<T, KeyServiceError> {
        let failed = |problem: String| {
            KeyServiceError(format!(
                "AWS KMS did not use the key {}: {problem}; check the key and the credentials",
                self.key
            ))
        };
        let waiting = async { tokio::time::timeout(PATIENCE, answer).await };
        let answered = self.runtime.block_on(waiting);
        answered.unwrap_or_else(|_| Err("it does not answer".to_owned())).map_err(failed)
    }
}

impl KeyService for KmsKey {
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, KeyServiceError> {
        self.wait(async {
            let answer = self.client.encrypt().key_id(&self.key).plaintext(Blob::new(key)).send().await;
            let output = answer.map_err(|error| Refusal::of(&error).detail)?;
            output.ciphertext_blob.map(Blob::into_inner).ok_or_else(|| "it answered with nothing".to_owned())
        })
    }

    fn unwrap(&self, wrapped: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, KeyServiceError> {
        self.wait(async {
            let request = self.client.decrypt().key_id(&self.key).ciphertext_blob(Blob::new(wrapped));
            match request.send().await {
                Ok(output) => Ok(output.plaintext.map(|plain| Zeroizing::new(plain.into_inner()))),
                Err(error) if is_of_another_key(&error) => Ok(None),
                Err(error) => Err(Refusal::of(&error).detail),
            }
        })
    }
}

impl fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KmsKey").field("key", &self.key).finish_non_exhaustive()
    }
}

fn is_of_another_key<R>(error: &SdkError<DecryptError, R>) -> bool {
    let is = |error: &DecryptError| error.is_invalid_ciphertext_exception() || error.is_incorrect_key_exception();
    error.as_service_error().is_some_and(is)
}

/// `eu-central-1` of `arn:aws:kms:eu-central-1:111122223333:key/…`.
fn region_of(key: &str) -> Option<&str> {
    let mut parts = key.split(':');
    match (parts.next(), parts.nth(1), parts.next()) {
        (Some("arn"), Some("kms"), Some(region)) if !region.is_empty() => Some(region),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_says_where_its_key_is() {
        assert_eq!(region_of("arn:aws:kms:eu-central-1:111122223333:key/a-b"), Some("eu-central-1"));
        for key in ["alias/backup", "a-b", "arn:aws:s3:eu-central-1:x", "arn:aws:kms::x"] {
            assert_eq!(region_of(key), None, "{key}");
        }
    }
}
