//! The API: gRPC over a Unix socket.
//!
//! The services translate; what they decide themselves is in `admit`. The one invariant: no call of any service, health
//! and reflection included, gets past `guard` unless the caller is allowed.

mod admit;
mod daemon;
mod guard;
mod jobs;
mod keys;
mod locks;
mod repositories;
mod socket;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cloudstic_proto::v1::daemon_server::DaemonServer;
use cloudstic_proto::v1::jobs_server::JobsServer;
use cloudstic_proto::v1::keys_server::KeysServer;
use cloudstic_proto::v1::locks_server::LocksServer;
use cloudstic_proto::v1::repositories_server::RepositoriesServer;
use cloudstic_proto::{DESCRIPTORS, MAX_MESSAGE_BYTES};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::InterceptorLayer;
use tonic::transport::Server;

pub use guard::{Identify, Peer, by_socket};
pub use socket::{Socket, SocketError};

use crate::access::Access;
use crate::config::Config;
use crate::operations::Queries;
use crate::supervisor::{Supervisor, TaskResult};

/// How long calls may go on after the API was asked to stop. A client that only connects would hold it for ever.
const DRAIN: Duration = Duration::from_secs(1);

/// What the services work with.
#[derive(Clone)]
pub struct Services {
    /// The jobs.
    pub supervisor: Supervisor,
    /// Everything else about repositories.
    pub queries: Arc<dyn Queries>,
    /// What is configured.
    pub config: Arc<Config>,
    /// Who may do what.
    pub access: Access,
    /// When the daemon started.
    pub started_at: SystemTime,
}

/// Serves until `stop`, and for a short time more to let calls end.
pub async fn serve(
    listener: tokio::net::UnixListener,
    services: Services,
    identify: Identify,
    stop: CancellationToken,
) -> TaskResult {
    let access = services.access.clone();
    let services = Arc::new(services);
    let jobs = JobsServer::new(jobs::JobsService(services.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let repositories = RepositoriesServer::new(repositories::RepositoriesService(services.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let locks = LocksServer::new(locks::LocksService(services.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let keys = KeysServer::new(keys::KeysService(services.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let daemon = DaemonServer::new(daemon::DaemonService(services))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);

    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<JobsServer<jobs::JobsService>>().await;
    reporter.set_serving::<KeysServer<keys::KeysService>>().await;
    reporter.set_serving::<LocksServer<locks::LocksService>>().await;
    reporter.set_serving::<RepositoriesServer<repositories::RepositoriesService>>().await;
    reporter.set_serving::<DaemonServer<daemon::DaemonService>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;

    let server = Server::builder()
        .layer(InterceptorLayer::new(guard::guard(access, identify)))
        .add_service(health)
        .add_service(reflection)
        .add_service(jobs)
        .add_service(keys)
        .add_service(locks)
        .add_service(repositories)
        .add_service(daemon)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop.clone().cancelled_owned());
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = server => Ok(served?),
        () = drained => Ok(()),
    }
}
