//! What can go wrong before there is a store.

use crate::network::BadNetwork;

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// How the service is reached.
    #[error(transparent)]
    Network(#[from] BadNetwork),
    /// Nothing says which region the bucket is in.
    #[error("it is not known which region the bucket {bucket} is in: set the region")]
    NoRegion {
        /// The bucket.
        bucket: String,
    },
    /// Nothing says which region a key is in.
    #[error("it is not known which region the key {key} is in: give its ARN, or set the region")]
    NoKeyRegion {
        /// The key.
        key: String,
    },
    /// The service did not let us in.
    #[error("Backblaze B2 does not accept the application key ({detail}): check the key's id and the key")]
    Denied {
        /// What the service says.
        detail: String,
    },
    /// The service did not answer as it should; it may later.
    #[error("Backblaze B2 cannot be asked where the bucket is: {detail}")]
    Unreachable {
        /// What went wrong.
        detail: String,
    },
    /// The key is for something else.
    #[error("the application key is for {allowed} only, not for {location}: use another key")]
    OtherBucket {
        /// What it is for.
        allowed: String,
        /// What was asked for.
        location: String,
    },
}
