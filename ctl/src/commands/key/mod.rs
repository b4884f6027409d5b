//! `key`: what opens a repository.
//!
//! Secrets come from a terminal or a file, never from the command line, which other users of this host can see; and recovery
//! words go to a terminal only.

mod secret;

use cloudstic_proto::v1::change_keys_request::Change;
use cloudstic_proto::v1::{
    AddPassword, AddPlatformKey, AddRecoveryKey, ChangeKeysRequest, ChangeKeysResponse, KeySlot, ListKeysRequest,
    RemoveKey, SetPassword,
};

use super::lock::or_nothing;
use super::recovery::{self, Reader};
use crate::cli::{self, Changing, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::table::{Align, Table};
use crate::output::{Output, escape, json};

const NO_ROTATION: &str = "the master key of a repository cannot be changed: everything in it is encrypted and named \
                           with it. Make a new repository with `cloudsticctl init`, copy the snapshots into it with \
                           `cloudsticctl copy`, see that they are there, and delete the old one";

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Key) -> Result<Exit, Error> {
    match args {
        cli::Key::List(args) => list(global, out, args).await,
        cli::Key::Passwd(args) => passwd(global, out, args).await,
        cli::Key::AddRecovery(args) => add_recovery(global, out, args).await,
        cli::Key::AddPlatform(args) => add_platform(global, out, args).await,
        cli::Key::Remove(args) => remove(global, out, args).await,
        cli::Key::RotateMaster(_) => Err(Error::Arguments(NO_ROTATION.to_owned())),
    }
}

async fn list(global: &Global, out: &mut Output, args: cli::KeyList) -> Result<Exit, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let request = ListKeysRequest { repository: args.repository.clone() };
    let listed = daemon.keys().list(request).await?.into_inner();
    if out.json {
        out.document(&json::Keys::new(&args.repository, &listed))?;
    } else if listed.encrypted {
        out.text(table(&listed.slots))?;
    } else if !out.quiet {
        out.text(format_args!("repository {} is not encrypted: it has no keys\n", escape::text(&args.repository)))?;
    }
    Ok(Exit::Success)
}

fn table(slots: &[KeySlot]) -> Table<5> {
    let columns = ["SLOT", "TYPE", "LABEL", "KEY DERIVATION", "STATE"];
    let mut table = Table::new(columns.map(|column| (column, Align::Left)));
    for slot in slots {
        let kdf = slot.kdf.as_ref().map_or_else(String::new, |kdf| {
            format!("{}, {} passes, {} MiB, {} lanes", kdf.algorithm, kdf.time, kdf.memory / 1024, kdf.threads)
        });
        let state = match (slot.problem.as_str(), slot.in_use) {
            ("", true) => "the daemon uses it".to_owned(),
            ("", false) => String::new(),
            (problem, _) => format!("opens nothing: {problem}"),
        };
        table.row([
            slot.name.clone(),
            or_nothing(&slot.r#type),
            or_nothing(&slot.label),
            or_nothing(&kdf),
            or_nothing(&state),
        ]);
    }
    table
}

async fn passwd(global: &Global, out: &mut Output, args: cli::KeyPasswd) -> Result<Exit, Error> {
    let password = secret::new_password(args.new_password_file.as_deref())?;
    let (label, password) = (args.label.unwrap_or_default(), Some(password.as_str().into()));
    let change = match args.add {
        true => Change::AddPassword(AddPassword { label, password }),
        false => Change::SetPassword(SetPassword { label, password }),
    };
    let done = submit(global, &args.repository, change, args.change).await?;
    tell(out, &args.repository, &done, args.change.dry_run, None)
}

async fn add_recovery(global: &Global, out: &mut Output, args: cli::KeyAddRecovery) -> Result<Exit, Error> {
    let dry_run = args.change.dry_run;
    let reader = if dry_run { None } else { Some(Reader::find(out)?) };
    let change = Change::AddRecoveryKey(AddRecoveryKey { label: args.label.unwrap_or_default() });
    let daemon = Daemon::connect(&global.socket).await?;
    let making = submit_to(&daemon, &args.repository, change, args.change);
    let Some(mut reader) = reader else { return tell(out, &args.repository, &making.await?, dry_run, None) };
    let mut done = reader.wait(out, making).await?;
    let words = recovery::text(done.recovery_words.take());
    reader.show(&daemon, &args.repository, &done.slot, &words).await?;
    tell(out, &args.repository, &done, dry_run, None)
}

async fn add_platform(global: &Global, out: &mut Output, args: cli::KeyAddPlatform) -> Result<Exit, Error> {
    let file = args.generate.as_deref().filter(|_| !args.change.dry_run);
    let key = match (&args.generate, &args.key_file) {
        (Some(_), _) => secret::random_key()?,
        (None, Some(file)) => secret::from_file(file)?,
        (None, None) => secret::ask("Platform key (64 hex digits): ")?,
    };
    if let Some(file) = file {
        // Before it is used: a key that opens the repository and is nowhere would be of no use.
        secret::write_new(file, &key)?;
    }
    let key = Some(key.as_str().into());
    let change = Change::AddPlatformKey(AddPlatformKey { label: args.label.unwrap_or_default(), key });
    let done = submit(global, &args.repository, change, args.change).await;
    if let (Err(Error::Api { .. }), Some(file)) = (&done, file) {
        // The daemon says that it opens nothing.
        let _ = std::fs::remove_file(file);
    }
    tell(out, &args.repository, &done?, args.change.dry_run, file)
}

async fn remove(global: &Global, out: &mut Output, args: cli::KeyRemove) -> Result<Exit, Error> {
    let change = Change::Remove(RemoveKey { slot: args.slot, force: args.force });
    let done = submit(global, &args.repository, change, args.change).await?;
    let configured_opens = done.configured_opens;
    let exit = out.last(Exit::Success, |out| {
        if out.json {
            out.document(&json::ChangedKey::new(&args.repository, &done, None, args.change.dry_run))
        } else if out.quiet {
            Ok(())
        } else {
            let would = if args.change.dry_run { "dry run: would remove" } else { "removed" };
            out.text(format_args!("{would} key slot {}\n", escape::text(&done.slot)))
        }
    })?;
    warn(out, &args.repository, configured_opens, args.change.dry_run);
    Ok(exit)
}

async fn submit(global: &Global, repository: &str, change: Change, how: Changing) -> Result<ChangeKeysResponse, Error> {
    submit_to(&Daemon::connect(&global.socket).await?, repository, change, how).await
}

async fn submit_to(
    daemon: &Daemon,
    repository: &str,
    change: Change,
    Changing { dry_run, lock_wait }: Changing,
) -> Result<ChangeKeysResponse, Error> {
    let (repository, lock_wait) = (repository.to_owned(), lock_wait.wait());
    let request = ChangeKeysRequest { repository, change: Some(change), dry_run, lock_wait };
    Ok(daemon.keys().change(request).await?.into_inner())
}

/// What a slot that is there now means for whoever made it.
fn tell(
    out: &mut Output,
    repository: &str,
    done: &ChangeKeysResponse,
    dry_run: bool,
    file: Option<&std::path::Path>,
) -> Result<Exit, Error> {
    if out.json {
        out.document(&json::ChangedKey::new(repository, done, file, dry_run))?;
    } else if !out.quiet {
        out.text(escape::text(&text(done, dry_run, file)).into_owned() + "\n")?;
    }
    warn(out, repository, done.configured_opens, dry_run);
    Ok(Exit::Success)
}

fn text(done: &ChangeKeysResponse, dry_run: bool, file: Option<&std::path::Path>) -> String {
    let slot = &done.slot;
    let told = match (dry_run, done.replaced) {
        (true, true) => format!("dry run: would change key slot {slot}"),
        (true, false) => format!("dry run: would add key slot {slot}"),
        (false, true) => format!("key slot {slot} was changed: what opened it before opens nothing any more"),
        (false, false) => format!("key slot {slot} was added"),
    };
    match file {
        Some(file) => format!("{told}; its key is in {}: keep a copy elsewhere", file.display()),
        None => told,
    }
}

fn warn(out: &Output, repository: &str, configured_opens: bool, dry_run: bool) {
    if !configured_opens {
        let (then, now) = if dry_run { ("would open", "would go on") } else { ("opens", "goes on") };
        out.note(format_args!(
            "warning: no credential of the daemon's configuration {then} {repository} any more: the daemon {now} with \
             what it has open, but cannot open it again; put the new credential where [repositories.{repository}] says"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_slot_is_said_to_open_nothing() {
        let damaged =
            KeySlot { name: "password-x".into(), problem: "it has no kdf_params".into(), ..KeySlot::default() };
        let shown = table(&[damaged]).to_string();
        assert!(
            shown.contains("password-x  -     -      -               opens nothing: it has no kdf_params"),
            "{shown}"
        );
    }
}
