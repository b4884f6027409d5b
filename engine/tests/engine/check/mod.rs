//! Checks of sound repositories, of the CLI's and our own; and of damaged ones, which are then repaired.

mod cells;
mod known;
mod matrix;
mod sound;

use std::sync::Arc;

use cloudstic_engine::check::{CheckError, CheckReport, CheckRequest, ReadData, check};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::Repository;
use tokio_util::sync::CancellationToken;

/// Checks all of a repository, or one snapshot.
pub(crate) async fn run(
    repository: &Arc<Repository>,
    snapshot: Option<&str>,
    data: ReadData,
) -> Result<CheckReport, CheckError> {
    let request = CheckRequest { snapshot: snapshot.map(str::to_owned), data, lease: LeaseWatch::not_needed() };
    check(Arc::clone(repository), request, Arc::new(Silent), CancellationToken::new()).await
}
