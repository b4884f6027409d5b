//! Checks of sound repositories, of the CLI's and our own; and of damaged ones, which are then repaired.

mod cells;
mod judge;
mod kept;
mod known;
pub(crate) mod matrix;
mod sound;
mod told;
mod unsteady;

use std::sync::Arc;

use cloudstic_engine::check::{CheckError, CheckReport, CheckRequest, ReadData, check};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::repository::Repository;
use tokio_util::sync::CancellationToken;

use told::{Listener, Told};

/// Checks all of a repository, or one snapshot.
pub(crate) async fn run(
    repository: &Arc<Repository>,
    snapshot: Option<&str>,
    data: ReadData,
) -> Result<CheckReport, CheckError> {
    Ok(run_told(repository, snapshot, data).await?.0)
}

/// The same with what it told, which agrees with its report.
async fn run_told(
    repository: &Arc<Repository>,
    snapshot: Option<&str>,
    data: ReadData,
) -> Result<(CheckReport, Told), CheckError> {
    let request = CheckRequest { snapshot: snapshot.map(str::to_owned), data, lease: LeaseWatch::not_needed() };
    let listener = Arc::new(Listener::default());
    let report = check(Arc::clone(repository), request, listener.clone(), CancellationToken::new()).await?;
    let told = listener.told();
    told.assert_agrees(&report);
    Ok((report, told))
}
