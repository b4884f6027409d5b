//! `init`: makes a repository.

use cloudstic_proto::v1::{InitRequest, InitResponse};

use super::recovery::{self, Reader};
use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::{Output, escape, json};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Init) -> Result<Exit, Error> {
    let reader = if args.recovery { Some(Reader::find(out)?) } else { None };
    let daemon = Daemon::connect(&global.socket).await?;
    let request = InitRequest {
        repository: args.repository.clone(),
        unencrypted: args.unencrypted,
        recovery: args.recovery,
        keyed_chunker: args.keyed_chunker,
    };
    let mut repositories = daemon.repositories();
    let making = async { Ok(repositories.init(request).await?.into_inner()) };
    let Some(mut reader) = reader else { return tell(out, &args.repository, &making.await?) };
    let mut made = reader.wait(out, making).await?;
    let words = recovery::text(made.recovery_words.take());
    let slot = made.slots.iter().find(|slot| slot.starts_with("recovery-")).map_or("recovery-default", String::as_str);
    reader.show(&daemon, &args.repository, slot, &words).await?;
    tell(out, &args.repository, &made)
}

fn tell(out: &mut Output, repository: &str, made: &InitResponse) -> Result<Exit, Error> {
    if out.json {
        out.document(&json::Init::new(repository, made))?;
    } else if !out.quiet {
        out.text(text(repository, made))?;
    }
    Ok(Exit::Success)
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
