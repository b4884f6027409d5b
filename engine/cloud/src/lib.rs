//! What lies at cloud services: stores in S3 and what speaks its language, and in Backblaze B2; and keys of AWS KMS.
//!
//! A crate of its own, so that what does not speak to a cloud is not linked with Amazon's SDK. It knows requests and
//! answers; what the objects mean is the engine's business, and so are repeating and slowing down: a request is sent
//! once, and its error says whether sending it again can help.

mod account;
pub mod b2;
pub mod kms;
mod location;
mod network;
mod patience;
pub mod s3;
mod setup;

pub use account::AwsCredentials;
pub use location::{BadLocation, BucketLocation};
pub use network::{BadNetwork, Network};
pub use setup::SetupError;
