//! Snapshots by what they are like: from the command line to the API.

use cloudstic_proto::v1;

use super::path;
use crate::cli;
use crate::error::Error;

/// What `--tag`, `--source`, `--account` and `--path` ask for; nothing, if none is given.
pub(super) fn snapshot_filter(filter: cli::SnapshotFilter) -> Result<Option<v1::SnapshotFilter>, Error> {
    tagged(filter.tag, filter.source)
}

/// The same where the option for tags has another name.
pub(super) fn tagged(tags: Vec<String>, source: cli::SourceFilter) -> Result<Option<v1::SnapshotFilter>, Error> {
    let cli::SourceFilter { source: sources, account: accounts, path } = source;
    let paths = path.into_iter().map(path::text).collect::<Result<_, _>>()?;
    let filter = v1::SnapshotFilter { tags, sources, accounts, paths };
    Ok(Some(filter).filter(|filter| *filter != v1::SnapshotFilter::default()))
}
