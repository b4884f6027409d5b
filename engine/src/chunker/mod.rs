//! Content-defined chunking: the CLI's FastCDC boundaries, exactly, or keyed ones (format, section 12).
//!
//! The one invariant: for the same bytes and the same table the cuts are always the same, whatever the sizes of the
//! pieces in which the bytes arrive.

mod gear;

use std::io::{self, Read};

use bytes::Bytes;
use fastcdc::v2020::cut_gear;

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
}

impl Chunker {
    /// The CLI's boundaries (`seed` 0), or keyed ones.
    pub fn new(seed: u64) -> Self {
        let gear = Box::new(gear::GEAR.map(|entry| entry ^ seed));
        let gear_shifted = Box::new(gear.map(|entry| entry << 1));
        Self { gear, gear_shifted }
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
}

impl std::fmt::Debug for Chunker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Chunker")
    }
}

/// Cuts what a reader gives into chunks.
pub struct Chunks<'a, R> {
    chunker: &'a Chunker,
    reader: R,
    window: Vec<u8>,
    start: usize,
    ended: bool,
}

/// Bytes read ahead: twice the largest chunk, so that what is left over is moved rarely.
const WINDOW: usize = 2 * MAX;

impl<'a, R: Read> Chunks<'a, R> {
    /// Reads `reader` to its end. `window` holds what has been read of the file already, at most [`MAX`] bytes; it is
    /// scratch space that can be used again for the next file.
    pub fn new(chunker: &'a Chunker, reader: R, window: Vec<u8>) -> Self {
        Self { chunker, reader, window, start: 0, ended: false }
    }

    /// The next chunk, `None` at the end.
    pub fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        if self.window.len() - self.start < MAX && !self.ended {
            self.fill()?;
        }
        let rest = &self.window[self.start..];
        if rest.is_empty() {
            return Ok(None);
        }
        let length = self.chunker.cut(rest);
        let chunk = Bytes::copy_from_slice(&rest[..length]);
        self.start += length;
        Ok(Some(chunk))
    }

    /// The scratch space.
    pub fn into_window(self) -> Vec<u8> {
        self.window
    }

    fn fill(&mut self) -> io::Result<()> {
        self.window.drain(..self.start);
        self.start = 0;
        let room = (WINDOW - self.window.len()) as u64;
        let read = (&mut self.reader).take(room).read_to_end(&mut self.window)?;
        self.ended = (read as u64) < room;
        Ok(())
    }
}
