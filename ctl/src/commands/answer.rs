//! Answers that may take long: while the daemon is at it, how far it is; then the parts, one by one.

use cloudstic_proto::v1::{DiffPart, FindPart, QueryProgress};
use tonic::{Response, Status, Streaming};

use crate::cli::Global;
use crate::error::Error;
use crate::progress::Display;
use crate::signals::{self, Interrupts};

/// A message of such an answer.
pub(crate) trait Part {
    /// Set if it only tells how far the answer is.
    fn progress(&self) -> Option<&QueryProgress>;
}

impl Part for DiffPart {
    fn progress(&self) -> Option<&QueryProgress> {
        self.progress.as_ref()
    }
}

impl Part for FindPart {
    fn progress(&self) -> Option<&QueryProgress> {
        self.progress.as_ref()
    }
}

/// Takes the parts of an answer until it ends or somebody interrupts; then the connection goes, and with it the work.
pub(crate) async fn take<P: Part>(
    global: &Global,
    asked: impl Future<Output = Result<Response<Streaming<P>>, Status>>,
    mut take: impl FnMut(P) -> Result<(), Error>,
) -> Result<(), Error> {
    let interrupted = || Error::Interrupted("the answer is not complete".to_owned());
    let mut interrupts = Interrupts::listen()?;
    let mut display = Display::of_question(global);
    let first = tokio::select! {
        first = first(asked, &mut display) => first,
        () = interrupts.next() => Err(interrupted()),
    };
    // What is printed now would be drawn over.
    display.finish();
    let (mut next, mut parts) = first?;
    // Printing waits for whoever reads it, and this thread looks at nothing else meanwhile.
    signals::exit_from_now_on(interrupted(), global.json)?;
    while let Some(part) = next {
        take(part)?;
        next = parts.message().await?;
    }
    Ok(())
}

/// Waits for the first part that is more than progress; gives it with those behind it.
async fn first<P: Part>(
    asked: impl Future<Output = Result<Response<Streaming<P>>, Status>>,
    display: &mut Display,
) -> Result<(Option<P>, Streaming<P>), Error> {
    let mut parts = asked.await?.into_inner();
    loop {
        let part = parts.message().await?;
        match part.as_ref().and_then(Part::progress) {
            Some(progress) => display.answering(progress),
            None => return Ok((part, parts)),
        }
    }
}
