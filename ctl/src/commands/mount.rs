//! `mount`.

use std::io::Write;
use std::path::Path;

use cloudstic_proto::v1::{ListEntriesRequest, ListSnapshotsRequest};

use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::{self, Error};
use crate::exit::Exit;
use crate::mount::session::{Mount, Repository, Say, What, serve};
use crate::output::{Output, human, json};
use crate::signals::Interrupts;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Mount) -> Result<Exit, Error> {
    let dir = empty(&args.dir)?;
    let daemon = Daemon::connect(&global.socket).await?;
    // Asked here, so that a wrong name or credential is this command's error.
    let (root, what) = match &args.snapshot {
        Some(snapshot) => one(&daemon, &args.repository, snapshot).await?,
        None => all(&daemon, &args.repository).await?,
    };
    let interrupts = Interrupts::listen()?;
    let json = out.json;
    let say: Say = Box::new(move |line| {
        // There is nobody left to tell if standard error cannot be written.
        let _ = writeln!(std::io::stderr().lock(), "{}", error::line("READ_FAILED", line, json));
    });
    let mounted = || {
        if out.json {
            out.document(&json::Mounted::new(&args.repository, &dir))?;
        } else if !out.quiet {
            let end = "end it with Ctrl-C, or with `fusermount3 -u`";
            out.text(format_args!("{what} of {} at {}: {end}\n", args.repository, dir.display()))?;
        }
        out.flush()
    };
    let remote = Repository::new(global.socket.clone(), args.repository.clone(), daemon);
    let mount = Mount { dir: dir.clone(), name: args.repository.clone(), allow_other: args.allow_other };
    serve(remote, root, say, mount, interrupts, mounted).await?;
    Ok(Exit::Success)
}

/// The directory, if nothing would disappear under the mount.
fn empty(dir: &Path) -> Result<std::path::PathBuf, Error> {
    let unusable = |why: std::io::Error| Error::Arguments(format!("cannot mount at {}: {why}", dir.display()));
    let dir = dir.canonicalize().map_err(unusable)?;
    if dir.read_dir().map_err(unusable)?.next().is_some() {
        return Err(Error::Arguments(format!("{} is not empty: give an empty directory to mount at", dir.display())));
    }
    Ok(dir)
}

async fn all(daemon: &Daemon, repository: &str) -> Result<(What, String), Error> {
    let request = ListSnapshotsRequest { repository: repository.to_owned(), ..ListSnapshotsRequest::default() };
    let list = daemon.repositories().list_snapshots(request).await?.into_inner();
    Ok((What::Top, human::count(list.snapshots.len() as u64, "snapshot", "snapshots")))
}

/// The snapshot that is meant now: "latest" may be another one later.
async fn one(daemon: &Daemon, repository: &str, snapshot: &str) -> Result<(What, String), Error> {
    let request = ListEntriesRequest {
        repository: repository.to_owned(),
        snapshot: snapshot.to_owned(),
        paths: Vec::new(),
        shallow: true,
    };
    let mut listing = daemon.repositories().list_entries(request).await?.into_inner();
    let first = listing.message().await?.and_then(|message| message.snapshot);
    let snapshot = first.ok_or_else(|| Error::ConnectionLost("the snapshot was not named".to_owned()))?;
    let hash = snapshot.r#ref.strip_prefix("snapshot/").unwrap_or(&snapshot.r#ref);
    let created = human::utc(snapshot.created.as_ref()).map(Into::into);
    Ok((What::Snapshot(hash.into(), created), format!("snapshot {}", human::short_hash(&snapshot.r#ref))))
}
