//! The configuration file: what it may say, and what it says.
//!
//! The one invariant: a [`Config`] is wholly checked. Every repository that a profile names is there, every path is
//! absolute, every user is a number; nobody has to look again. What is wrong is told all at once, each with file, line
//! and key.

mod cloud;
mod limits;
mod parse;
mod reader;
mod sftp;
mod size;
mod suggest;
mod values;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cloudstic_engine::source::local::LocalOptions;

pub use cloud::{AwsKeys, B2Config, KmsConfig, S3Config, Way};
pub use limits::LimitsConfig;
pub use reader::Problem;
pub use sftp::{SftpConfig, SftpLoginConfig};
pub use size::{BadSize, Size};
pub use values::{BadStore, Choice};

use crate::accounts::Accounts;
use crate::secrets::SecretRef;

/// Where the configuration is unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/cloudstic/config.toml";

/// Everything the configuration file says, with the defaults filled in.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// `[daemon]`
    pub daemon: DaemonConfig,
    /// `[access]`
    pub access: AccessConfig,
    /// `[http]`
    pub http: HttpConfig,
    /// `[repositories.NAME]`
    pub repositories: BTreeMap<String, RepositoryConfig>,
    /// `[profiles.NAME]`
    pub profiles: BTreeMap<String, ProfileConfig>,
}

/// `[daemon]`
#[derive(Debug, Clone)]
pub struct DaemonConfig {
    /// Where the API listens.
    pub socket: PathBuf,
    /// The group that the socket belongs to, by number.
    pub socket_group: Option<u32>,
    /// Where jobs and caches are kept.
    pub state_dir: PathBuf,
    /// How many jobs run at once, at least 1.
    pub max_running_jobs: usize,
    /// How many jobs are remembered, at least 1.
    pub keep_jobs: usize,
    /// How long a stop waits for running jobs.
    pub shutdown_grace: Duration,
    /// From what level on messages are logged.
    pub log_level: tracing::Level,
    /// How they look.
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people and journald.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[access]`: who may call the daemon besides root and the daemon's own user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// By number.
    pub users: BTreeSet<u32>,
    /// By number.
    pub groups: BTreeSet<u32>,
}

/// `[http]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where metrics are served; nowhere if `None`.
    pub listen: Option<SocketAddr>,
}

/// `[repositories.NAME]`
#[derive(Debug, Clone)]
pub struct RepositoryConfig {
    /// Where it lies.
    pub store: StoreLocation,
    /// What opens it; with neither these nor `kms` it is not encrypted.
    pub credentials: Vec<CredentialRef>,
    /// A key of AWS KMS that opens it.
    pub kms: Option<KmsConfig>,
    /// How many jobs work with it at once, at least 1; no limit of its own if `None`.
    pub max_running_jobs: Option<usize>,
    /// How long a job waits for a lock that somebody else holds.
    pub lock_wait: Duration,
    /// What a prune does unless it is asked for something else.
    pub prune: PruneConfig,
    /// `[repositories.NAME.limits]`, for a store at the other end of a line.
    pub limits: LimitsConfig,
}

/// What of `[repositories.NAME]` is about prunes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneConfig {
    /// The part of a pack that may be waste, in percent, at most 100.
    pub max_waste_percent: u8,
    /// The most bytes that are copied out of packs; no limit if `None`.
    pub max_repack_bytes: Option<u64>,
}

/// Where a repository lies. What it prints has no credentials in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// A folder of this host.
    Local(PathBuf),
    /// A folder on an SFTP server.
    Sftp(Box<SftpConfig>),
    /// A bucket of S3.
    S3(Box<S3Config>),
    /// A bucket of Backblaze B2.
    B2(Box<B2Config>),
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "local:{}", path.display()),
            Self::Sftp(config) => config.fmt(f),
            Self::S3(config) => config.fmt(f),
            Self::B2(config) => config.fmt(f),
        }
    }
}

impl StoreLocation {
    /// What kind of store it is, as in metrics.
    pub const fn backend(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
            Self::Sftp(_) => "sftp",
            Self::S3(_) => "s3",
            Self::B2(_) => "b2",
        }
    }

    /// Whether both are one place, whoever we are there and however it is reached.
    fn is_place_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Local(one), Self::Local(other)) => one == other,
            (Self::Sftp(one), Self::Sftp(other)) => one.location.is_place_of(&other.location),
            (Self::S3(one), Self::S3(other)) => (&one.bucket, &one.endpoint) == (&other.bucket, &other.endpoint),
            (Self::B2(one), Self::B2(other)) => one.bucket == other.bucket,
            _ => false,
        }
    }
}

impl Config {
    /// The configured repositories, each with what its store is called in metrics.
    pub fn backends(&self) -> impl Iterator<Item = (&str, &'static str)> + Clone {
        self.repositories.iter().map(|(name, repository)| (name.as_str(), repository.store.backend()))
    }
}

/// A secret that opens a key slot, and what sort of secret it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialRef {
    /// What sort.
    pub kind: CredentialKind,
    /// Where it is.
    pub secret: SecretRef,
}

/// The sorts of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// A password.
    Password,
    /// 64 hex digits.
    PlatformKey,
    /// 24 words.
    RecoveryWords,
}

/// `[profiles.NAME]`
#[derive(Debug, Clone)]
pub struct ProfileConfig {
    /// The name of a configured repository.
    pub repository: String,
    /// The folder that is backed up.
    pub source: PathBuf,
    /// The tags of its snapshots.
    pub tags: Vec<String>,
    /// What of the folder is backed up.
    pub options: LocalOptions,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error("{path}: {cause}: {}, or name another with --config", advice(.cause))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// What it says; one line for each problem.
    #[error("{}", lines(.0))]
    Wrong(Vec<Problem>),
}

fn advice(cause: &std::io::Error) -> &'static str {
    match cause.kind() {
        std::io::ErrorKind::NotFound => "write it (config.example.toml shows every key)",
        _ => "see that it is a text file that the daemon's user may read",
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Config {
    /// Reads and checks a configuration file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable { path: path.to_owned(), cause })?;
        Self::parse(path, &text, &Accounts::read())
    }

    /// Checks the text of a configuration file. Names of users and groups are looked up in `accounts`.
    pub fn parse(path: &Path, text: &str, accounts: &Accounts) -> Result<Self, ConfigError> {
        parse::parse(path, text, accounts).map_err(ConfigError::Wrong)
    }

    /// The profiles of a repository, by name.
    pub fn profiles_of(&self, repository: &str) -> impl Iterator<Item = &str> {
        let of_it = self.profiles.iter().filter(move |(_, profile)| profile.repository == repository);
        of_it.map(|(name, _)| name.as_str())
    }
}
