//! What lies at the other end of the line: the S3 of `s3s-fs` on a folder, or OpenSSH's server.

use std::convert::Infallible;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::anyhow;
use cloudstic_e2e::servers::sshd::Sshd;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Store;
use super::work::Way;

const BUCKET: &str = "backups";
pub(super) const KEY_ID: &str = "AKIDEXAMPLE";
pub(super) const SECRET: &str = "not a secret";

/// A running server, until it is dropped.
pub(super) enum Server {
    S3 { port: u16, serving: JoinHandle<()> },
    Sftp(Box<Sshd>),
}

impl Server {
    /// Starts one that has nothing yet; `None`, which is said, if it is not installed.
    pub(super) async fn start(store: Store, place: &Path) -> anyhow::Result<Option<Self>> {
        if store == Store::Sftp {
            return Ok(Sshd::start("the line to an SFTP server").map(|server| Self::Sftp(Box::new(server))));
        }
        fs::create_dir_all(place.join(BUCKET))?;
        let files = s3s_fs::FileSystem::new(place).map_err(|error| anyhow!("{error:?}"))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let service = service.build();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let serving = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                let service = service.clone();
                let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let service = service.clone();
                    async move {
                        let answer = service.call(request.map(s3s::Body::from)).await;
                        Ok::<_, Infallible>(answer.unwrap_or_else(|_| hyper::Response::new(s3s::Body::empty())))
                    }
                });
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), answer));
            }
        });
        Ok(Some(Self::S3 { port, serving }))
    }

    /// Where it listens.
    pub(super) fn port(&self) -> u16 {
        match self {
            Self::S3 { port, .. } => *port,
            Self::Sftp(server) => server.port(),
        }
    }

    /// How to reach it by way of another port.
    pub(super) fn way(&self, port: u16) -> Way {
        match self {
            Self::S3 { .. } => Way::S3 { url: format!("http://127.0.0.1:{port}"), bucket: BUCKET.to_owned() },
            Self::Sftp(server) => Way::Sftp {
                location: server.location_by(port, "repository"),
                key: server.key(),
                known_hosts: server.known_hosts_by(port),
            },
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::S3 { serving, .. } = self {
            serving.abort();
        }
    }
}
