//! What can go wrong between a client and a service.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::Frame;
use tokio::sync::Notify;

use super::{Answer, Error, answer};

/// What happens to one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The connection breaks before anything is done.
    Reset,
    /// It is done, and the connection breaks.
    AnswerLost,
    /// It is done, one is told so, and no answer ever comes.
    Silence(Arc<Notify>),
    /// Half of the answer's body comes.
    CutOff,
    /// Another answer: a status, what S3 calls it, and `Retry-After`.
    Refused(u16, &'static str, Option<&'static str>),
}

/// What is going to happen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    next: Mutex<VecDeque<(Method, &'static str, Fault)>>,
    again: Mutex<Option<Again>>,
}

/// Faults one after the other, over and over.
#[derive(Debug)]
struct Again {
    /// One for so many requests.
    every: usize,
    faults: Vec<Fault>,
    requests: usize,
}

impl Faults {
    /// This happens to the next request of this method with this text in its target.
    pub(crate) fn add(&self, method: Method, part: &'static str, fault: Fault) {
        self.next.lock().unwrap().push_back((method, part, fault));
    }

    /// From now on, one of so many requests meets the next of these, and after the last one the first again.
    pub(crate) fn again(&self, every: usize, faults: Vec<Fault>) {
        *self.again.lock().unwrap() = Some(Again { every, faults, requests: 0 });
    }

    /// Nothing happens any more. Gives how many requests there were since [`Faults::again`].
    pub(crate) fn stop(&self) -> usize {
        self.again.lock().unwrap().take().map_or(0, |again| again.requests)
    }

    pub(super) fn next(&self, method: &Method, target: &str) -> Option<Fault> {
        let mut faults = self.next.lock().unwrap();
        if let Some(at) = faults.iter().position(|(of, part, _)| of == method && target.contains(part)) {
            return faults.remove(at).map(|(_, _, fault)| fault);
        }
        let mut again = self.again.lock().unwrap();
        let Again { every, faults, requests } = again.as_mut()?;
        *requests += 1;
        requests.is_multiple_of(*every).then(|| faults[*requests / *every % faults.len()].clone())
    }
}

pub(super) async fn befall(
    fault: Option<Fault>,
    doing: impl Future<Output = Result<Answer, Error>>,
) -> Result<Answer, Error> {
    match fault {
        None => doing.await,
        Some(Fault::Reset) => Err(Error::other("broken off")),
        Some(Fault::AnswerLost) => {
            collect(doing.await?).await?;
            Err(Error::other("broken off"))
        }
        Some(Fault::Silence(done)) => {
            collect(doing.await?).await?;
            done.notify_one();
            std::future::pending().await
        }
        Some(Fault::CutOff) => {
            let (mut head, body) = collect(doing.await?).await?;
            let half = body.slice(..body.len() / 2);
            head.headers.insert("content-length", body.len().into());
            let pieces = stream::iter([Ok(Frame::data(half)), Err(Error::other("broken off"))]);
            Ok(Answer::from_parts(head, StreamBody::new(pieces).boxed_unsync()))
        }
        Some(Fault::Refused(status, code, after)) => {
            let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on demand</Message></Error>");
            let mut answer = answer(status, body);
            if let Some(after) = after {
                answer.headers_mut().insert("retry-after", after.parse().unwrap());
            }
            Ok(answer)
        }
    }
}

async fn collect(answer: Answer) -> Result<(hyper::http::response::Parts, Bytes), Error> {
    let (head, body) = answer.into_parts();
    Ok((head, body.collect().await?.to_bytes()))
}
