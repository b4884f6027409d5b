//! Packs: many small sealed objects in one stored object, and the catalog that says where each lies.
//!
//! Why nothing is lost, whoever writes at the same time. A pack is immutable and named by its bytes, so no writer can
//! change another one's. Its footer says what is in it, so packs are the truth for data objects, and the catalog
//! (`index/packs`) is a cache of it that any writer may clobber: whoever opens the repository next finds packs that the
//! catalog does not name and reads their footers. A healed entry can only bring back a data object, at worst garbage
//! for the next prune; snapshots and pointers are never in footers, so nothing that was deleted on purpose comes back
//! (format, sections 10 and 11.2).

mod builder;
mod catalog;
mod doomed;
mod footer;
mod heal;
pub mod stored;

pub use builder::{FinishedPack, PackBuilder};
pub(crate) use catalog::Placed;
pub use catalog::{Catalog, Location, Member, PackMembers};
pub use doomed::{DOOMED_KEY, Doomed};
pub(crate) use footer::size as footer_size_of;
pub use footer::{FooterError, PACK_MAGIC};
pub(crate) use heal::{FIRST_READ, Footer, heal_for_prune, read_footer};
pub use heal::{Healed, footer_size, heal, heal_all};

/// A pack is flushed when it reaches this size, in bytes.
pub const PACK_TARGET: usize = 8_388_608;

/// The key of the catalog.
pub const CATALOG_KEY: &str = "index/packs";
