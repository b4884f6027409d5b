//! Stores at cloud services: S3 and what speaks its language, and Backblaze B2.
//!
//! A crate of its own, so that what does not speak to a cloud is not linked with Amazon's SDK. It knows requests and
//! answers; what the objects mean is the engine's business, and so are repeating and slowing down: a request is sent
//! once, and its error says whether sending it again can help.

pub mod b2;
mod location;
mod network;
pub mod s3;
mod setup;

pub use location::{BadLocation, BucketLocation};
pub use network::{BadNetwork, Network};
pub use setup::SetupError;
