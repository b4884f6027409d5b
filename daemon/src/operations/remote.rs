//! Stores at the other end of a line: connected with their secrets, and with the layer of retries and limits around them.

use std::collections::HashMap;
use std::sync::Arc;

use cloudstic_engine::store::limits::{LimitedStore, Pace};
use cloudstic_engine::store::sftp::{SftpLogin, SftpProbe, SftpSettings, SftpStore};
use cloudstic_engine::store::{ObjectStore, StoreError};
use cloudstic_proto::Reason;

use crate::config::{Config, LimitsConfig, SftpConfig, SftpLoginConfig};
use crate::failure::Failure;

/// What is kept of each configured repository as long as the daemon runs, by name.
#[derive(Debug)]
pub(super) struct Remotes(HashMap<String, Remote>);

#[derive(Debug, Default)]
struct Remote {
    /// All that works with the repository shares its line.
    pace: Arc<Pace>,
    probe: SftpProbe,
}

impl Remotes {
    pub(super) fn new(config: &Config) -> Self {
        let remote = |limits: &LimitsConfig| {
            let pace = Arc::new(Pace::new(limits.upload.clone(), limits.download.clone()));
            Remote { pace, probe: SftpProbe::default() }
        };
        let remotes = config.repositories.iter();
        Self(remotes.map(|(name, repository)| (name.clone(), remote(&repository.limits))).collect())
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
        let (pace, probe) = match self.0.get(name) {
            Some(remote) => (Arc::clone(&remote.pace), remote.probe.clone()),
            None => Default::default(),
        };
        let connect = || SftpStore::connect(settings.clone(), probe.clone());
        let connected: Result<_, StoreError> = LimitedStore::connect(limits.store.clone(), pace, connect).await;
        Ok(Arc::new(connected?))
    }
}
