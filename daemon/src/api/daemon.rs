//! The service `Daemon`.

use std::sync::Arc;

use cloudstic_proto::v1::{self, daemon_server::Daemon};
use tonic::{Request, Response, Status};

use super::Services;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) struct DaemonService(pub(super) Arc<Services>);

#[tonic::async_trait]
impl Daemon for DaemonService {
    async fn version(&self, _: Request<v1::VersionRequest>) -> Result<Response<v1::VersionResponse>, Status> {
        Ok(Response::new(v1::VersionResponse { version: VERSION.to_owned() }))
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        let Services { supervisor, config, started_at, .. } = &*self.0;
        let mut last = supervisor.last_backups().await?;
        let mut status = |(name, repository): (&String, &crate::config::RepositoryConfig)| v1::RepositoryStatus {
            name: name.clone(),
            store: repository.store.to_string(),
            last_backup: last.iter().position(|job| job.repository == *name).map(|index| last.swap_remove(index)),
        };
        Ok(Response::new(v1::StatusResponse {
            version: VERSION.to_owned(),
            pid: std::process::id(),
            started_at: Some((*started_at).into()),
            config_path: config.path.display().to_string(),
            active_jobs: supervisor.active(),
            repositories: config.repositories.iter().map(&mut status).collect(),
        }))
    }
}
