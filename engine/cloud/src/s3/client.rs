//! The SDK's client: one that sends each request once, and checksums only where the service demands them.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::StalledStreamProtectionConfig;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::checksum_config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_types::retry::RetryConfig;

use super::clock::StoreClock;
use super::settings::S3Settings;
use crate::SetupError;
use crate::account;
use crate::network::timeouts;
use crate::patience::Patient;

/// Where Amazon began.
const ANY_REGION: &str = "us-east-1";

pub(super) async fn make(settings: &S3Settings, clock: StoreClock) -> Result<Client, SetupError> {
    // Other services have no regions, and want to hear of one all the same.
    let elsewhere = settings.endpoint.as_ref().map(|_| ANY_REGION.to_owned());
    let region = settings.region.clone().or(elsewhere);
    let shared = account::load(&settings.network, &settings.credentials, region, settings.profile.as_deref()).await;
    if shared.region().is_none() {
        return Err(SetupError::NoRegion { bucket: settings.location.bucket().to_owned() });
    }
    let stall = StalledStreamProtectionConfig::enabled().upload_enabled(true).grace_period(settings.stall);
    // R2 and others refuse what they do not know.
    let (calculation, validation) = match settings.checksums.unwrap_or(settings.endpoint.is_none()) {
        true => (RequestChecksumCalculation::WhenSupported, ResponseChecksumValidation::WhenSupported),
        false => (RequestChecksumCalculation::WhenRequired, ResponseChecksumValidation::WhenRequired),
    };
    let mut config = aws_sdk_s3::config::Builder::from(&shared)
        .http_client(SharedHttpClient::new(Patient::new(settings.network.client(), settings.stall)))
        // The layer above repeats.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts())
        .stalled_stream_protection(stall.build())
        .request_checksum_calculation(calculation)
        .response_checksum_validation(validation)
        .force_path_style(settings.path_style.unwrap_or(settings.endpoint.is_some()))
        .interceptor(clock);
    if let Some(endpoint) = &settings.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Ok(Client::from_conf(config.build()))
}
