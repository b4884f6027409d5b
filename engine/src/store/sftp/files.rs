//! The bytes of files: in pieces, many of which are under way at once, for one request at a time would wait most of the
//! time for the line.

use std::fs::File as LocalFile;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use futures::stream::{self, StreamExt, TryStreamExt};
use openssh_sftp_client::file::File;
use openssh_sftp_client::metadata::Permissions;
use tokio::io::AsyncSeek;

use super::connection::Connection;
use super::failure::Trouble;

/// Bytes in a piece: the most that OpenSSH takes in one request. Where a server takes less, a piece is several.
const PIECE: u64 = 261_120;

/// Pieces of one file that are under way; the connection has its own limit for all.
const AHEAD: usize = 32;

/// What is to be written.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// In memory.
    Bytes(Bytes),
    /// All of a file, from its beginning; where it is being read from is not changed.
    File(Arc<LocalFile>),
}

impl Content {
    fn len(&self) -> Result<u64, Trouble> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::File(file) => file.metadata().map(|metadata| metadata.len()).map_err(unreadable),
        }
    }

    async fn piece(&self, start: u64, length: usize) -> Result<Bytes, Trouble> {
        match self {
            Self::Bytes(bytes) => {
                let start = start as usize;
                Ok(bytes.slice(start..start + length))
            }
            Self::File(file) => {
                let file = Arc::clone(file);
                let read = tokio::task::spawn_blocking(move || {
                    let mut piece = vec![0; length];
                    file.read_exact_at(&mut piece, start).map(|()| piece)
                });
                let piece = read.await.map_err(|panic| Trouble::Here(panic.to_string()))?;
                piece.map(Bytes::from).map_err(unreadable)
            }
        }
    }
}

fn unreadable(cause: std::io::Error) -> Trouble {
    Trouble::Here(format!("a temporary file cannot be read: {cause}"))
}

/// Makes a new file and writes all of `content` to it. When this returns, the server's disk has it, if the server can
/// tell.
pub(super) async fn write_new(connection: &Connection, path: &str, content: &Content) -> Result<(), Trouble> {
    match write_open(connection, path, content).await? {
        Some(file) => connection.call(file.close()).await,
        None => Ok(()),
    }
}

/// The same, and gives the file, still open, if the server's disk surely has it: to close it can tell nothing new then.
pub(super) async fn write_open(
    connection: &Connection,
    path: &str,
    content: &Content,
) -> Result<Option<File>, Trouble> {
    let length = content.len()?;
    let sftp = connection.sftp();
    let mut file = connection.call(sftp.options().write(true).create_new(true).open(path)).await?;
    let written = fill(connection, &mut file, content, length).await;
    if let Err(Trouble::Failed(text)) = written {
        return Err(if is_full(connection, path, length).await { Trouble::Full } else { Trouble::Failed(text) });
    }
    match written? {
        Flushed::Surely => Ok(Some(file)),
        Flushed::Unknown => connection.call(file.close()).await.map(|()| None),
    }
}

/// Whether a file is on the server's disk.
enum Flushed {
    Surely,
    /// The server does not tell.
    Unknown,
}

async fn fill(connection: &Connection, file: &mut File, content: &Content, length: u64) -> Result<Flushed, Trouble> {
    let mut private = file.clone();
    let private = async {
        match connection.call(private.set_permissions(Permissions::from(0o600))).await {
            // Some servers have no permissions.
            Err(trouble) if trouble.is_answer() => Ok(()),
            other => other,
        }
    };
    let starts = stream::iter((0..length).step_by(PIECE as usize));
    let pieces = starts
        .map(|start| {
            let mut file = file.clone();
            async move {
                let _permit = permit(connection).await?;
                let mut piece = content.piece(start, PIECE.min(length - start) as usize).await?;
                seek(&mut file, start)?;
                while piece.has_remaining() {
                    let written = connection.call(file.write_zero_copy(std::slice::from_ref(&piece))).await?;
                    piece.advance(written);
                }
                Ok(())
            }
        })
        .buffer_unordered(AHEAD)
        .try_for_each(|()| async { Ok(()) });
    futures::try_join!(private, pieces)?;
    if connection.sftp().support_fsync() {
        match connection.call(file.sync_all()).await {
            Err(Trouble::Unsupported) => {}
            other => return other.map(|()| Flushed::Surely),
        }
    }
    Ok(Flushed::Unknown)
}

/// Whether a write may have failed because of this: SFTP has no word for it.
async fn is_full(connection: &Connection, path: &str, length: u64) -> bool {
    let mut fs = connection.fs();
    let told = connection.call(fs.statvfs(path)).await;
    told.is_ok_and(|told| told.bavail.saturating_mul(told.frsize) < length.max(1))
}

/// All of a file.
pub(super) async fn read(connection: &Connection, path: &str) -> Result<Bytes, Trouble> {
    let sftp = connection.sftp();
    let file = connection.call(sftp.options().read(true).open(path)).await?;
    let mut asked = file.clone();
    // Most objects are small, and then this is all.
    let first = async {
        let _permit = permit(connection).await?;
        let mut file = file.clone();
        connection.call(file.read(PIECE as u32, BytesMut::with_capacity(PIECE as usize))).await
    };
    let (first, metadata) = futures::try_join!(first, connection.call(asked.metadata()))?;
    let length = metadata.len().ok_or_else(|| Trouble::Failed("it does not tell sizes".to_owned()))?;
    let first = first.unwrap_or_default();
    if length <= first.len() as u64 {
        return Ok(first.freeze());
    }
    let rest = pieces(connection, &file, first.len() as u64, length).await?;
    Ok(join(std::iter::once(first).chain(rest).collect()))
}

/// The bytes from `start` to `end` of a file.
pub(super) async fn read_range(connection: &Connection, path: &str, start: u64, end: u64) -> Result<Bytes, Trouble> {
    let sftp = connection.sftp();
    let file = connection.call(sftp.options().read(true).open(path)).await?;
    pieces(connection, &file, start, end).await.map(join)
}

async fn pieces(connection: &Connection, file: &File, start: u64, end: u64) -> Result<Vec<BytesMut>, Trouble> {
    stream::iter((start..end).step_by(PIECE as usize))
        .map(|at| async move {
            let length = PIECE.min(end - at) as usize;
            let piece = read_piece(connection, file.clone(), at, length).await?;
            if piece.len() < length { Err(Trouble::Short) } else { Ok(piece) }
        })
        .buffered(AHEAD)
        .try_collect()
        .await
}

/// Less than `length` bytes only if the file ends there.
async fn read_piece(connection: &Connection, mut file: File, start: u64, length: usize) -> Result<BytesMut, Trouble> {
    let _permit = permit(connection).await?;
    let mut piece = BytesMut::new();
    while piece.len() < length {
        // The library counts on by what was asked for, not by what came.
        seek(&mut file, start + piece.len() as u64)?;
        let wanted = length - piece.len();
        match connection.call(file.read(wanted as u32, BytesMut::with_capacity(wanted))).await? {
            Some(more) if more.is_empty() => break,
            Some(more) if piece.is_empty() => piece = more,
            Some(more) => piece.extend_from_slice(&more),
            None => break,
        }
    }
    Ok(piece)
}

fn join(mut pieces: Vec<BytesMut>) -> Bytes {
    if pieces.len() == 1 {
        return pieces.remove(0).freeze();
    }
    let mut whole = Vec::with_capacity(pieces.iter().map(BytesMut::len).sum());
    pieces.iter().for_each(|piece| whole.extend_from_slice(piece));
    whole.into()
}

fn seek(file: &mut File, to: u64) -> Result<(), Trouble> {
    Pin::new(file).start_seek(SeekFrom::Start(to)).map_err(|cause| Trouble::Here(cause.to_string()))
}

async fn permit(connection: &Connection) -> Result<tokio::sync::SemaphorePermit<'_>, Trouble> {
    connection.pieces.acquire().await.map_err(|closed| Trouble::Here(closed.to_string()))
}
