//! Changing the records of a source: collected in a temporary file while a backup runs, and applied at once when its
//! snapshot is in the repository.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek, Write};

use redb::Durability;

use super::record::{self, CachedEntry};
use super::{CachedSource, FOLDERS, Part, SOURCES, SourceKey, StatCache, folder_key};
use crate::object::json;

/// Changes that are not applied yet.
#[derive(Debug)]
pub struct CacheUpdate {
    key: SourceKey,
    spool: BufWriter<File>,
    removed: Vec<String>,
}

impl CacheUpdate {
    /// No changes yet.
    pub fn new(key: SourceKey) -> io::Result<Self> {
        Ok(Self { key, spool: BufWriter::new(tempfile::tempfile()?), removed: Vec::new() })
    }

    /// Replaces one part of the records of a folder.
    pub fn put(&mut self, folder: &str, part: Part, entries: &[CachedEntry]) -> io::Result<()> {
        for part in [folder_key(self.key, folder, part), record::encode(entries)] {
            self.spool.write_all(&(part.len() as u64).to_le_bytes())?;
            self.spool.write_all(&part)?;
        }
        Ok(())
    }

    /// Forgets a folder and all that is below it.
    pub fn remove(&mut self, folder: &str) {
        self.removed.push(folder.to_owned());
    }

    /// Applies the changes: from now on the records describe `source.snapshot`.
    pub fn commit(self, cache: &StatCache, source: &CachedSource) -> Result<(), redb::Error> {
        let mut spool = self.spool.into_inner().map_err(io::IntoInnerError::into_error)?;
        spool.rewind()?;
        let mut spool = BufReader::new(spool);
        let mut transaction = cache.database.begin_write()?;
        // A crash may lose a cache; it must not lose its integrity, and that holds without a flush.
        transaction.set_durability(Durability::None)?;
        {
            let mut folders = transaction.open_table(FOLDERS)?;
            for folder in &self.removed {
                let own = folder_key(self.key, folder, Part::Entries);
                folders.remove(own.as_slice())?;
                folders.remove(folder_key(self.key, folder, Part::HardLinks).as_slice())?;
                let (below, beyond) = ([&own[..], b"/"].concat(), [&own[..], b"0"].concat());
                folders.retain_in(below.as_slice()..beyond.as_slice(), |_, _| false)?;
            }
            while let Some(key) = read_part(&mut spool)? {
                let records = read_part(&mut spool)?.ok_or(io::Error::from(ErrorKind::UnexpectedEof))?;
                folders.insert(key.as_slice(), records.as_slice())?;
            }
            let mut sources = transaction.open_table(SOURCES)?;
            sources.insert(self.key.0.as_slice(), json::encode(source).as_slice())?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn read_part(spool: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 8];
    match spool.read_exact(&mut length) {
        Ok(()) => {}
        Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(cause) => return Err(cause),
    }
    let mut part = Vec::new();
    let length = u64::from_le_bytes(length);
    spool.take(length).read_to_end(&mut part)?;
    Ok(Some(part))
}
