//! Content-defined chunking: the CLI's FastCDC boundaries, exactly, or keyed ones (format, section 12).
//!
//! The one invariant: for the same bytes and the same table the cuts are always the same, whatever the sizes of the
//! pieces in which the bytes arrive.

mod chunks;
mod gear;

use std::sync::OnceLock;

use fastcdc::v2020::cut_gear;

pub use chunks::{Chunk, Chunks};

/// The least size of a chunk but the last, in bytes.
pub const MIN: usize = 524_288;
const NORMAL: usize = 1_048_576;
/// The most bytes in a chunk.
pub const MAX: usize = 8_388_608;

const MASK_SMALL: u64 = (1 << 22) - 1;
const MASK_LARGE: u64 = (1 << 18) - 1;

/// Where to cut.
#[derive(Clone)]
pub struct Chunker {
    gear: Box<[u64; 256]>,
    gear_shifted: Box<[u64; 256]>,
    /// The length of a chunk of zeros.
    hole: OnceLock<usize>,
}

/// What holes are made of.
static ZEROS: [u8; MAX] = [0; MAX];

impl Chunker {
    /// The CLI's boundaries (`seed` 0), or keyed ones.
    pub fn new(seed: u64) -> Self {
        let gear = Box::new(gear::GEAR.map(|entry| entry ^ seed));
        let gear_shifted = Box::new(gear.map(|entry| entry << 1));
        Self { gear, gear_shifted, hole: OnceLock::new() }
    }

    /// The length of the first chunk of `data`, which goes on to the end of the file or holds at least [`MAX`] bytes.
    ///
    /// ```
    /// use cloudstic_engine::chunker::{Chunker, MAX};
    /// assert_eq!(Chunker::new(0).cut(&vec![0; 9 << 20]), MAX);
    /// assert_eq!(Chunker::new(0).cut(b"short"), 5);
    /// ```
    pub fn cut(&self, data: &[u8]) -> usize {
        if data.len() <= MIN {
            return data.len();
        }
        // The library gives the index of the cutting byte, or the whole length where nothing cuts.
        let (_, at) = cut_gear(
            data,
            MIN,
            NORMAL,
            MAX,
            MASK_SMALL,
            MASK_LARGE,
            MASK_SMALL << 1,
            MASK_LARGE << 1,
            self.gear.as_slice(),
            self.gear_shifted.as_slice(),
        );
        if at >= data.len().min(MAX) { at } else { at + 1 }
    }

    /// The first chunk of at least [`MAX`] zeros.
    fn cut_hole(&self) -> &'static [u8] {
        &ZEROS[..*self.hole.get_or_init(|| self.cut(&ZEROS))]
    }
}

impl std::fmt::Debug for Chunker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chunker")
    }
}
