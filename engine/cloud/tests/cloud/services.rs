//! The services that whole repositories are kept at.

use std::any::Any;

use cloudstic_cloud::s3::{Conditions, S3Settings, S3Store};
use cloudstic_e2e::servers::ministack::Ministack;
use cloudstic_e2e::servers::rclone::RcloneS3;

use super::server::{BUCKET, Believes, KEY_ID, MemoryS3, SECRET, Server};
use super::{ALL, settings_at};

/// A service with an empty bucket, until it is dropped.
pub(crate) struct Service {
    pub(crate) url: String,
    /// What it honours.
    pub(crate) conditions: Conditions,
    _runs: Box<dyn Any>,
}

impl Service {
    /// In memory, with all conditions.
    pub(crate) async fn memory() -> Self {
        Self::serving(MemoryS3::new(Believes::All), ALL).await
    }

    /// In memory: it takes conditions and ignores them.
    pub(crate) async fn memory_without_conditions() -> Self {
        Self::serving(MemoryS3::new(Believes::Nothing), Conditions::NONE).await
    }

    /// In memory: it refuses conditions and keeps every version, as B2 does.
    pub(crate) async fn memory_with_versions() -> Self {
        Self::serving(MemoryS3::with_versions(Believes::Refuses), Conditions::NONE).await
    }

    /// Another one's, with conditions that hold.
    pub(crate) fn ministack() -> Self {
        let service = Ministack::start();
        service.make_bucket(BUCKET);
        let conditions = Conditions { delete: false, parts: false, ..ALL };
        Self { url: service.url(), conditions, _runs: Box::new(service) }
    }

    /// Another one's, which ignores conditions.
    pub(crate) fn rclone() -> Self {
        let service = RcloneS3::start(KEY_ID, SECRET, BUCKET);
        for place in ["one/two", "golden/plain", "golden/nopack", "golden/encrypted"] {
            service.make_folders(&format!("{BUCKET}/{place}"));
        }
        Self { url: service.url(), conditions: Conditions::NONE, _runs: Box::new(service) }
    }

    /// In this process, with objects in files; its conditions hold as long as nobody else asks.
    pub(crate) async fn files() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let server = Server::start(s3s_fs::FileSystem::new(folder.path()).unwrap()).await;
        Self { url: server.url.clone(), conditions: Conditions::NONE, _runs: Box::new((server, folder)) }
    }

    async fn serving(memory: MemoryS3, conditions: Conditions) -> Self {
        let server = Server::start(memory).await;
        Self { url: server.url.clone(), conditions, _runs: Box::new(server) }
    }

    /// The bucket, straight.
    pub(crate) async fn store(&self) -> S3Store {
        self.store_with(settings_at(&self.url)).await
    }

    pub(crate) async fn store_with(&self, settings: S3Settings) -> S3Store {
        S3Store::connect(settings, self.conditions).await.unwrap()
    }
}
