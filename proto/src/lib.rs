//! The API between `cloudsticd` and `cloudsticctl`: the types, clients and servers generated from `proto/cloudstic/v1`.
//!
//! It speaks gRPC over a Unix socket. Errors carry a stable reason in the metadata entry [`REASON_KEY`].

mod operation;
mod secret;

/// Version 1 of the API.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("cloudstic.v1");
}

/// The compiled descriptors, for the reflection service.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The metadata entry of an error status that holds its [`Reason`].
pub const REASON_KEY: &str = "cloudstic-reason";

/// The largest message that either side accepts, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// Where the daemon listens unless its configuration says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/cloudstic/cloudsticd.sock";

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The stable, machine-readable reason of an error.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

reasons! {
    /// The repository is locked by another operation.
    Locked = "LOCKED",
    /// The lock of a job was lost before its work was done.
    LockLost = "LOCK_LOST",
    /// No credential opens a key slot.
    WrongCredential = "WRONG_CREDENTIAL",
    /// The repository is encrypted and no credential is configured.
    NoCredential = "NO_CREDENTIAL",
    /// The store has no repository.
    NotInitialised = "NOT_INITIALISED",
    /// The store has a repository already.
    AlreadyInitialised = "ALREADY_INITIALISED",
    /// No snapshot of that name, or more than one.
    NoSuchSnapshot = "NO_SUCH_SNAPSHOT",
    /// No such path in the snapshot.
    NoSuchPath = "NO_SUCH_PATH",
    /// No repository of that name is configured.
    NoSuchRepository = "NO_SUCH_REPOSITORY",
    /// No profile of that name is configured.
    NoSuchProfile = "NO_SUCH_PROFILE",
    /// No job has that id.
    NoSuchJob = "NO_SUCH_JOB",
    /// The caller may not do that.
    PermissionDenied = "PERMISSION_DENIED",
    /// The request makes no sense.
    BadRequest = "BAD_REQUEST",
    /// The source cannot be read.
    SourceUnreadable = "SOURCE_UNREADABLE",
    /// The target cannot be written.
    TargetUnwritable = "TARGET_UNWRITABLE",
    /// The store is full.
    StoreFull = "STORE_FULL",
    /// The store refused or failed.
    StoreFailed = "STORE_FAILED",
    /// Objects of the repository are damaged or missing.
    Damaged = "DAMAGED",
    /// Another job holds the profile.
    ProfileBusy = "PROFILE_BUSY",
    /// The job was cancelled.
    Cancelled = "CANCELLED",
    /// The daemon is stopping.
    ShuttingDown = "SHUTTING_DOWN",
    /// A bug.
    Internal = "INTERNAL",
}

impl std::str::FromStr for Reason {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or(())
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
