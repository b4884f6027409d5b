//! Stores at the other end of a line: connected with their secrets, and with the layer of retries and limits around them,
//! which is the only one that tries anything again.

use std::collections::HashMap;
use std::sync::Arc;

use cloudstic_engine::store::limits::{LimitedStore, Pace};
use cloudstic_engine::store::sftp::{SftpLogin, SftpProbe, SftpSettings, SftpStore};
use cloudstic_engine::store::{MeteredStore, ObjectStore, StoreResult};
use cloudstic_proto::Reason;

use super::cloud::{self, Clouds};
use crate::config::{B2Config, Config, LimitsConfig, S3Config, SftpConfig, SftpLoginConfig};
use crate::failure::Failure;
use crate::metrics::Metrics;

/// What is kept of each configured repository as long as the daemon runs, by name, and what is known of services.
#[derive(Debug)]
pub(super) struct Remotes {
    remotes: HashMap<String, Remote>,
    clouds: Clouds,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Remote {
    /// All that works with the repository shares its line.
    pace: Arc<Pace>,
    probe: SftpProbe,
}

impl Remotes {
    pub(super) fn new(config: &Config, metrics: Arc<Metrics>) -> Self {
        let remote = |limits: &LimitsConfig| {
            let pace = Arc::new(Pace::new(limits.upload.clone(), limits.download.clone()));
            Remote { pace, probe: SftpProbe::default() }
        };
        let remotes = config.repositories.iter();
        let remotes = remotes.map(|(name, repository)| (name.clone(), remote(&repository.limits))).collect();
        Self { remotes, clouds: Clouds::new(&config.daemon.state_dir), metrics }
    }

    /// A bucket of S3.
    pub(super) async fn s3(
        &self,
        name: &str,
        config: &S3Config,
        limits: &LimitsConfig,
    ) -> Result<Arc<dyn ObjectStore>, Failure> {
        let settings = cloud::s3(name, config, limits.store.stall).await?;
        self.limited(name, limits, || self.clouds.connect(settings.clone())).await
    }

    /// A bucket of B2.
    pub(super) async fn b2(
        &self,
        name: &str,
        config: &B2Config,
        limits: &LimitsConfig,
    ) -> Result<Arc<dyn ObjectStore>, Failure> {
        let settings = cloud::b2(name, config).await?;
        self.limited(name, limits, || self.clouds.connect_b2(&settings, limits.store.stall)).await
    }

    /// An SFTP store, with a connection of its own.
    pub(super) async fn sftp(
        &self,
        name: &str,
        config: &SftpConfig,
        limits: &LimitsConfig,
    ) -> Result<Arc<dyn ObjectStore>, Failure> {
        let login = match &config.login {
            SftpLoginConfig::Standard => SftpLogin::Standard,
            SftpLoginConfig::Key(file) => SftpLogin::Key(file.clone()),
            SftpLoginConfig::Agent(socket) => SftpLogin::Agent(socket.clone()),
            SftpLoginConfig::Password(password) => {
                let password = password.resolve().await;
                let password = password
                    .map_err(|error| Failure::new(Reason::NoCredential, format!("repository {name}: {error}")))?;
                SftpLogin::Password(password)
            }
        };
        let settings = SftpSettings {
            login,
            host_key: config.host_key.clone(),
            ssh_config: config.ssh_config.clone(),
            stall: limits.store.stall,
            ..SftpSettings::new(config.location.clone())
        };
        let probe = self.remotes.get(name).map(|remote| remote.probe.clone()).unwrap_or_default();
        self.limited(name, limits, || SftpStore::connect(settings.clone(), probe.clone())).await
    }

    /// Connects, and puts what counts and the limits around what is there then.
    async fn limited<S: ObjectStore + 'static, F: Future<Output = StoreResult<S>>>(
        &self,
        name: &str,
        limits: &LimitsConfig,
        connect: impl Fn() -> F,
    ) -> Result<Arc<dyn ObjectStore>, Failure> {
        let pace = self.remotes.get(name).map(|remote| Arc::clone(&remote.pace)).unwrap_or_default();
        let meter = self.metrics.meter(name);
        let connect = || async { Ok(MeteredStore::with(Arc::new(connect().await?), Arc::clone(&meter))) };
        let store = LimitedStore::connect(limits.store.clone(), pace, connect).await?;
        Ok(Arc::new(store.counting_retries(meter)))
    }
}
