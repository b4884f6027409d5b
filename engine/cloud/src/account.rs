//! Who we are at Amazon, and where: as the AWS tools find it out, unless the settings say.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use secrecy::{ExposeSecret, SecretString};

use crate::Network;

/// Who we are.
#[derive(Debug, Clone)]
pub enum AwsCredentials {
    /// What the AWS tools would use: environment, files, web identity, container, machine.
    Default,
    /// These.
    Keys {
        /// The access key's id.
        id: SecretString,
        /// The secret access key.
        secret: SecretString,
        /// For temporary ones.
        session_token: Option<SecretString>,
    },
}

/// Credentials and region. Where these come from a service, the SDK itself repeats what fails.
pub(crate) async fn load(
    network: &Network,
    credentials: &AwsCredentials,
    region: Option<String>,
    profile: Option<&str>,
) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(network.client());
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let AwsCredentials::Keys { id, secret, session_token } = credentials {
        let token = session_token.as_ref().map(|token| token.expose_secret().to_owned());
        let keys = Credentials::new(id.expose_secret(), secret.expose_secret(), token, None, "settings");
        loader = loader.credentials_provider(keys);
    }
    loader.load().await
}
