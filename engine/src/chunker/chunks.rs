//! Cutting what a reader gives. A hole is neither read nor looked at: a chunk of nothing but zeros is always the same.

use std::io::{self, Read};

use bytes::Bytes;

use super::{Chunker, MAX};
use crate::sparse::{ReadRuns, Run};

/// A chunk of a file.
#[derive(Debug, Clone)]
pub enum Chunk {
    /// Any bytes.
    Data(Bytes),
    /// A part of a hole, which is the same for all holes of all files.
    Hole(&'static [u8]),
}

impl Chunk {
    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Data(data) => data,
            Self::Hole(zeros) => zeros,
        }
    }
}

/// Cuts what a reader gives into chunks.
pub struct Chunks<'a, R> {
    chunker: &'a Chunker,
    reader: R,
    window: Vec<u8>,
    start: usize,
    /// How many bytes at the end of the window stand for a hole.
    hole_inside: usize,
    /// How many bytes of a hole come after the window.
    hole_behind: u64,
    ended: bool,
}

/// Bytes read ahead: twice the largest chunk, so that what is left over is moved rarely.
const WINDOW: usize = 2 * MAX;

impl<'a, R: ReadRuns> Chunks<'a, R> {
    /// Reads `reader` to its end. `window` holds what has been read of the file already, at most [`MAX`] bytes; it is
    /// scratch space that can be used again for the next file.
    pub fn new(chunker: &'a Chunker, reader: R, window: Vec<u8>) -> Self {
        Self { chunker, reader, window, start: 0, hole_inside: 0, hole_behind: 0, ended: false }
    }

    /// The next chunk, `None` at the end.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        self.give_hole_back();
        if self.window.len() - self.start < MAX {
            self.fill()?;
        }
        let rest = &self.window[self.start..];
        if rest.is_empty() && self.hole_behind >= MAX as u64 {
            let zeros = self.chunker.cut_hole();
            self.hole_behind -= zeros.len() as u64;
            return Ok(Some(Chunk::Hole(zeros)));
        }
        if rest.is_empty() {
            return Ok(None);
        }
        let length = self.chunker.cut(rest);
        let chunk = Bytes::copy_from_slice(&rest[..length]);
        self.start += length;
        Ok(Some(Chunk::Data(chunk)))
    }

    /// The scratch space.
    pub fn into_window(self) -> Vec<u8> {
        self.window
    }

    /// When nothing is left in the window but the beginning of a large hole, it need not be looked at.
    fn give_hole_back(&mut self) {
        let rest = self.window.len() - self.start;
        if rest <= self.hole_inside && rest as u64 + self.hole_behind >= MAX as u64 {
            self.hole_behind += rest as u64;
            self.hole_inside = 0;
            self.window.clear();
            self.start = 0;
        }
    }

    /// Reads until the window is full, or holds enough for a chunk and a hole follows, or the file ends, or until it is
    /// empty and a hole follows that is a chunk by itself.
    fn fill(&mut self) -> io::Result<()> {
        self.window.drain(..self.start);
        self.start = 0;
        self.hole_inside = self.hole_inside.min(self.window.len());
        loop {
            if self.hole_behind > 0 {
                let is_chunk = self.window.is_empty() && self.hole_behind >= MAX as u64;
                let room = MAX.saturating_sub(self.window.len()) as u64;
                if is_chunk || room == 0 {
                    return Ok(());
                }
                let zeros = self.hole_behind.min(room);
                self.window.resize(self.window.len() + zeros as usize, 0);
                self.hole_inside += zeros as usize;
                self.hole_behind -= zeros;
            } else if self.ended || self.window.len() == WINDOW {
                return Ok(());
            } else {
                match self.reader.next_run()? {
                    Run::Hole(length) => self.hole_behind = length,
                    Run::Data(length) => self.read(length)?,
                }
            }
        }
    }

    fn read(&mut self, length: u64) -> io::Result<()> {
        let wanted = length.min((WINDOW - self.window.len()) as u64);
        let read = (&mut self.reader).take(wanted).read_to_end(&mut self.window)? as u64;
        self.ended = read < wanted;
        if read > 0 {
            self.hole_inside = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::chunker::gear::GEAR;

    /// Runs in memory: how many bytes, and whether they are a hole.
    struct Runs {
        data: Vec<u8>,
        runs: Vec<(usize, bool)>,
        at: usize,
        read: usize,
    }

    impl Runs {
        fn new(runs: Vec<(usize, bool)>, seed: u64) -> Self {
            let mut state = seed | 1;
            let mut noise = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            };
            let mut data = Vec::new();
            for (length, is_hole) in &runs {
                data.extend((0..*length).map(|_| if *is_hole { 0 } else { noise() }));
            }
            Self { data, runs, at: 0, read: 0 }
        }
    }

    impl Read for Runs {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = (&self.data[self.at..]).read(buffer)?;
            (self.at, self.read) = (self.at + read, self.read + read);
            Ok(read)
        }
    }

    impl ReadRuns for Runs {
        fn next_run(&mut self) -> io::Result<Run> {
            let mut end = 0;
            for (length, is_hole) in &self.runs {
                end += length;
                if end > self.at {
                    let length = (end - self.at) as u64;
                    if *is_hole {
                        self.at = end;
                        return Ok(Run::Hole(length));
                    }
                    return Ok(Run::Data(length));
                }
            }
            Ok(Run::Data(u64::MAX))
        }
    }

    /// The chunks, and how many of them are holes. The first bytes are in the window already.
    fn chunks(chunker: &Chunker, mut reader: impl ReadRuns, ahead: usize) -> (Vec<Vec<u8>>, usize) {
        let mut window = Vec::new();
        (&mut reader).take(ahead as u64).read_to_end(&mut window).unwrap();
        let mut chunks = Chunks::new(chunker, reader, window);
        let (mut found, mut holes) = (Vec::new(), 0);
        while let Some(chunk) = chunks.next_chunk().unwrap() {
            holes += usize::from(matches!(chunk, Chunk::Hole(_)));
            found.push(chunk.bytes().to_vec());
        }
        (found, holes)
    }

    /// Boundaries of the CLI, keyed ones, and keyed ones that cut zeros.
    const SEEDS: [u64; 3] = [0, 0x0123_4567_89ab_cdef, GEAR[0]];

    fn agree(seed: u64, runs: Vec<(usize, bool)>, ahead: usize) -> usize {
        let (chunker, sparse) = (Chunker::new(seed), Runs::new(runs.clone(), 7));
        let data = sparse.data.clone();
        let (found, holes) = chunks(&chunker, sparse, ahead);
        let (expected, _) = chunks(&chunker, data.as_slice(), ahead);
        assert!(found == expected, "{runs:?}, {ahead} ahead, seed {seed:x}");
        holes
    }

    #[test]
    fn the_chunks_of_a_large_hole_are_not_looked_at() {
        for ahead in [0, 524_289] {
            let holes = agree(0, vec![(100_000, false), (5 * MAX, true), (70_000, false), (2 * MAX, true)], ahead);
            assert_eq!(holes, 4 + 1, "the rest of each hole is in a chunk with the data around it");
            // One chunk of them is known from before the hole was.
            let holes = agree(0, vec![(4 * MAX, true)], ahead);
            assert_eq!(holes, if ahead == 0 { 4 } else { 3 });
        }
        assert!(agree(GEAR[0], vec![(3 * MAX, true)], 0) > 20);
    }

    #[test]
    fn a_hole_is_not_read() {
        let mut sparse = Runs::new(vec![(10, false), (3 * MAX, true), (10, false)], 7);
        let chunker = Chunker::new(0);
        let mut chunks = Chunks::new(&chunker, &mut sparse, Vec::new());
        while chunks.next_chunk().unwrap().is_some() {}
        assert_eq!(sparse.read, 20);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn with_holes_the_chunks_are_those_of_the_same_bytes_without(
            lengths in prop::collection::vec(prop_oneof![
                3 => 1usize..3_000_000,
                1 => MAX - 2..MAX + 3,
                1 => 2 * MAX - 2..2 * MAX + 3,
            ], 1..6),
            is_first_hole: bool,
            seed in prop::sample::select(SEEDS.to_vec()),
            ahead in prop::sample::select(vec![0usize, 524_289]),
        ) {
            let kinds = [is_first_hole, !is_first_hole].into_iter().cycle();
            agree(seed, lengths.into_iter().zip(kinds).collect(), ahead);
        }
    }
}
