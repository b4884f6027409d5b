//! A service in this process: S3 over HTTP on a loopback port, or a line to any other service, with a log of what it was
//! asked, and faults on demand.

mod faults;
mod line;
mod memory;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use s3s::S3;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) use faults::{Fault, Faults};
pub(crate) use memory::{Believes, MemoryS3};

pub(crate) type Error = std::io::Error;
pub(crate) type Body = UnsyncBoxBody<Bytes, Error>;
pub(crate) type Question = Request<Body>;
pub(crate) type Answer = Response<Body>;

/// Who may come in.
pub(crate) const KEY_ID: &str = "AKIDEXAMPLE";
pub(crate) const SECRET: &str = "hunter2hunter2hunter2";

/// The bucket that is there.
pub(crate) const BUCKET: &str = "backups";

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) target: String,
    /// It carried a checksum, or asked for one.
    pub(crate) has_checksum: bool,
}

/// A service, until it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) faults: Arc<Faults>,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    /// One that lets in who has [`SECRET`].
    pub(crate) async fn start(buckets: impl S3) -> Self {
        let mut service = S3ServiceBuilder::new(buckets);
        service.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
        let service = service.build();
        Self::serve(move |request| {
            let service = service.clone();
            async move { s3(&service, request).await }
        })
        .await
    }

    /// A line to the service at this address, on which things can go wrong.
    pub(crate) async fn before(url: &str) -> Self {
        let address = url.strip_prefix("http://").unwrap().to_owned();
        Self::serve(move |question| line::forward(address.clone(), question)).await
    }

    /// A line to a service that answers so whoever asks which versions there are.
    pub(crate) async fn telling_versions(url: &str, page: String) -> Self {
        let address = url.strip_prefix("http://").unwrap().to_owned();
        Self::serve(move |question| {
            let (address, page) = (address.clone(), page.clone());
            async move {
                match question.uri().query().is_some_and(|query| query.contains("versions")) {
                    true => Ok(answer(200, page)),
                    false => line::forward(address, question).await,
                }
            }
        })
        .await
    }

    /// One that answers as it is told.
    pub(crate) async fn serve<A, F>(answer: A) -> Self
    where
        A: Fn(Question) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<Answer, Error>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (faults, asked) = (Arc::new(Faults::default()), Arc::new(Mutex::default()));
        let serving = tokio::spawn(accept(listener, answer, Arc::clone(&faults), Arc::clone(&asked)));
        Self { url, faults, asked, serving }
    }

    /// What it was asked since the last time.
    pub(crate) fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn accept<A, F>(listener: TcpListener, answer: A, faults: Arc<Faults>, asked: Arc<Mutex<Vec<Asked>>>)
where
    A: Fn(Question) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<Answer, Error>> + Send + 'static,
{
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let (answer, faults, asked) = (answer.clone(), Arc::clone(&faults), Arc::clone(&asked));
        let service = service_fn(move |request: Request<Incoming>| {
            let (method, target) = (request.method().clone(), request.uri().to_string());
            let is_checksum = |name: &str| name.starts_with("x-amz-checksum") || name.starts_with("x-amz-trailer");
            let has_checksum = request.headers().keys().any(|name| is_checksum(name.as_str()));
            asked.lock().unwrap().push(Asked { method: method.clone(), target: target.clone(), has_checksum });
            let (answer, fault) = (answer.clone(), faults.next(&method, &target));
            let question = request.map(|body| body.map_err(Error::other).boxed_unsync());
            async move { faults::befall(fault, question, answer).await }
        });
        let _ = socket.set_nodelay(true);
        connections.spawn(async move {
            // A connection that is broken off on purpose is an error here.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

/// What a service of S3 answers.
pub(crate) async fn s3(service: &S3Service, question: Question) -> Result<Answer, Error> {
    let answer = service.call(question.map(s3s::Body::http_body_unsync)).await.map_err(Error::other)?;
    Ok(answer.map(|body| body.map_err(Error::other).boxed_unsync()))
}

/// An answer of one's own.
pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(whole(body.into()));
    *answer.status_mut() = status.try_into().unwrap();
    answer
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync()
}
