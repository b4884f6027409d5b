//! Dump: the bytes of one file, or some of them.
//!
//! The one invariant: no byte is given that was not proven to be of an object that the file's list names; and a whole
//! file that does not have the hash it should is an error at its end, so that nobody takes it for right.

mod file;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use file::OpenFile;

use crate::object::{EntryType, Kind};
use crate::tree::show_path;
use crate::view::{QueryError, Resolved, SnapshotView};

/// What to dump.
#[derive(Debug, Clone, Default)]
pub struct DumpRequest {
    /// The file, `/`-separated bytes.
    pub path: Vec<u8>,
    /// The first byte.
    pub offset: u64,
    /// How many; `None` for all up to the end. What lies beyond the end is not there.
    pub length: Option<u64>,
}

/// The most bytes of a piece.
const PIECE: usize = 256 << 10;

/// Opens an ordinary file of a snapshot. Blocking: for worker threads only.
///
/// # Errors
/// [`QueryError::NoSuchPath`]; [`QueryError::NotAFile`], which says what to do instead; what cannot be read.
pub fn open(view: &SnapshotView, path: &[u8], cancel: &CancellationToken) -> Result<OpenFile, QueryError> {
    let no_such = || QueryError::NoSuchPath { path: show_path(path), snapshot: view.reference().to_string() };
    if path.iter().all(|&byte| byte == b'/') {
        return Err(not_a_file(path, "the root folder: give a file, or use `cloudsticctl restore --zip -`"));
    }
    let Resolved { reference, meta } = view.entry(path, cancel)?.ok_or_else(no_such)?;
    if meta.entry_type == EntryType::Folder {
        return Err(not_a_file(path, "a folder: use `cloudsticctl restore --zip -` with this path"));
    }
    let what = match meta.kind() {
        None => return OpenFile::new(view.objects(), reference, &meta).map_err(Into::into),
        Some(Kind::Symlink) => {
            let target = meta.posix().and_then(|posix| posix.target_bytes()).unwrap_or_default();
            format!("a symbolic link to {}: dump that instead", show_path(&target))
        }
        Some(Kind::Fifo) => "a named pipe, which has no content".to_owned(),
        Some(Kind::Socket) => "a socket, which has no content".to_owned(),
        Some(Kind::Char | Kind::Block) => "a device, which has no content".to_owned(),
    };
    Err(not_a_file(path, &what))
}

/// Gives the bytes of a file that was opened before, or some of them, in pieces of at most 256 KiB. Blocking: for worker
/// threads only. Says how many there were.
///
/// # Errors
/// What cannot be read, after what came before it; what `sink` returns; [`QueryError::Cancelled`].
pub fn dump(
    view: &SnapshotView,
    file: &OpenFile,
    request: &DumpRequest,
    sink: &mut dyn FnMut(Bytes) -> Result<(), QueryError>,
    cancel: &CancellationToken,
) -> Result<u64, QueryError> {
    let mut given = 0;
    file.read(view.objects(), request.offset, request.length, &mut |mut piece: Bytes| {
        while !piece.is_empty() {
            if cancel.is_cancelled() {
                return Err(QueryError::Cancelled);
            }
            let next = piece.split_to(piece.len().min(PIECE));
            given += next.len() as u64;
            sink(next)?;
        }
        Ok(())
    })?;
    Ok(given)
}

/// Opens a file and sends its bytes: both as one operation.
///
/// # Errors
/// Those of [`open`] and [`dump`].
pub async fn dump_path(
    view: Arc<SnapshotView>,
    request: DumpRequest,
    output: mpsc::Sender<Bytes>,
    cancel: CancellationToken,
) -> Result<u64, QueryError> {
    crate::view::blocking(cancel, move |cancel| {
        let file = open(&view, &request.path, cancel)?;
        let mut send = |piece| output.blocking_send(piece).map_err(|_| QueryError::OutputClosed);
        dump(&view, &file, &request, &mut send, cancel)
    })
    .await
}

fn not_a_file(path: &[u8], what: &str) -> QueryError {
    let path = if path.iter().all(|&byte| byte == b'/') { "/".to_owned() } else { show_path(path) };
    QueryError::NotAFile { path, what: what.to_owned() }
}
