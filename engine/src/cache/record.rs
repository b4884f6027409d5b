//! The records of one folder, as bytes.

use crate::object::Hash;
use crate::source::{FileType, Stat};

/// What an entry looked like, and the filemeta that was stored for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedEntry {
    /// Its name.
    pub name: Vec<u8>,
    /// What it looked like.
    pub stat: Stat,
    /// The first name of the file, where it has several.
    pub hardlink: Option<String>,
    /// Its filemeta.
    pub filemeta: Hash,
    /// The name of its content, if it has any.
    pub content: Option<Hash>,
    /// What an equal `stat` proves.
    pub proves: Proves,
}

/// What it proves that an entry still looks as it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proves {
    /// Nothing: it was changed too shortly before it was looked at, or while it was read, or could not be read wholly.
    Nothing,
    /// That a file has the same bytes, with this hash. Of what it has beside them, something could not be stored: that
    /// has to be tried, and told, again.
    Bytes(Hash),
    /// That everything is stored as it is.
    Everything,
}

impl CachedEntry {
    /// Whether it is a file with several names.
    pub fn has_several_names(&self) -> bool {
        self.stat.file_type != FileType::Folder && self.stat.links > 1
    }
}

/// Stands for no content.
const NO_CONTENT: Hash = Hash::from_bytes([0; 32]);

const TYPES: [FileType; 7] = [
    FileType::Regular,
    FileType::Folder,
    FileType::Symlink,
    FileType::Fifo,
    FileType::Socket,
    FileType::CharDevice,
    FileType::BlockDevice,
];

pub(super) fn encode(entries: &[CachedEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * 160);
    for CachedEntry { name, stat, hardlink, filemeta, content, proves } in entries {
        put_bytes(&mut out, name);
        put_bytes(&mut out, hardlink.as_deref().unwrap_or_default().as_bytes());
        out.extend_from_slice(filemeta.as_bytes());
        out.extend_from_slice(content.unwrap_or(NO_CONTENT).as_bytes());
        out.push(match proves {
            Proves::Nothing => 0,
            Proves::Everything => 1,
            Proves::Bytes(_) => 2,
        });
        out.push(TYPES.iter().position(|known| *known == stat.file_type).unwrap_or_default() as u8);
        if let Proves::Bytes(hash) = proves {
            out.extend_from_slice(hash.as_bytes());
        }
        for number in [stat.inode, stat.size, stat.blocks, stat.mtime.0 as u64, stat.ctime.0 as u64, stat.btime as u64]
        {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [stat.mtime.1, stat.ctime.1, stat.mode, stat.uid, stat.gid, stat.rdev.0, stat.rdev.1, stat.links]
        {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    out
}

/// `None` if the bytes are no records.
pub(super) fn decode(mut bytes: &[u8]) -> Option<Vec<CachedEntry>> {
    let input = &mut bytes;
    let mut entries = Vec::new();
    while !input.is_empty() {
        let name = take_bytes(input)?.to_vec();
        let hardlink = std::str::from_utf8(take_bytes(input)?).ok().filter(|first| !first.is_empty());
        let hardlink = hardlink.map(str::to_owned);
        let filemeta = Hash::from_bytes(take(input)?);
        let content = Some(Hash::from_bytes(take(input)?)).filter(|content| *content != NO_CONTENT);
        let [proves, file_type] = take(input)?;
        let proves = match proves {
            0 => Proves::Nothing,
            1 => Proves::Everything,
            2 => Proves::Bytes(Hash::from_bytes(take(input)?)),
            _ => return None,
        };
        let file_type = *TYPES.get(usize::from(file_type))?;
        let mut long = || take(input).map(u64::from_le_bytes);
        let (inode, size, blocks) = (long()?, long()?, long()?);
        let (mtime, ctime, btime) = (long()? as i64, long()? as i64, long()? as i64);
        let mut short = || take(input).map(u32::from_le_bytes);
        let (mtime, ctime) = ((mtime, short()?), (ctime, short()?));
        let (mode, uid, gid) = (short()?, short()?, short()?);
        let (rdev, links) = ((short()?, short()?), short()?);
        let stat = Stat { inode, size, mtime, ctime, btime, mode, uid, gid, rdev, blocks, links, file_type };
        entries.push(CachedEntry { name, stat, hardlink, filemeta, content, proves });
    }
    Some(entries)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u32::from_le_bytes(take(input)?) as usize;
    let (bytes, rest) = input.split_at_checked(length)?;
    *input = rest;
    Some(bytes)
}

fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*bytes)
}
