//! The door: finds out who calls, and lets in who is allowed.

use cloudstic_proto::Reason;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

use crate::access::{Access, Caller};
use crate::accounts::Accounts;
use crate::failure::Failure;

/// What the kernel says of whoever is at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Finds out who made a request.
pub type Identify = fn(&Request<()>) -> Option<Peer>;

/// By SO_PEERCRED.
pub fn by_socket(request: &Request<()>) -> Option<Peer> {
    let credentials = request.extensions().get::<UdsConnectInfo>()?.peer_cred?;
    Some(Peer { uid: credentials.uid(), gid: credentials.gid() })
}

/// An interceptor that refuses strangers, and leaves the [`Caller`] in the request for the services.
///
/// The groups are looked up for each call, so that a user who is taken out of a group is out.
#[allow(clippy::result_large_err, reason = "tonic wants it so")]
pub(super) fn guard(
    access: Access,
    identify: Identify,
) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone {
    move |mut request| {
        let Some(peer) = identify(&request) else {
            return Err(Failure::new(Reason::PermissionDenied, "the system does not say who calls").into());
        };
        let caller = Caller::new(peer.uid, peer.gid, &Accounts::read());
        if !access.allows(&caller) {
            tracing::warn!(uid = caller.uid, gid = caller.gid, "a caller was refused");
            return Err(refusal(caller.uid).into());
        }
        request.extensions_mut().insert(caller);
        Ok(request)
    }
}

fn refusal(uid: u32) -> Failure {
    Failure::new(
        Reason::PermissionDenied,
        format!(
            "user {uid} may not call this daemon: ask its administrator to list you under [access] in its configuration"
        ),
    )
}

/// Who calls. There is one in every request that came through the guard.
pub(super) fn caller<T>(request: &Request<T>) -> Result<Caller, Failure> {
    request.extensions().get().cloned().ok_or_else(|| Failure::internal("a call came in past the guard"))
}
