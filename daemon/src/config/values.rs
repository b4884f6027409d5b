//! The values of the file that are more than texts and numbers.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use cloudstic_cloud::BucketLocation;
use cloudstic_engine::store::sftp::{BadSftpLocation, SftpLocation};

use super::LogFormat;

/// A store that cannot be understood. It does not hold the text: there may be a password in a URL.
#[derive(Debug, thiserror::Error)]
pub enum BadStore {
    /// Of no kind that we know.
    #[error(
        "not a store: write \"local:\" and an absolute path, as in \"local:/srv/backup\", or \"sftp://USER@HOST/PATH\", \
         \"s3:BUCKET/PREFIX\" or \"b2:BUCKET/PREFIX\""
    )]
    Kind,
    /// An SFTP store that is not well described.
    #[error("not a store: {0}")]
    Sftp(#[from] BadSftpLocation),
}

/// What the store's text says by itself.
pub(super) enum Place {
    Local(PathBuf),
    Sftp(SftpLocation),
    S3(BucketLocation),
    B2(BucketLocation),
}

impl FromStr for Place {
    type Err = BadStore;

    fn from_str(text: &str) -> Result<Self, BadStore> {
        if text.starts_with("sftp:") {
            return Ok(Self::Sftp(text.parse()?));
        }
        if let Some(bucket) = text.strip_prefix("s3:") {
            return bucket.parse().map(Self::S3).map_err(|_| BadStore::Kind);
        }
        if let Some(bucket) = text.strip_prefix("b2:") {
            return bucket.parse().map(Self::B2).map_err(|_| BadStore::Kind);
        }
        let path = text.strip_prefix("local:").filter(|path| path.starts_with('/')).ok_or(BadStore::Kind)?;
        // By components, so that "/a/b/" and "/a//b" are the same store.
        Ok(Self::Local(Path::new(path).components().collect()))
    }
}

impl FromStr for LogFormat {
    type Err = Choice;

    fn from_str(text: &str) -> Result<Self, Choice> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(Choice("must be \"text\" or \"json\"")),
        }
    }
}

pub(super) struct Level(pub(super) tracing::Level);

impl FromStr for Level {
    type Err = Choice;

    fn from_str(text: &str) -> Result<Self, Choice> {
        let known = ["error", "warn", "info", "debug", "trace"].contains(&text);
        let level = text.parse().ok().filter(|_| known);
        level.map(Self).ok_or(Choice("must be \"error\", \"warn\", \"info\", \"debug\" or \"trace\""))
    }
}

pub(super) struct Period(pub(super) Duration);

impl FromStr for Period {
    type Err = Choice;

    fn from_str(text: &str) -> Result<Self, Choice> {
        humantime::parse_duration(text).map(Self).map_err(|_| Choice("not a duration: write \"30s\" or \"2m\""))
    }
}

pub(super) struct Address(pub(super) SocketAddr);

impl FromStr for Address {
    type Err = Choice;

    fn from_str(text: &str) -> Result<Self, Choice> {
        text.parse()
            .map(Self)
            .map_err(|_| Choice("not an address with a port: write \"127.0.0.1:9797\" or \"[::1]:9797\""))
    }
}

/// A word that is none of those that may stand here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice(pub(super) &'static str);

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
