//! The service `Keys`.

use std::sync::Arc;

use cloudstic_proto::v1::{self, keys_server::Keys};
use tonic::{Request, Response, Status};

use super::{Services, admit, guard};
use crate::failure::Failure;

pub(super) struct KeysService(pub(super) Arc<Services>);

#[tonic::async_trait]
impl Keys for KeysService {
    async fn list(&self, request: Request<v1::ListKeysRequest>) -> Result<Response<v1::ListKeysResponse>, Status> {
        admit::keys(&guard::caller(&request)?, &self.0.access)?;
        Ok(Response::new(self.0.queries.keys(&request.into_inner().repository).await?))
    }

    async fn change(
        &self,
        request: Request<v1::ChangeKeysRequest>,
    ) -> Result<Response<v1::ChangeKeysResponse>, Status> {
        let caller = guard::caller(&request)?;
        admit::keys(&caller, &self.0.access)?;
        let request = request.into_inner();
        let Some(change) = request.change.as_ref().map(word) else {
            return Err(Failure::bad_request("say what to change").into());
        };
        let (repository, dry_run) = (request.repository.clone(), request.dry_run);
        // A job that starts now would only be refused the lock.
        let hold = if dry_run { None } else { Some(self.0.supervisor.hold(&repository).await?) };
        let done = self.0.queries.change_keys(request, hold).await;
        let (slot, problem) = match &done {
            Ok(done) => (done.slot.as_str(), None),
            Err(failure) => ("", Some(failure.message.as_str())),
        };
        tracing::info!(repository, change, slot, dry_run, uid = caller.uid, problem, "a caller changes keys");
        Ok(Response::new(done?))
    }
}

/// What is changed, for the log.
const fn word(change: &v1::change_keys_request::Change) -> &'static str {
    use v1::change_keys_request::Change;
    match change {
        Change::SetPassword(_) => "set password",
        Change::AddPassword(_) => "add password",
        Change::AddPlatformKey(_) => "add platform key",
        Change::AddRecoveryKey(_) => "add recovery key",
        Change::Remove(_) => "remove",
    }
}
