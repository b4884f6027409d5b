//! HTTP for machines that watch the daemon: `GET /metrics`. It says nothing secret and changes nothing, and it is served
//! only where the configuration says; by default nowhere.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::{CONTENT_TYPE, Metrics};
use crate::supervisor::TaskResult;

/// The address cannot be listened at.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}: {cause}; see [http] in the configuration")]
pub struct HttpError {
    address: SocketAddr,
    cause: std::io::Error,
}

/// Listens.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, HttpError> {
    TcpListener::bind(address).await.map_err(|cause| HttpError { address, cause })
}

/// Serves until `stop`.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, stop: CancellationToken) -> TaskResult {
    let routes = Router::new().route("/metrics", get(tell)).with_state(metrics);
    tokio::select! {
        served = axum::serve(listener, routes) => Ok(served?),
        () = stop.cancelled() => Ok(()),
    }
}

async fn tell(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be told");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
