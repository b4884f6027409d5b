//! `tag`: a job that writes snapshots anew, with other tags.

use cloudstic_proto::v1::{JobSpec, TagChange, TagSpec, job_spec::Operation};

use super::filter::tagged;
use crate::cli::{Global, Tag, TagArgs};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;
use crate::wait;

pub(crate) async fn run(global: &Global, out: &mut Output, args: Tag) -> Result<Exit, Error> {
    let (change, args) = match args {
        Tag::Add(args) => (TagChange::Add, args),
        Tag::Remove(args) => (TagChange::Remove, args),
        Tag::Set(args) => (TagChange::Set, args),
    };
    let waits = args.waiting.wait();
    let spec = JobSpec { operation: Some(Operation::Tag(spec(change, args)?)) };
    wait::submit(global, out, spec, waits).await
}

fn spec(change: TagChange, args: TagArgs) -> Result<TagSpec, Error> {
    Ok(TagSpec {
        repository: args.repository,
        snapshots: args.snapshots,
        filter: tagged(args.with_tag, args.filter)?,
        change: change.into(),
        tags: args.tag,
        dry_run: args.dry_run,
        lock_wait: args.lock_wait.wait(),
    })
}
