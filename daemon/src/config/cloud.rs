//! Repositories at cloud services: `store = "s3:…"` with `[repositories.NAME.s3]`, `store = "b2:…"` with
//! `[repositories.NAME.b2]`; and keys of AWS KMS, `[repositories.NAME.kms]`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use cloudstic_cloud::s3::{Encryption, StorageClass};
use cloudstic_cloud::{BucketLocation, Network};

use super::reader::{Reader, Section};
use super::values::Choice;
use crate::secrets::SecretRef;

/// A bucket of S3, or of what speaks its language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Config {
    /// The bucket and the prefix.
    pub bucket: BucketLocation,
    /// Another service than Amazon's, as a URL.
    pub endpoint: Option<String>,
    /// As the service calls it.
    pub region: Option<String>,
    /// Of the files of the AWS tools.
    pub profile: Option<String>,
    /// Whether the bucket is named in the path; by default where there is an endpoint.
    pub path_style: Option<bool>,
    /// Whether requests carry checksums; by default at Amazon.
    pub checksums: Option<bool>,
    /// Who we are, if not who the AWS tools would be.
    pub keys: Option<AwsKeys>,
    /// For chunks and packs.
    pub storage_class: Option<StorageClass>,
    /// Encryption by the service.
    pub encryption: Option<Encryption>,
    /// Whether a delete removes all versions that the bucket keeps.
    pub remove_versions: bool,
    /// How it is reached.
    pub way: Way,
}

/// An access key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsKeys {
    /// The id.
    pub id: SecretRef,
    /// The key.
    pub secret: SecretRef,
    /// For temporary ones.
    pub session_token: Option<SecretRef>,
}

/// A bucket of Backblaze B2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct B2Config {
    /// The bucket and the prefix.
    pub bucket: BucketLocation,
    /// The id of an application key.
    pub key_id: SecretRef,
    /// The key.
    pub application_key: SecretRef,
    /// Where accounts begin, as a URL, if not at Backblaze.
    pub endpoint: Option<String>,
    /// How it is reached.
    pub way: Way,
}

/// A key of AWS KMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsConfig {
    /// Its ARN, or as the service calls it.
    pub key: String,
    /// Another service than Amazon's, as a URL.
    pub endpoint: Option<String>,
    /// By default that of the ARN.
    pub region: Option<String>,
    /// Of the files of the AWS tools.
    pub profile: Option<String>,
    /// Who we are, if not who the AWS tools would be.
    pub keys: Option<AwsKeys>,
    /// How it is reached.
    pub way: Way,
}

/// How a service is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Way {
    /// Through this proxy; without it as the environment says.
    pub proxy: Option<String>,
    /// More certificates to trust.
    pub ca_file: Option<PathBuf>,
}

impl S3Config {
    /// Of a bucket, with what the table says of it.
    pub(super) fn read(reader: &Reader<'_>, bucket: BucketLocation, section: Option<Section<'_, '_>>) -> Self {
        let mut config = Self {
            bucket,
            endpoint: None,
            region: None,
            profile: None,
            path_style: None,
            checksums: None,
            keys: None,
            storage_class: None,
            encryption: None,
            remove_versions: false,
            way: Way::default(),
        };
        let Some(mut section) = section else { return config };
        config.endpoint = section.parsed::<Url>("endpoint").map(|url| url.value.0);
        config.region = section.string("region").map(|text| text.value);
        config.profile = section.string("profile").map(|text| text.value);
        config.path_style = section.boolean("path_style").map(|it| it.value);
        config.checksums = section.boolean("checksums").map(|it| it.value);
        config.storage_class = section.parsed("storage_class").map(|it| it.value);
        config.keys = AwsKeys::read(&mut section, reader);
        config.remove_versions = section.boolean("remove_versions").is_some_and(|it| it.value);
        let key = section.string("kms_key");
        config.encryption = section.parsed::<Kind>("encryption").map(|kind| match kind.value {
            Kind::Managed => Encryption::Managed,
            Kind::Kms => Encryption::Kms { key: key.as_ref().map(|key| key.value.clone()) },
        });
        if let (Some(key), None | Some(Encryption::Managed)) = (&key, &config.encryption) {
            reader.problem(key, "is used with encryption = \"aws:kms\" only");
        }
        config.way = Way::read(&mut section, reader);
        section.finish();
        config
    }
}

impl AwsKeys {
    fn read(section: &mut Section<'_, '_>, reader: &Reader<'_>) -> Option<Self> {
        let id = section.parsed::<SecretRef>("access_key_id");
        let secret = section.parsed::<SecretRef>("secret_access_key");
        let session_token = section.parsed::<SecretRef>("session_token").map(|it| it.value);
        match (id, secret) {
            (Some(id), Some(secret)) => Some(Self { id: id.value, secret: secret.value, session_token }),
            (Some(one), None) | (None, Some(one)) => {
                reader.problem(&one, "access_key_id and secret_access_key belong together: set both or none");
                None
            }
            (None, None) => None,
        }
    }
}

impl KmsConfig {
    /// What the table says.
    pub(super) fn read(reader: &Reader<'_>, mut section: Section<'_, '_>) -> Option<Self> {
        let key = section.required("key", "give the ARN of the key");
        let config = Self {
            endpoint: section.parsed::<Url>("endpoint").map(|url| url.value.0),
            region: section.string("region").map(|text| text.value),
            profile: section.string("profile").map(|text| text.value),
            keys: AwsKeys::read(&mut section, reader),
            way: Way::read(&mut section, reader),
            key: key.as_ref().map(|key| key.value.clone()).unwrap_or_default(),
        };
        section.finish();
        key.map(|_| config)
    }
}

impl B2Config {
    /// Of a bucket, with what the table says of it.
    pub(super) fn read(reader: &Reader<'_>, bucket: BucketLocation, section: Option<Section<'_, '_>>) -> Self {
        let mut config = Self {
            bucket,
            key_id: SecretRef::Env("B2_KEY_ID".to_owned()),
            application_key: SecretRef::Env("B2_APP_KEY".to_owned()),
            endpoint: None,
            way: Way::default(),
        };
        let Some(mut section) = section else { return config };
        if let Some(id) = section.parsed("key_id") {
            config.key_id = id.value;
        }
        if let Some(key) = section.parsed("application_key") {
            config.application_key = key.value;
        }
        config.endpoint = section.parsed::<Url>("endpoint").map(|url| url.value.0);
        config.way = Way::read(&mut section, reader);
        section.finish();
        config
    }
}

impl Way {
    fn read(section: &mut Section<'_, '_>, reader: &Reader<'_>) -> Self {
        let proxy = section.parsed::<Proxy>("proxy").map(|proxy| proxy.value.0);
        Self { proxy, ca_file: super::parse::absolute(reader, section.string("ca_file")) }
    }
}

/// Where a service is.
struct Url(String);

impl FromStr for Url {
    type Err = Choice;

    fn from_str(text: &str) -> Result<Self, Choice> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        match rest {
            Some(rest) if !rest.is_empty() && !rest.contains(['@', '?', '#', ' ']) => Ok(Self(text.to_owned())),
            _ => Err(Choice("not the URL of a service: write \"https://HOST\", with \":PORT\" if it has another")),
        }
    }
}

struct Proxy(String);

impl FromStr for Proxy {
    type Err = cloudstic_cloud::BadNetwork;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Network::default().with_proxy(text).map(|_| Self(text.to_owned()))
    }
}

enum Kind {
    Managed,
    Kms,
}

impl FromStr for Kind {
    type Err = Choice;

    fn from_str(text: &str) -> Result<Self, Choice> {
        match text {
            "AES256" => Ok(Self::Managed),
            "aws:kms" => Ok(Self::Kms),
            _ => Err(Choice("must be \"AES256\" or \"aws:kms\"")),
        }
    }
}

impl fmt::Display for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3:{}", self.bucket)
    }
}

impl fmt::Display for B2Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b2:{}", self.bucket)
    }
}
