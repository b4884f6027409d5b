//! Recovery words: the daemon makes them, and they are shown once, on the terminal and nowhere else.
//!
//! The one invariant: a key slot does not stay if nobody has seen its words; where it cannot be removed again, that is said.

mod terminal;

use std::future::{pending, ready};
use std::io;

use cloudstic_proto::v1::change_keys_request::Change;
use cloudstic_proto::v1::{ChangeKeysRequest, RemoveKey, Secret};
use zeroize::Zeroizing;

use crate::connect::Daemon;
use crate::error::Error;
use crate::output::Output;
use crate::signals::Leaving;
use terminal::Terminal;

/// The words in an answer.
pub(super) fn text(words: Option<Secret>) -> Zeroizing<String> {
    let bytes = words.map(|words| Zeroizing::new(words.bytes)).unwrap_or_default();
    Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whoever is to see the words. Found before anything is made: words that nobody sees would be of no use.
pub(super) struct Reader {
    terminal: Terminal,
    leaving: Leaving,
    has_left: bool,
}

impl Reader {
    /// Finds the terminal, and from now on notices when its user leaves.
    pub(super) fn find(out: &Output) -> Result<Self, Error> {
        Ok(Self { terminal: Terminal::find(out.json)?, leaving: Leaving::listen()?, has_left: false })
    }

    /// Waits for what the daemon makes, also when the user leaves: the slot has a name then, and can be removed. Who leaves
    /// once more does not wait: a slot that is added then the daemon removes again, as nobody takes its answer; that of a
    /// repository that is just being made stays, and opens nothing, as nobody knows its words.
    pub(super) async fn wait<T>(
        &mut self,
        out: &Output,
        made: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut made = std::pin::pin!(made);
        loop {
            tokio::select! {
                biased;
                made = &mut made => return made,
                () = self.leaving.next() => {}
            }
            if std::mem::replace(&mut self.has_left, true) {
                let message =
                    "no recovery words were shown: see `cloudsticctl key list` whether their key slot is gone";
                return Err(Error::Interrupted(message.to_owned()));
            }
            out.note("taking it back: waiting for the daemon's answer; interrupt again to leave at once");
        }
    }

    /// Shows the words of a slot. If they cannot be shown, or the user leaves before that, the slot is removed again.
    pub(super) async fn show(self, daemon: &Daemon, repository: &str, slot: &str, words: &str) -> Result<(), Error> {
        let Self { terminal, mut leaving, has_left } = self;
        let text = page(words);
        let shown = async {
            if has_left {
                return pending().await;
            }
            // A thread of its own, for a terminal that was stopped takes nothing and gives no error.
            let (told, shown) = tokio::sync::oneshot::channel();
            std::thread::spawn(move || told.send(terminal.show(&text)));
            shown.await.unwrap_or_else(|_| Err(io::Error::other("it was given up")))
        };
        let left = async { if has_left { ready(()).await } else { leaving.next().await } };
        let remove = async {
            let change = Change::Remove(RemoveKey { slot: slot.to_owned(), force: true });
            let (repository, change) = (repository.to_owned(), Some(change));
            let request = ChangeKeysRequest { repository, change, dry_run: false, lock_wait: None };
            daemon.keys().change(request).await.map(drop).map_err(Error::from)
        };
        deliver(shown, left, remove).await.map_err(|unseen| lost(repository, slot, unseen))
    }
}

/// The words were not seen.
#[derive(Debug)]
struct Unseen {
    /// Not because they could not be shown.
    has_left: bool,
    /// Whether their slot could be removed again.
    removed: Result<(), Error>,
}

async fn deliver(
    shown: impl Future<Output = io::Result<()>>,
    left: impl Future<Output = ()>,
    remove: impl Future<Output = Result<(), Error>>,
) -> Result<(), Unseen> {
    let has_left = tokio::select! {
        biased;
        shown = shown => match shown {
            Ok(()) => return Ok(()),
            Err(_) => false,
        },
        () = left => true,
    };
    Err(Unseen { has_left, removed: remove.await })
}

fn lost(repository: &str, slot: &str, Unseen { has_left, removed }: Unseen) -> Error {
    let why = if has_left { "were not shown" } else { "could not be shown" };
    match removed {
        Ok(()) if has_left => {
            Error::Interrupted(format!("the words of key slot {slot} {why}, so it was removed again"))
        }
        Ok(()) => unwritten(format!(
            "the words of key slot {slot} {why}, so it was removed again: make others with `cloudsticctl key add-recovery \
             {repository}`"
        )),
        Err(problem) => unwritten(format!(
            "the words of key slot {slot} {why} and are lost, and it could not be removed again ({problem}): it opens \
             nothing for anybody; remove it with `cloudsticctl key remove {repository} {slot}`"
        )),
    }
}

fn unwritten(message: String) -> Error {
    Error::Api { reason: "WRITE_FAILED".to_owned(), message }
}

/// The words with what to do with them.
fn page(words: &str) -> Zeroizing<String> {
    // All capacity at once: a growing text would leave copies of the words behind.
    let mut text = Zeroizing::new(String::with_capacity(4096));
    text.push_str("\nRecovery words. They open the repository when every other credential is lost:\n\n");
    let words: Vec<_> = words.split_whitespace().collect();
    for (row, line) in words.chunks(6).enumerate() {
        text.push_str("   ");
        for (column, word) in line.iter().enumerate() {
            let number = row * 6 + column + 1;
            text.push_str(&format!(" {number:>2}. "));
            text.push_str(word);
            let is_last = column + 1 == line.len();
            text.extend(std::iter::repeat_n(' ', if is_last { 0 } else { 9usize.saturating_sub(word.len()) }));
        }
        text.push('\n');
    }
    text.push_str(
        "\nWrite them down on paper now, in this order, and keep the paper away from this machine. They are\n\
         stored nowhere and will not be shown again. Whoever has them can read the repository.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;

    use super::*;

    #[test]
    fn words_are_numbered_and_come_with_advice() {
        let text = page(&(1..=24).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" "));
        assert!(text.contains("\n     1. word1      2. word2  "), "{}", *text);
        assert!(text.contains("24. word24\n") && text.contains(" 6. word6\n"), "{}", *text);
        assert!(text.contains("will not be shown again"), "{}", *text);
        assert!(text.capacity() == 4096, "it has grown");
    }

    #[tokio::test]
    async fn a_slot_goes_again_unless_its_words_were_seen() {
        let broken = || ready(Err(io::Error::other("hung up")));
        let removed = Cell::new(0);
        let remove = || async {
            removed.set(removed.get() + 1);
            Ok(())
        };
        deliver(ready(Ok(())), pending(), remove()).await.unwrap();
        // Whoever leaves when the words are there has seen them.
        deliver(ready(Ok(())), ready(()), remove()).await.unwrap();
        assert_eq!(removed.get(), 0);
        let unseen = deliver(broken(), pending(), remove()).await.unwrap_err();
        assert!(!unseen.has_left && unseen.removed.is_ok() && removed.get() == 1);
        let unseen = deliver(pending(), ready(()), remove()).await.unwrap_err();
        assert!(unseen.has_left && unseen.removed.is_ok() && removed.get() == 2);
    }

    #[test]
    fn a_slot_that_stays_without_words_is_named() {
        let problem = Error::Api { reason: "LOCKED".to_owned(), message: "a backup has the lock".to_owned() };
        let lost = |has_left, removed| lost("home", "recovery-default", Unseen { has_left, removed });
        let said = lost(true, Err(problem)).to_string();
        assert!(said.contains("`cloudsticctl key remove home recovery-default`"), "{said}");
        assert!(said.contains("(a backup has the lock)") && !said.contains("so it was removed"), "{said}");
        assert_eq!(lost(true, Ok(())).exit().code(), 130);
        assert_eq!(lost(false, Ok(())).exit().code(), 1);
        assert!(lost(false, Ok(())).to_string().contains("so it was removed again"));
    }
}
