#![allow(clippy::unwrap_used, clippy::panic)]

mod bench;
mod crashes;
mod damage;
mod figures;
mod late;
mod lease;
mod stores;
