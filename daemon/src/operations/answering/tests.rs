#![allow(clippy::unwrap_used, clippy::panic)]

use cloudstic_proto::Reason;
use std::sync::atomic::AtomicUsize;
use tokio::sync::oneshot;

use super::*;

#[derive(Debug, PartialEq)]
enum Message {
    Progress(v1::QueryProgress),
    Part(usize),
}

impl Part for Message {
    fn progress(progress: v1::QueryProgress) -> Self {
        Self::Progress(progress)
    }
}

#[derive(Default)]
struct Bench {
    tasks: Tasks,
    stop: CancellationToken,
    progress: Arc<QueryProgress>,
    /// How many parts were made.
    made: Arc<AtomicUsize>,
}

impl Bench {
    /// An answer of so many parts.
    fn answer(
        &self,
        parts: usize,
        question: impl Future<Output = Result<(), Failure>> + Send + 'static,
    ) -> Answer<Message> {
        let made = Arc::clone(&self.made);
        let part = move |number| {
            made.fetch_add(1, Relaxed);
            Message::Part(number)
        };
        let parts = move |()| (0..parts).map(part);
        answer(&self.tasks, self.stop.child_token(), Arc::clone(&self.progress), question, parts)
    }
}

/// Everything that comes.
async fn all(answer: &mut Answer<Message>) -> Vec<Result<Message, Reason>> {
    let mut all = Vec::new();
    while let Some(part) = answer.parts.recv().await {
        all.push(part.map_err(|failure| failure.reason));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn news_come_before_the_answer_and_only_if_there_are_any() {
    let bench = Bench::default();
    let (answered, answers) = oneshot::channel();
    let mut answer = bench.answer(2, async { answers.await.map_err(|_| Failure::internal("no answer")) });
    bench.progress.phase(Phase::Listing);
    bench.progress.snapshot(1, 3);
    bench.progress.advance(7, 700);
    let Some(Ok(Message::Progress(first))) = answer.parts.recv().await else { panic!("no progress") };
    assert_eq!((first.phase.as_str(), first.objects_done, first.bytes_done), ("listing", 7, 700));
    assert_eq!((first.snapshot, first.snapshots), (1, 3));
    tokio::time::sleep(EVERY * 10).await;
    answered.send(()).unwrap();
    assert_eq!(all(&mut answer).await, [Ok(Message::Part(0)), Ok(Message::Part(1))]);
}

#[tokio::test(start_paused = true)]
async fn nobody_works_for_somebody_who_has_gone() {
    let bench = Bench::default();
    let (working, stopped) = oneshot::channel::<()>();
    let answer = bench.answer(1, async move {
        let _working = working;
        std::future::pending().await
    });
    tokio::task::yield_now().await;
    drop(answer);
    assert!(stopped.await.is_err(), "the question is dropped");
    bench.tasks.wait().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_makes_few_parts_wait() {
    let bench = Bench::default();
    let mut answer = bench.answer(1000, async { Ok(()) });
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(bench.made.load(Relaxed) <= PARTS_AHEAD + 1, "{:?}", bench.made);
    let all = all(&mut answer).await;
    assert!(all.len() == 1000 && all.iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_whole_ends_with_an_error() {
    let bench = Bench::default();
    let failing = bench.answer(1, async { Err(Failure::new(Reason::Damaged, "x")) });
    let panicking = bench.answer(1, async { std::panic::resume_unwind(Box::new("oh")) });
    for (mut answer, reason) in [(failing, Reason::Damaged), (panicking, Reason::Internal)] {
        assert_eq!(all(&mut answer).await, [Err(reason)]);
    }
    // The daemon stops while the question is worked on, or while the answer is sent.
    let mut asked = bench.answer(1, std::future::pending());
    let mut answered = bench.answer(1000, async { Ok(()) });
    let mut sent = in_parts(&bench.tasks, bench.stop.child_token(), (0..1000).map(Message::Part));
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.stop.cancel();
    assert_eq!(all(&mut asked).await, [Err(Reason::Cancelled)]);
    for answer in [&mut answered, &mut sent] {
        let all = all(answer).await;
        assert!(all.len() < 1000);
        assert_eq!(all.last(), Some(&Err(Reason::Cancelled)));
    }
    bench.tasks.wait().await;
}

#[test]
fn messages_are_bounded_by_their_number_and_by_their_bytes() {
    let warnings =
        |length: usize| (0..1200).map(move |_| v1::Warning { path: "p".repeat(length), problem: String::new() });
    let sizes = |length: usize| -> Vec<usize> { batches(warnings(length)).map(|batch| batch.len()).collect() };
    assert_eq!(sizes(1), [500, 500, 200]);
    assert!(sizes(100_000).iter().all(|size| *size == 3));
    assert_eq!(sizes(100_000).iter().sum::<usize>(), 1200);
}
