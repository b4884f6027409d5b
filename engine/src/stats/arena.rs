//! Lists of numbers in an unnamed temporary file.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::numbers::Number;

/// What is kept in memory before it is written, in bytes.
const BUFFERED: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Arena {
    file: File,
    /// What follows the file's end.
    buffer: Vec<u8>,
    written: u64,
}

/// Where a list is, and how long.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct List {
    at: u64,
    length: u32,
}

impl Arena {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, buffer: Vec::new(), written: 0 })
    }

    pub(super) fn add(&mut self, numbers: impl IntoIterator<Item = Number>) -> io::Result<List> {
        let (at, before) = (self.written + self.buffer.len() as u64, self.buffer.len());
        numbers.into_iter().for_each(|number| self.buffer.extend_from_slice(&number.to_le_bytes()));
        let length = ((self.buffer.len() - before) / 4) as u32;
        if self.buffer.len() >= BUFFERED {
            self.file.write_all_at(&self.buffer, self.written)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(List { at, length })
    }

    pub(super) fn get(&self, list: List) -> io::Result<Vec<Number>> {
        let length = list.length as usize * 4;
        let bytes = match list.at.checked_sub(self.written) {
            Some(at) => Cow::Borrowed(&self.buffer[at as usize..][..length]),
            None => {
                let mut bytes = vec![0; length];
                self.file.read_exact_at(&mut bytes, list.at)?;
                Cow::Owned(bytes)
            }
        };
        let (numbers, _) = bytes.as_chunks::<4>();
        Ok(numbers.iter().map(|number| Number::from_le_bytes(*number)).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_list_comes_back_from_memory_and_from_the_file() {
        let mut arena = Arena::new().unwrap();
        let lists: Vec<_> = (0..2000u32).map(|n| (n, arena.add(n..n + n % 400).unwrap())).collect();
        assert!(arena.written > 0 && !arena.buffer.is_empty());
        for (n, list) in lists {
            assert_eq!(arena.get(list).unwrap(), (n..n + n % 400).collect::<Vec<_>>());
        }
    }
}
