//! The connection to the daemon's socket, and why there is none.

use std::io;
use std::path::Path;

use cloudstic_proto::MAX_MESSAGE_BYTES;
use cloudstic_proto::v1::daemon_client::DaemonClient;
use cloudstic_proto::v1::jobs_client::JobsClient;
use cloudstic_proto::v1::keys_client::KeysClient;
use cloudstic_proto::v1::locks_client::LocksClient;
use cloudstic_proto::v1::repositories_client::RepositoriesClient;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::error::Error;

/// The daemon's services over one connection.
#[derive(Clone)]
pub(crate) struct Daemon {
    channel: Channel,
}

impl Daemon {
    /// Connects to the daemon.
    ///
    /// There is no second attempt: a stream that broke cannot be continued on a new connection, so a lost connection
    /// is an error for the command.
    pub(crate) async fn connect(socket: &Path) -> Result<Self, Error> {
        let stream = UnixStream::connect(socket).await.map_err(|source| refusal(socket, source))?;
        let mut stream = Some(TokioIo::new(stream));
        let connector = service_fn(move |_| {
            let stream = stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
            async move { stream }
        });
        // The address is never looked up; HTTP/2 only wants an authority.
        let channel = Endpoint::from_static("http://cloudsticd").connect_with_connector(connector).await;
        let channel =
            channel.map_err(|error| Error::Handshake { socket: socket.to_owned(), problem: chain(&error) })?;
        Ok(Self { channel })
    }

    /// The daemon itself.
    pub(crate) fn daemon(&self) -> DaemonClient<Channel> {
        DaemonClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Its jobs.
    pub(crate) fn jobs(&self) -> JobsClient<Channel> {
        JobsClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The keys of its repositories.
    pub(crate) fn keys(&self) -> KeysClient<Channel> {
        KeysClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// The locks of its repositories.
    pub(crate) fn locks(&self) -> LocksClient<Channel> {
        LocksClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Its repositories.
    pub(crate) fn repositories(&self) -> RepositoriesClient<Channel> {
        RepositoriesClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }
}

fn refusal(socket: &Path, source: io::Error) -> Error {
    let socket = socket.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::NotADirectory => {
            Error::NoDaemon(socket)
        }
        io::ErrorKind::PermissionDenied => Error::SocketDenied(socket),
        _ => Error::Connect { socket, source },
    }
}

/// An error with its causes: the outermost one of the transport says only "transport error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
