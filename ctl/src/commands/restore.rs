//! `restore`: a job in the daemon for a directory, or an archive that is written here.

use cloudstic_proto::v1::{self, ArchiveSpec, JobSpec, RestoreSpec, job_spec::Operation};

use super::{archive, path};
use crate::cli::{self, Global};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Restore) -> Result<Exit, Error> {
    let cli::Restore { repository, snapshot, dry_run, .. } = args;
    let lock_wait = args.lock_wait.wait();
    let paths = path::bytes(args.path.into_iter().chain(args.paths));
    match (args.to, args.zip) {
        (Some(target), _) => {
            let overwrite = match args.overwrite {
                cli::Overwrite::Never => v1::Overwrite::Never,
                cli::Overwrite::IfChanged => v1::Overwrite::IfChanged,
                cli::Overwrite::Always => v1::Overwrite::Always,
            };
            let target = path::absolute(&target)?;
            let spec =
                RestoreSpec { repository, snapshot, paths, target, overwrite: overwrite.into(), dry_run, lock_wait };
            wait::submit(global, out, JobSpec { operation: Some(Operation::Restore(spec)) }, args.waiting.wait()).await
        }
        (None, Some(_)) if !args.waiting.wait() => {
            Err(Error::Arguments("--no-wait does not go with --zip: the archive comes to this process".to_owned()))
        }
        (None, Some(file)) => {
            let spec = ArchiveSpec { repository, snapshot, paths, dry_run, lock_wait };
            archive::run(global, out, spec, &file, args.force).await
        }
        (None, None) => Err(Error::Arguments("say where to: --to DIR or --zip FILE".to_owned())),
    }
}
