//! What is measured, each in a process of its own: loops of writes and of reads, a backup, a restore.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use cloudstic_cloud::AwsCredentials;
use cloudstic_cloud::s3::{Conditions, S3Settings, S3Store};
use cloudstic_e2e::random;
use cloudstic_engine::backup::{BackupRequest, backup};
use cloudstic_engine::cache::StatCache;
use cloudstic_engine::clock::SystemClock;
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::{Credential, InitOptions, Repository};
use cloudstic_engine::restore::{Overwrite, RestoreRequest, restore};
use cloudstic_engine::source::local::{LocalOptions, LocalSource};
use cloudstic_engine::store::limits::{LimitedStore, StoreLimits};
use cloudstic_engine::store::sftp::{HostKey, SftpLogin, SftpProbe, SftpSettings, SftpStore};
use cloudstic_engine::store::{ObjectStore, StoreResult};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::servers::{KEY_ID, SECRET};

/// What the loops write and read, in bytes: about as much as chunks have.
const OBJECT: usize = 1 << 20;
/// How many objects there are in the loops, written over and over.
const OBJECTS: usize = 128;

/// Something to be measured.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) way: Way,
    pub(super) kind: Kind,
    pub(super) source: PathBuf,
    pub(super) target: PathBuf,
    pub(super) cache: PathBuf,
}

/// How to reach the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Way {
    S3 { url: String, bucket: String },
    Sftp { location: String, key: PathBuf, known_hosts: PathBuf },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Kind {
    Puts { in_flight: usize, seconds: u64 },
    Gets { in_flight: usize, seconds: u64 },
    Backup,
    Restore,
}

/// What it came to.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) peak_kb: u64,
}

impl Measured {
    /// Bytes a second.
    pub(super) fn rate(&self) -> f64 {
        self.bytes as f64 / self.seconds
    }
}

pub(super) async fn work(task: Task) -> anyhow::Result<Measured> {
    let store = store(&task.way).await?;
    let began = Instant::now();
    let (files, bytes) = match task.kind {
        Kind::Puts { in_flight, seconds } => {
            let bytes = Bytes::from(random::bytes(7, OBJECT));
            let put = async |key: String| store.put(&key, bytes.clone()).await.map(|()| OBJECT);
            loop_of(in_flight, seconds, put).await?
        }
        Kind::Gets { in_flight, seconds } => {
            let get = async |key: String| store.get(&key).await.map(|bytes| bytes.len());
            loop_of(in_flight, seconds, get).await?
        }
        Kind::Backup => back_up(&store, &task).await?,
        Kind::Restore => bring_back(&store, task.target).await?,
    };
    let seconds = began.elapsed().as_secs_f64();
    Ok(Measured { files, bytes, seconds, cpu_seconds: cpu_seconds()?, peak_kb: peak_kb()? })
}

/// As a daemon makes it, with its usual settings.
async fn store(way: &Way) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let limits = StoreLimits::default();
    let connected = match way {
        Way::S3 { url, bucket } => {
            let credentials = AwsCredentials::Keys { id: KEY_ID.into(), secret: SECRET.into(), session_token: None };
            let settings = S3Settings {
                endpoint: Some(url.clone()),
                credentials,
                stall: limits.stall,
                ..S3Settings::new(bucket.parse()?)
            };
            let store = S3Store::connect(settings, Conditions::NONE).await?;
            LimitedStore::new(Arc::new(store), limits, Arc::default())
        }
        Way::Sftp { location, key, known_hosts } => {
            let settings = SftpSettings {
                login: SftpLogin::Key(key.clone()),
                host_key: HostKey::Known(Some(known_hosts.clone())),
                ..SftpSettings::new(location.parse()?)
            };
            let connect = || SftpStore::connect(settings.clone(), SftpProbe::default());
            let store = LimitedStore::connect(limits, Arc::default(), connect).await?;
            store.create_root().await?;
            store
        }
    };
    Ok(Arc::new(connected))
}

/// Does `one` for one key after the other, so many at once, for so long, and for each key at least once; gives how many
/// there were, and their bytes.
async fn loop_of<F: Future<Output = StoreResult<usize>>>(
    in_flight: usize,
    seconds: u64,
    one: impl Fn(String) -> F,
) -> anyhow::Result<(u64, u64)> {
    let end = Instant::now() + Duration::from_secs(seconds);
    let numbers = (0..).take_while(|&number| number < OBJECTS || Instant::now() < end);
    let keys = numbers.map(|number| format!("loop/{:04}", number % OBJECTS));
    let lengths = stream::iter(keys).map(one).buffer_unordered(in_flight);
    let total =
        lengths.try_fold((0, 0), |(count, bytes), length| std::future::ready(Ok((count + 1, bytes + length as u64))));
    Ok(total.await?)
}

fn credentials() -> Vec<Credential> {
    vec![Credential::PlatformKey("ab".repeat(32).into())]
}

async fn open(store: &Arc<dyn ObjectStore>) -> anyhow::Result<Arc<Repository>> {
    Ok(Arc::new(Repository::open(Arc::clone(store), credentials()).await?))
}

async fn back_up(store: &Arc<dyn ObjectStore>, task: &Task) -> anyhow::Result<(u64, u64)> {
    let options = InitOptions { credentials: credentials(), ..InitOptions::default() };
    Repository::init(Arc::clone(store), options).await?;
    let request = BackupRequest {
        source: Arc::new(LocalSource::new(task.source.clone(), LocalOptions::default())?),
        cache: Some(Arc::new(StatCache::open(&task.cache)?)),
        tags: Vec::new(),
        dry_run: false,
        read_all: false,
        clock: Arc::new(SystemClock),
        lease: LeaseWatch::not_needed(),
    };
    let report = backup(open(store).await?, request, Arc::new(Silent), CancellationToken::new()).await?;
    if report.warning_count > 0 {
        bail!("the backup warned of {:?}", report.warnings);
    }
    Ok((report.files.new, report.stored_bytes))
}

async fn bring_back(store: &Arc<dyn ObjectStore>, target: PathBuf) -> anyhow::Result<(u64, u64)> {
    let request = RestoreRequest {
        snapshot: "latest".to_owned(),
        paths: Vec::new(),
        target,
        overwrite: Overwrite::default(),
        dry_run: false,
        identity: None,
        lease: LeaseWatch::not_needed(),
    };
    let report = restore(open(store).await?, request, Arc::new(Silent), CancellationToken::new()).await?;
    if report.warning_count > 0 {
        bail!("the restore warned of {:?}", report.warnings);
    }
    Ok((report.files, report.bytes))
}

/// What this process has used so far.
fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // After the name, which may have blanks in it; in hundredths.
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let used = ticks(11).zip(ticks(12)).context("/proc/self/stat is another one than expected")?;
    Ok((used.0 + used.1) / 100.0)
}

/// The most memory that this process had.
fn peak_kb() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
