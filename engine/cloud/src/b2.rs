//! Backblaze B2, by its S3-compatible API.
//!
//! B2 has an API of its own. Its requests for the same work are more: an upload address to be asked for and kept for each
//! stream, hashes to be sent along, files by id instead of by name. What it alone can tell is where the S3 API of an
//! account is; that is asked here, and nothing else. Two things differ from S3: it has no conditional writes, which
//! [`crate::s3::S3Store::probe`] finds out like everywhere, and it keeps every version of a file that was written, so
//! that deletes remove all of them, or a prune would free nothing.

use std::time::Duration;

use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::http::HttpConnector;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::s3::{S3Settings, chain};
use crate::{AwsCredentials, BucketLocation, Network, SetupError};

/// Where every account begins.
const SERVICE: &str = "https://api.backblazeb2.com";

/// How long the first question may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that a store in B2 is told.
#[derive(Debug, Clone)]
pub struct B2Settings {
    /// The bucket and the prefix.
    pub location: BucketLocation,
    /// The id of an application key. The account's master key does not do.
    pub key_id: SecretString,
    /// The application key.
    pub key: SecretString,
    /// How the service is reached.
    pub network: Network,
    /// Where accounts begin, instead of at Backblaze.
    pub service: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorized {
    api_info: ApiInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiInfo {
    storage_api: StorageApi,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StorageApi {
    s3_api_url: String,
    bucket_name: Option<String>,
    name_prefix: Option<String>,
}

#[derive(Deserialize, Default)]
struct Refused {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl B2Settings {
    /// Whether both would be told the same place.
    pub fn asks_like(&self, other: &Self) -> bool {
        let is_same = |one: &SecretString, other: &SecretString| one.expose_secret() == other.expose_secret();
        is_same(&self.key_id, &other.key_id)
            && is_same(&self.key, &other.key)
            && (&self.location, &self.network, &self.service) == (&other.location, &other.network, &other.service)
    }

    /// Asks where the account's buckets are, and gives what an [`crate::s3::S3Store`] is made with.
    pub async fn find(&self) -> Result<S3Settings, SetupError> {
        let asked = tokio::time::timeout(PATIENCE, self.authorize()).await;
        let StorageApi { s3_api_url, bucket_name, name_prefix } =
            asked.map_err(|_| unreachable("it does not answer".to_owned()))??;
        self.check(bucket_name, name_prefix)?;
        Ok(S3Settings {
            name: format!("b2:{}", self.location),
            region: Some(region(&s3_api_url).to_owned()),
            endpoint: Some(s3_api_url),
            credentials: AwsCredentials::Keys {
                id: self.key_id.clone(),
                secret: self.key.clone(),
                session_token: None,
            },
            network: self.network.clone(),
            removes_versions: true,
            ..S3Settings::new(self.location.clone())
        })
    }

    async fn authorize(&self) -> Result<StorageApi, SetupError> {
        let service = self.service.as_deref().unwrap_or(SERVICE);
        let pair = Zeroizing::new(format!("{}:{}", self.key_id.expose_secret(), self.key.expose_secret()));
        let mut request = HttpRequest::empty();
        let bad = |problem: String| unreachable(problem);
        request.set_uri(format!("{service}/b2api/v3/b2_authorize_account")).map_err(|error| bad(error.to_string()))?;
        let authorization = format!("Basic {}", STANDARD.encode(pair.as_bytes()));
        request
            .headers_mut()
            .try_insert("authorization", authorization)
            .map_err(|_| SetupError::Denied { detail: "it has characters that no key has".to_owned() })?;
        let answer = self.network.connector().call(request).await.map_err(|error| bad(chain(&error)))?;
        let status = answer.status();
        let body = ByteStream::new(answer.into_body()).collect().await.map_err(|error| bad(chain(&error)))?;
        let body = body.into_bytes();
        if !status.is_success() {
            let Refused { code, message } = serde_json::from_slice(&body).unwrap_or_default();
            let detail = format!("{} {code} {message}", status.as_u16()).trim_end().to_owned();
            return Err(match status.as_u16() {
                401 | 403 => SetupError::Denied { detail },
                _ => unreachable(format!("it answers {detail}")),
            });
        }
        let answer: Authorized =
            serde_json::from_slice(&body).map_err(|_| bad("its answer cannot be understood".to_owned()))?;
        Ok(answer.api_info.storage_api)
    }

    /// A key may be for one bucket, or for one prefix of it.
    fn check(&self, bucket: Option<String>, prefix: Option<String>) -> Result<(), SetupError> {
        let (bucket, prefix) =
            (bucket.unwrap_or_else(|| self.location.bucket().to_owned()), prefix.unwrap_or_default());
        if bucket == self.location.bucket() && self.location.name_of("").starts_with(&prefix) {
            return Ok(());
        }
        let allowed = if prefix.is_empty() { bucket } else { format!("{bucket}/{prefix}") };
        Err(SetupError::OtherBucket { allowed, location: self.location.to_string() })
    }
}

/// `us-west-004` of `https://s3.us-west-004.backblazeb2.com`.
fn region(url: &str) -> &str {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.split('.').nth(1).filter(|region| host.starts_with("s3.") && !region.is_empty()).unwrap_or("us-east-1")
}

fn unreachable(detail: String) -> SetupError {
    SetupError::Unreachable { detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_in_the_name_of_the_host() {
        assert_eq!(region("https://s3.eu-central-003.backblazeb2.com"), "eu-central-003");
        assert_eq!(region("http://127.0.0.1:9000"), "us-east-1");
    }
}
