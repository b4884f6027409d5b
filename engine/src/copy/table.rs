//! What each filemeta of the source is called in the target. In an unnamed temporary file: there may be many millions.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::numbers::{Number, Set};
use crate::object::Hash;

/// The hashes of new filemetas, by the numbers of the old ones.
#[derive(Debug)]
pub(super) struct Table {
    file: File,
    known: Set,
}

const LENGTH: usize = 32;

impl Table {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { file: tempfile::tempfile()?, known: Set::default() })
    }

    pub(super) fn contains(&self, number: Number) -> bool {
        self.known.contains(number)
    }

    pub(super) fn set(&mut self, number: Number, hash: &Hash) -> io::Result<()> {
        self.file.write_all_at(hash.as_bytes(), at(number))?;
        self.known.insert(number);
        Ok(())
    }

    pub(super) fn get(&self, number: Number) -> io::Result<Option<Hash>> {
        if !self.contains(number) {
            return Ok(None);
        }
        let mut bytes = [0; LENGTH];
        self.file.read_exact_at(&mut bytes, at(number))?;
        Ok(Some(Hash::from_bytes(bytes)))
    }

    pub(super) fn remove(&mut self, number: Number) {
        self.known.remove(number);
    }
}

const fn at(number: Number) -> u64 {
    number as u64 * LENGTH as u64
}
