//! What a store in S3 is told.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{AwsCredentials, BucketLocation, Network};

/// How many requests at once a store likes unless it is told otherwise.
pub const CONCURRENCY: usize = 16;

/// Everything that a store in S3 is told. Neither `Debug` nor any error shows a credential.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// The bucket and the prefix.
    pub location: BucketLocation,
    /// What it is called in messages: `s3:` and the location, for one.
    pub name: String,
    /// Another service than Amazon's: `https://minio.example:9000`.
    pub endpoint: Option<String>,
    /// `eu-central-1`; by default what the environment and the files of the AWS tools say.
    pub region: Option<String>,
    /// Of the files of the AWS tools.
    pub profile: Option<String>,
    /// The bucket is named in the path, not in the host's name; by default where there is an endpoint.
    pub path_style: Option<bool>,
    /// Requests carry checksums beside their signatures, and answers are held against theirs; by default at Amazon. Buckets
    /// with a default retention want it, and some other services refuse it.
    pub checksums: Option<bool>,
    /// Who we are.
    pub credentials: AwsCredentials,
    /// For chunks and packs; everything else is small and read often.
    pub storage_class: Option<StorageClass>,
    /// Encryption by the service, beside our own.
    pub encryption: Option<Encryption>,
    /// How the service is reached.
    pub network: Network,
    /// After how long without a byte a transfer is given up, and a question that is not answered.
    pub stall: Duration,
    /// How many requests at once, at least 1.
    pub concurrency: usize,
    /// The bucket keeps old versions of objects, and a delete removes all of them.
    pub removes_versions: bool,
    /// Where it is noted that the service refused something.
    pub refused: Refused,
}

/// Whether a service has refused something to whoever has these settings. Its clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Refused(Arc<AtomicBool>);

impl Refused {
    /// Whether there was a refusal.
    pub fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl S3Settings {
    /// A bucket at Amazon, with the credentials that the AWS tools would use.
    pub fn new(location: BucketLocation) -> Self {
        Self {
            name: format!("s3:{location}"),
            location,
            endpoint: None,
            region: None,
            profile: None,
            path_style: None,
            checksums: None,
            credentials: AwsCredentials::Default,
            storage_class: None,
            encryption: None,
            network: Network::default(),
            stall: Duration::from_secs(30),
            concurrency: CONCURRENCY,
            removes_versions: false,
            refused: Refused::default(),
        }
    }
}

/// How the service keeps objects. Classes that have to be thawed before they are read are none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageClass {
    /// `STANDARD`
    Standard,
    /// `STANDARD_IA`
    StandardIa,
    /// `ONEZONE_IA`
    OnezoneIa,
    /// `INTELLIGENT_TIERING`
    IntelligentTiering,
    /// `GLACIER_IR`
    GlacierInstant,
    /// `REDUCED_REDUNDANCY`
    ReducedRedundancy,
}

impl StorageClass {
    pub(super) fn sdk(self) -> aws_sdk_s3::types::StorageClass {
        use aws_sdk_s3::types::StorageClass as Sdk;
        match self {
            Self::Standard => Sdk::Standard,
            Self::StandardIa => Sdk::StandardIa,
            Self::OnezoneIa => Sdk::OnezoneIa,
            Self::IntelligentTiering => Sdk::IntelligentTiering,
            Self::GlacierInstant => Sdk::GlacierIr,
            Self::ReducedRedundancy => Sdk::ReducedRedundancy,
        }
    }
}

/// A word that is no storage class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStorageClass {
    /// What is in it cannot be read at once.
    #[error(
        "objects of this class cannot be read before they are restored: use GLACIER_IR, STANDARD_IA or another one"
    )]
    Frozen,
    /// None of S3's.
    #[error("must be STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, GLACIER_IR or REDUCED_REDUNDANCY")]
    Unknown,
}

impl FromStr for StorageClass {
    type Err = BadStorageClass;

    fn from_str(text: &str) -> Result<Self, BadStorageClass> {
        match text {
            "STANDARD" => Ok(Self::Standard),
            "STANDARD_IA" => Ok(Self::StandardIa),
            "ONEZONE_IA" => Ok(Self::OnezoneIa),
            "INTELLIGENT_TIERING" => Ok(Self::IntelligentTiering),
            "GLACIER_IR" => Ok(Self::GlacierInstant),
            "REDUCED_REDUNDANCY" => Ok(Self::ReducedRedundancy),
            "GLACIER" | "DEEP_ARCHIVE" => Err(BadStorageClass::Frozen),
            _ => Err(BadStorageClass::Unknown),
        }
    }
}

/// Encryption by the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With a key of the service: `AES256`.
    Managed,
    /// With a key of AWS KMS: `aws:kms`.
    Kms {
        /// Its ARN or id; Amazon's own key for S3 if `None`.
        key: Option<String>,
    },
}
