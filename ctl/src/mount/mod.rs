//! A repository as a file system, read-only, through the API.
//!
//! [`tree`] is the file system itself: it knows neither the kernel nor the API. It asks a [`remote::Remote`], which
//! [`daemon`] is and tests fake; [`kernel`] translates between it and FUSE, [`session`] mounts and unmounts.
//!
//! The invariant: what cannot be read is an error to whoever reads it, never an empty file, a shorter one or a folder
//! that looks complete. And memory is bounded: [`cache`] holds listings and blocks of files, the kernel decides how many
//! [`nodes`] there are.

mod blocks;
mod cache;
mod catalogue;
mod daemon;
mod kernel;
mod names;
mod nodes;
mod remote;
pub(crate) mod session;
mod tree;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
