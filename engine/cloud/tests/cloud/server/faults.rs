//! What can go wrong between a client and a service.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::Frame;
use tokio::sync::Notify;

use super::{Answer, Body, Error, Question, answer, whole};

/// What happens to one request.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The connection breaks before anything is done.
    Reset,
    /// The connection breaks when half of what is sent has come; at once if nothing is sent.
    HalfSent,
    /// Nothing is done, and no byte ever comes.
    Stall,
    /// It is done, and the connection breaks.
    AnswerLost,
    /// It is done, one is told so, and no answer ever comes.
    Silence(Arc<Notify>),
    /// Half of the answer's body comes.
    CutOff,
    /// Half of the answer's body comes, and then nothing more.
    CutShort,
    /// Another answer: a status, what S3 calls it, and `Retry-After`.
    Refused(u16, &'static str, Option<&'static str>),
    /// It is done twice, and the second answer comes.
    Twice,
    /// So many bytes a second go, in both directions.
    Slow(u64),
}

/// What is going to happen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    next: Mutex<VecDeque<(Method, &'static str, Fault)>>,
    last_good: Mutex<Option<(Method, &'static str, Fault)>>,
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

    /// What was to happen to single requests does not.
    pub(crate) fn forget(&self) {
        self.next.lock().unwrap().clear();
    }

    /// From now on, one of so many requests meets the next of these, and after the last one the first again.
    pub(crate) fn again(&self, every: usize, faults: Vec<Fault>) {
        *self.again.lock().unwrap() = Some(Again { every, faults, requests: 0 });
    }

    /// From now on this happens to all of them.
    pub(crate) fn always(&self, fault: Fault) {
        self.again(1, vec![fault]);
    }

    /// The next request of this method with this text in its target passes, and then this happens to all of them.
    pub(crate) fn after(&self, method: Method, part: &'static str, fault: Fault) {
        *self.last_good.lock().unwrap() = Some((method, part, fault));
    }

    /// Nothing happens any more. Gives how many requests there were since it began.
    pub(crate) fn stop(&self) -> usize {
        self.again.lock().unwrap().take().map_or(0, |again| again.requests)
    }

    pub(super) fn next(&self, method: &Method, target: &str) -> Option<Fault> {
        let mut faults = self.next.lock().unwrap();
        if let Some(at) = faults.iter().position(|(of, part, _)| of == method && target.contains(part)) {
            return faults.remove(at).map(|(_, _, fault)| fault);
        }
        if let Some((.., fault)) =
            self.last_good.lock().unwrap().take_if(|(of, part, _)| of == method && target.contains(*part))
        {
            self.always(fault);
            return None;
        }
        let mut again = self.again.lock().unwrap();
        let Again { every, faults, requests } = again.as_mut()?;
        *requests += 1;
        requests.is_multiple_of(*every).then(|| faults[*requests / *every % faults.len()].clone())
    }
}

/// Asks a service, and lets this happen meanwhile.
pub(super) async fn befall<F>(
    fault: Option<Fault>,
    question: Question,
    ask: impl Fn(Question) -> F,
) -> Result<Answer, Error>
where
    F: Future<Output = Result<Answer, Error>>,
{
    match fault {
        None => ask(question).await,
        Some(Fault::Reset) => Err(broken()),
        Some(Fault::HalfSent) => {
            let (head, sent) = question.into_parts();
            let sent = sent.collect().await?.to_bytes();
            if !sent.is_empty() {
                let half = stream::iter([Ok(sent.slice(..sent.len() / 2)), Err(broken())]);
                let _ = ask(Question::from_parts(head, pieces(half))).await;
            }
            Err(broken())
        }
        // What was asked is kept: a request that is dropped would break off.
        Some(Fault::Stall) => {
            std::future::pending::<()>().await;
            ask(question).await
        }
        Some(Fault::AnswerLost) => {
            collect(ask(question).await?).await?;
            Err(broken())
        }
        Some(Fault::Silence(done)) => {
            collect(ask(question).await?).await?;
            done.notify_one();
            std::future::pending().await
        }
        Some(Fault::CutOff) => half(ask(question).await?, stream::iter([Err(broken())])).await,
        Some(Fault::CutShort) => half(ask(question).await?, stream::pending()).await,
        Some(Fault::Refused(status, code, after)) => {
            let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on demand</Message></Error>");
            let mut answer = answer(status, body);
            if let Some(after) = after {
                answer.headers_mut().insert("retry-after", after.parse().unwrap());
            }
            Ok(answer)
        }
        Some(Fault::Twice) => {
            let (head, sent) = question.into_parts();
            let sent = sent.collect().await?.to_bytes();
            let once = || ask(Question::from_parts(head.clone(), whole(sent.clone())));
            collect(once().await?).await?;
            once().await
        }
        Some(Fault::Slow(rate)) => Ok(ask(question.map(|sent| slow(sent, rate))).await?.map(|body| slow(body, rate))),
    }
}

fn broken() -> Error {
    Error::other("broken off")
}

/// Half of the answer's body, and what comes then; without a body, the connection breaks.
async fn half(
    answer: Answer,
    then: impl stream::Stream<Item = Result<Bytes, Error>> + Send + 'static,
) -> Result<Answer, Error> {
    let (mut head, body) = collect(answer).await?;
    if body.is_empty() {
        return Err(broken());
    }
    head.headers.insert("content-length", body.len().into());
    let half = stream::iter([Ok(body.slice(..body.len() / 2))]);
    Ok(Answer::from_parts(head, pieces(half.chain(then))))
}

/// The same bytes, a twentieth of a second's worth at a time.
fn slow(body: Body, rate: u64) -> Body {
    let piece = (rate / 20).max(1) as usize;
    let split = move |bytes: Bytes| {
        let starts = (0..bytes.len()).step_by(piece);
        let pieces: Vec<_> = starts.map(|at| bytes.slice(at..bytes.len().min(at + piece))).collect();
        stream::iter(pieces).then(|piece| async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok(piece)
        })
    };
    pieces(body.into_data_stream().map_ok(split).try_flatten())
}

fn pieces(bytes: impl stream::Stream<Item = Result<Bytes, Error>> + Send + 'static) -> Body {
    StreamBody::new(bytes.map_ok(Frame::data)).boxed_unsync()
}

async fn collect(answer: Answer) -> Result<(hyper::http::response::Parts, Bytes), Error> {
    let (head, body) = answer.into_parts();
    Ok((head, body.collect().await?.to_bytes()))
}
