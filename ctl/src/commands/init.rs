//! `init`: makes a repository.
//!
//! The recovery words exist once: they go to the terminal or into the JSON document, and nowhere else. So without a
//! place for them nothing is made, and if they cannot be written the command fails loudly.

use std::io::IsTerminal;

use cloudstic_proto::v1::{InitRequest, InitResponse};

use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, escape, json};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Init) -> Result<Exit, Error> {
    if args.recovery && !out.json && !std::io::stdout().is_terminal() {
        return Err(Error::Arguments(
            "the recovery words are shown once, on a terminal: run this on one, or take them from --json".to_owned(),
        ));
    }
    let daemon = Daemon::connect(&global.socket).await?;
    let request = InitRequest {
        repository: args.repository.clone(),
        unencrypted: args.unencrypted,
        recovery: args.recovery,
        keyed_chunker: args.keyed_chunker,
    };
    let made = daemon.repositories().init(request).await?.into_inner();
    let written = if out.json {
        out.document(&json::Init::new(&args.repository, &made))
    } else if out.quiet {
        out.text(words(&made.recovery_words))
    } else {
        out.text(text(&args.repository, &made) + &words(&made.recovery_words))
    };
    match written.and_then(|()| out.flush()) {
        Err(_) if !made.recovery_words.is_empty() => Err(Error::Api {
            reason: "WRITE_FAILED".to_owned(),
            message: "the repository was made, but its recovery words could not be shown and are lost: \
                      delete it while it is empty, and make it again"
                .to_owned(),
        }),
        result => result.map(|()| Exit::Success),
    }
}

fn text(repository: &str, made: &InitResponse) -> String {
    let mut text = format!("repository {repository} is ready");
    if made.encrypted {
        text += &format!(", encrypted; key slots: {}", made.slots.join(", "));
    } else {
        text += ", NOT encrypted: whoever can read its store can read everything in it";
    }
    escape::text(&text).into_owned() + "\n"
}

/// Recovery words for the only time that they are shown; nothing if there are none.
pub(super) fn words(words: &str) -> String {
    if words.is_empty() {
        return String::new();
    }
    let mut text = "\nRecovery words. They open the repository when every other credential is lost:\n\n".to_owned();
    let words: Vec<_> = words.split_whitespace().collect();
    for (row, line) in words.chunks(6).enumerate() {
        let cells = line.iter().enumerate().map(|(column, word)| format!("{:>2}. {word:<9}", row * 6 + column + 1));
        text += &format!("    {}\n", cells.collect::<Vec<_>>().join(" ").trim_end());
    }
    text += "\nWrite them down on paper now, in this order, and keep the paper away from this machine. They are\n\
             stored nowhere and will not be shown again. Whoever has them can read the repository.\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_numbered_and_come_with_advice() {
        let text = words(&(1..=24).map(|n| format!("word{n}")).collect::<Vec<_>>().join(" "));
        assert!(text.contains(" 1. word1"), "{text}");
        assert!(text.contains("24. word24\n"), "{text}");
        assert!(text.contains("will not be shown again"), "{text}");
        assert_eq!(words(""), "");
    }
}
