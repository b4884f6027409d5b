//! Sealing objects, and the keys that seal them.
//!
//! The one invariant: no secret leaves this room but as a [`secrecy::SecretString`] that the caller asked for (new
//! recovery words); keys are wiped when dropped and never shown by `Debug`.

mod aead;
mod compress;
mod keys;
mod seal;
mod service;
mod slot;

pub use keys::{MasterKey, RepositoryKeys};
pub use seal::{OpenError, Sealer};
pub use service::{KeyService, KeyServiceError};
pub use slot::{Credential, SlotError, check_slot, make_recovery_slot, make_slot, open_slot};
