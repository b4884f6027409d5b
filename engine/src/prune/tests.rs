#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod bench;
mod copies;
mod crashes;
mod damage;
mod figures;
mod late;
mod lease;
mod memory;
mod repaired;
mod retained;
mod stores;
mod unknown;
