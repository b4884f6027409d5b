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
    let mut interrupts = Interrupts::listen()?;
    let mut display = Display::of_question(global);
    let taking = async {
        let mut parts = asked.await?.into_inner();
        let mut is_begun = false;
        while let Some(part) = parts.message().await? {
            match part.progress() {
                Some(progress) => display.answering(progress),
                None => {
                    // What is printed now would be drawn over.
                    display.finish();
                    if !std::mem::replace(&mut is_begun, true) {
                        signals::exit_from_now_on()?;
                    }
                    take(part)?;
                }
            }
        }
        Ok(())
    };
    let taken = tokio::select! {
        taken = taking => taken,
        () = interrupts.next() => Err(Error::Interrupted("the answer is not complete".to_owned())),
    };
    display.finish();
    taken
}
