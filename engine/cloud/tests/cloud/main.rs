//! The stores of cloud services, against services on loopback ports.
#![allow(clippy::unwrap_used, clippy::panic)]

mod ahead;
mod b2;
mod backups;
mod conformance;
mod faults;
mod golden;
mod kms;
mod network;
mod requests;
mod secrets;
mod server;
mod services;
mod settings;
mod site;
mod twice;

use cloudstic_cloud::AwsCredentials;
use cloudstic_cloud::s3::{Conditions, S3Settings, S3Store};
use secrecy::SecretString;
use server::{BUCKET, KEY_ID, SECRET, Server};

/// Everything that [`server::Believes::All`] honours.
const ALL: Conditions = Conditions { create: true, replace: true, delete: true, parts: true };

/// For a bucket of this server, with a prefix.
fn settings(server: &Server) -> S3Settings {
    settings_at(&server.url)
}

/// The same for any address.
fn settings_at(url: &str) -> S3Settings {
    S3Settings {
        endpoint: Some(url.to_owned()),
        credentials: keys(SECRET),
        ..S3Settings::new(format!("{BUCKET}/one/two").parse().unwrap())
    }
}

fn keys(secret: &str) -> AwsCredentials {
    AwsCredentials::Keys {
        id: SecretString::from(KEY_ID),
        secret: SecretString::from(secret.to_owned()),
        session_token: None,
    }
}

async fn store(server: &Server, conditions: Conditions) -> S3Store {
    S3Store::connect(settings(server), conditions).await.unwrap()
}
