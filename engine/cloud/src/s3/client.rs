//! The SDK's client: one that sends each request once, and checksums only where the service demands them.

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, StalledStreamProtectionConfig};
use aws_smithy_types::checksum_config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_types::retry::RetryConfig;
use secrecy::ExposeSecret;

use super::clock::StoreClock;
use super::settings::{S3Credentials, S3Settings};
use crate::SetupError;
use crate::network::timeouts;

/// What services are told that have no regions but want to hear of one.
const ANY_REGION: &str = "us-east-1";

pub(super) async fn make(settings: &S3Settings, clock: StoreClock) -> Result<Client, SetupError> {
    let shared = shared(settings).await;
    if shared.region().is_none() {
        return Err(SetupError::NoRegion { bucket: settings.location.bucket().to_owned() });
    }
    let stall = StalledStreamProtectionConfig::enabled().upload_enabled(true).grace_period(settings.stall);
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        // The layer above repeats.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts())
        .stalled_stream_protection(stall.build())
        // R2, B2 and others refuse what they do not know.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .force_path_style(settings.path_style.unwrap_or(settings.endpoint.is_some()))
        .interceptor(clock);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}

/// Credentials and region. Where these come from a service, the SDK itself repeats what fails.
async fn shared(settings: &S3Settings) -> SdkConfig {
    let mut loader: ConfigLoader =
        aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(settings.network.client());
    if let Some(profile) = &settings.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    } else if settings.endpoint.is_some() {
        loader = loader.region(Region::new(ANY_REGION));
    }
    if let S3Credentials::Keys { id, secret, session_token } = &settings.credentials {
        let token = session_token.as_ref().map(|token| token.expose_secret().to_owned());
        let keys = Credentials::new(id.expose_secret(), secret.expose_secret(), token, None, "settings");
        loader = loader.credentials_provider(keys);
    }
    loader.load().await
}
