//! How long a service may be silent about what was sent to it.
//!
//! A body that does not move on is given up by the SDK. Of one that was sent whole nothing takes notice any more, and the
//! layer above waits as long as its bytes would need on a slow line: for 8 MiB more than half an hour. So from then on
//! there is a limit of its own. "Sent" is what a buffer has taken, so the limit allows for what these hold: as much time
//! as the sending took, for that is how fast the line is, and some for what went into empty buffers at once.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Bytes that are handed on at once, so that it is seen how far the sending is.
const PIECE: usize = 16 << 10;

/// Bytes that the buffers of a new connection take at once.
const BUFFERED: u64 = 256 << 10;

/// Bytes per second that a slow line moves at least.
const SLOWEST: u64 = 4 << 10;

/// An HTTP client that gives up a write when nothing is heard of it for too long.
#[derive(Debug)]
pub(crate) struct Patient {
    inner: SharedHttpClient,
    stall: Duration,
}

impl Patient {
    /// `stall` is how long the service may think.
    pub(crate) fn new(inner: SharedHttpClient, stall: Duration) -> Self {
        Self { inner, stall }
    }
}

impl HttpClient for Patient {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(PatientConnector { inner, stall: self.stall })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, config)
    }

    fn validate_final_config(&self, components: &RuntimeComponents, config: &ConfigBag) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

#[derive(Debug)]
struct PatientConnector {
    inner: SharedHttpConnector,
    stall: Duration,
}

impl HttpConnector for PatientConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        // Others have no body to speak of, and those who send them limits of their own.
        if request.method() != "PUT" {
            return self.inner.call(request);
        }
        let (sender, sent) = oneshot::channel();
        let (rest, started) = (request.take_body(), Instant::now());
        let mut body = Sending { rest, piece: Bytes::new(), started, whole: Some(sender) };
        if Body::is_end_stream(&body) {
            // Nobody asks for the first piece of nothing.
            body.note_end();
        }
        let length = body.size_hint().exact().unwrap_or(BUFFERED);
        *request.body_mut() = SdkBody::from_body_1_x(body);
        let (calling, stall) = (self.inner.call(request), self.stall);
        HttpConnectorFuture::new(async move {
            tokio::select! {
                answer = calling => answer,
                limit = silence(sent, stall, length) => {
                    let late = format!("it was sent, and not answered within {} seconds", limit.as_secs());
                    Err(ConnectorError::timeout(late.into()))
                }
            }
        })
    }
}

/// Ends when all was sent and there should have been an answer since.
async fn silence(sent: oneshot::Receiver<Duration>, stall: Duration, length: u64) -> Duration {
    let Ok(took) = sent.await else { return std::future::pending().await };
    let limit = stall + took + Duration::from_secs(length.min(BUFFERED) / SLOWEST);
    tokio::time::sleep(limit).await;
    limit
}

/// A body that tells when the last of it was taken, and how long that took.
#[derive(Debug)]
struct Sending {
    rest: SdkBody,
    /// What of it comes next.
    piece: Bytes,
    started: Instant,
    whole: Option<oneshot::Sender<Duration>>,
}

impl Sending {
    fn note_end(&mut self) {
        if let Some(whole) = self.whole.take() {
            // Whoever would want to know is gone if this fails.
            let _ = whole.send(self.started.elapsed());
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = aws_smithy_types::body::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.piece.is_empty() {
            let frame = match ready!(Pin::new(&mut self.rest).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => {
                    self.note_end();
                    return Poll::Ready(other);
                }
            };
            match frame.into_data() {
                Ok(data) => self.piece = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let length = PIECE.min(self.piece.len());
        let piece = self.piece.split_to(length);
        if Body::is_end_stream(&*self) {
            self.note_end();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && Body::is_end_stream(&self.rest)
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, piece) = (Body::size_hint(&self.rest), self.piece.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + piece);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + piece);
        }
        hint
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

    /// A line that takes a piece whenever so much time has passed, and a service that answers so long after the last one.
    #[derive(Debug, Clone, Copy)]
    struct Line {
        step: Duration,
        answers: Option<Duration>,
    }

    impl HttpConnector for Line {
        fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
            let Self { step, answers } = *self;
            HttpConnectorFuture::new(async move {
                let mut body = request.take_body();
                while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                    assert!(frame.unwrap().into_data().unwrap().len() <= PIECE);
                    tokio::time::sleep(step).await;
                }
                match answers {
                    Some(time) => tokio::time::sleep(time).await,
                    None => std::future::pending().await,
                }
                Ok(HttpResponse::new(200.try_into().unwrap(), SdkBody::empty()))
            })
        }
    }

    const STALL: Duration = Duration::from_secs(60);

    /// Whether it is answered, and after how many seconds.
    async fn send(method: &str, length: usize, line: Line) -> (bool, u64) {
        let connector = PatientConnector { inner: SharedHttpConnector::new(line), stall: STALL };
        let mut request = HttpRequest::new(SdkBody::from(vec![7; length]));
        request.set_method(method).unwrap();
        let began = Instant::now();
        let answer = connector.call(request).await;
        (answer.is_ok(), began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_slowly_is_waited_for() {
        // 2 KiB/s, for more than an hour; and an answer that takes its time.
        let line = Line { step: Duration::from_secs(8), answers: Some(STALL - Duration::from_secs(1)) };
        assert_eq!(send("PUT", 8 << 20, line).await, (true, 8 * 512 + 59));
        assert_eq!(send("PUT", 0, line).await, (true, 59));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_and_is_not_answered_is_given_up_soon() {
        let line = Line { step: Duration::ZERO, answers: None };
        assert_eq!(send("PUT", 8 << 20, line).await, (false, 60 + 64));
        assert_eq!(send("PUT", 1000, line).await, (false, 60));
        assert_eq!(send("PUT", 0, line).await, (false, 60));
        let slow = Line { step: Duration::from_secs(1), ..line };
        let (is_answered, seconds) = send("PUT", 8 << 20, slow).await;
        assert!(!is_answered && (2 * 511 + 124..2 * 513 + 124).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_none_of_its_business() {
        let line = Line { step: Duration::ZERO, answers: Some(100 * STALL) };
        assert_eq!(send("POST", 1000, line).await, (true, 6000));
    }
}
