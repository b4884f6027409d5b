//! `list`: the snapshots of a repository.

use cloudstic_proto::v1::{ListRepositoriesRequest, ListSnapshotsRequest, Snapshot, Source};

use super::filter::snapshot_filter;
use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::table::{Align, Table};
use crate::output::{Output, human, json};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::List) -> Result<Exit, Error> {
    let filter = snapshot_filter(args.filter)?;
    let daemon = Daemon::connect(&global.socket).await?;
    let repository = match args.repository {
        Some(repository) => repository,
        None => only_one(&daemon).await?,
    };
    let request = ListSnapshotsRequest { repository: repository.clone(), filter };
    let list = daemon.repositories().list_snapshots(request).await?.into_inner();
    let exit = if list.warning_count == 0 { Exit::Success } else { Exit::Partial };
    out.warnings(&list.warnings);
    if exit == Exit::Partial {
        let unreadable = human::count(list.warning_count, "snapshot", "snapshots");
        out.note(format_args!("PARTIAL: {unreadable} cannot be read and are left out, see above"));
    }
    out.last(exit, |out| {
        if out.json {
            return out.document(&json::Snapshots::new(&repository, &list));
        }
        if !list.snapshots.is_empty() {
            out.text(table(&list.snapshots))?;
        }
        if out.quiet {
            return Ok(());
        }
        out.text(format_args!("{}\n", human::count(list.snapshots.len() as u64, "snapshot", "snapshots")))
    })
}

async fn only_one(daemon: &Daemon) -> Result<String, Error> {
    let list = daemon.repositories().list(ListRepositoriesRequest {}).await?.into_inner();
    let mut names: Vec<_> = list.repositories.into_iter().map(|repository| repository.name).collect();
    match names.len() {
        1 => Ok(names.remove(0)),
        0 => Err(Error::Arguments("no repository is configured: add one to the daemon's configuration".to_owned())),
        _ => Err(Error::Arguments(format!("say which repository: {}", names.join(", ")))),
    }
}

fn table(snapshots: &[Snapshot]) -> Table<7> {
    let mut table = Table::new([
        ("SEQ", Align::Right),
        ("CREATED", Align::Left),
        ("SNAPSHOT", Align::Left),
        ("SOURCE", Align::Left),
        ("ACCOUNT", Align::Left),
        ("PATH", Align::Left),
        ("TAGS", Align::Left),
    ]);
    let unknown = Source::default();
    for snapshot in snapshots {
        let source = snapshot.source.as_ref().unwrap_or(&unknown);
        table.row([
            snapshot.seq.to_string(),
            human::time(snapshot.created.as_ref()),
            human::short_hash(&snapshot.r#ref).to_owned(),
            source.r#type.clone(),
            source.account.clone(),
            source.path.clone(),
            snapshot.tags.join(", "),
        ]);
    }
    table
}
