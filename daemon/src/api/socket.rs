//! The Unix socket that the API listens on.
//!
//! Whatever lies at its path is left alone unless it is a socket that nobody listens on; and at the end only the socket
//! that was made here is removed.

use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

/// A socket file; dropping it removes the file.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another program.
    #[error("{0} is taken: another program listens there; stop it, or choose another daemon.socket")]
    Taken(PathBuf),
    /// Not a socket.
    #[error("{0} is there and is no socket: move it away, or choose another daemon.socket")]
    NotASocket(PathBuf),
    /// It cannot be given to the configured group.
    #[error(
        "{path} cannot be given to group {group}: {cause}; make the daemon's user a member, or set daemon.socket_group"
    )]
    Group {
        /// The socket.
        path: PathBuf,
        /// By number.
        group: u32,
        /// What the system says.
        cause: Error,
    },
    /// The system.
    #[error(
        "cannot listen on {path}: {cause}; see that the daemon's user may write to its folder, or set daemon.socket"
    )]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        cause: Error,
    },
}

impl Socket {
    /// Listens on `path`, with mode 0660, for the owner and `group`. Makes the folder if it is not there.
    pub async fn listen(path: &Path, group: Option<u32>) -> Result<(Self, UnixListener), SocketError> {
        let failed = |cause| SocketError::Io { path: path.to_owned(), cause };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        clear(path).await?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o660)).map_err(failed)?;
        if let Some(group) = group {
            let failed = |cause| SocketError::Group { path: path.to_owned(), group, cause };
            chown(path, None, Some(group)).map_err(failed)?;
        }
        let file = std::fs::symlink_metadata(path).map_err(failed)?;
        Ok((Self { path: path.to_owned(), file: (file.dev(), file.ino()) }, listener))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.file);
        if ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes what a dead daemon left.
async fn clear(path: &Path) -> Result<(), SocketError> {
    let failed = |cause| SocketError::Io { path: path.to_owned(), cause };
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => return Err(SocketError::NotASocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(failed),
        // Somebody answers, or is too busy to.
        _ => Err(SocketError::Taken(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/x.sock");
        let (socket, listener) = Socket::listen(&path, None).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o660);
        assert!(matches!(Socket::listen(&path, None).await, Err(SocketError::Taken(_))));

        // As after `kill -9`: the file stays, nobody listens.
        std::mem::forget(socket);
        drop(listener);
        assert!(path.exists());
        let (socket, _listener) = Socket::listen(&path, None).await.unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_never_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        std::fs::write(&path, "data").unwrap();
        assert!(matches!(Socket::listen(&path, None).await, Err(SocketError::NotASocket(_))));
        assert!(path.exists());
    }

    #[tokio::test]
    async fn another_ones_socket_is_not_removed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let (socket, _listener) = Socket::listen(&path, None).await.unwrap();
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        drop(socket);
        assert!(path.exists());
    }
}
