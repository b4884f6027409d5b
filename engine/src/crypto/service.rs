//! A service that keeps a key to itself, and wraps and unwraps with it: AWS KMS.

use std::fmt;

use zeroize::Zeroizing;

/// A key of such a service. Its methods wait for the service: they are for worker threads. `Debug` shows no credential.
pub trait KeyService: Send + Sync + fmt::Debug {
    /// Wraps a key of 32 bytes.
    fn wrap(&self, key: &[u8]) -> Result<Vec<u8>, KeyServiceError>;

    /// What was wrapped; `None` if it was not wrapped with this key.
    fn unwrap(&self, wrapped: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, KeyServiceError>;
}

/// Why a service did neither, for the user: which key, what happened, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyServiceError(pub String);
