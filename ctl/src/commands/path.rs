//! Paths from the command line as the API takes them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use crate::error::Error;

/// An argument that names what the daemon knows as text: a profile, or the path that a snapshot records.
pub(crate) fn text(argument: OsString) -> Result<String, Error> {
    argument.into_string().map_err(|argument| {
        Error::Arguments(format!("{argument:?} is not valid UTF-8: write it as `status` and `list` show it"))
    })
}

/// Paths inside a snapshot.
pub(crate) fn bytes(arguments: impl IntoIterator<Item = OsString>) -> Vec<Vec<u8>> {
    arguments.into_iter().map(OsString::into_vec).collect()
}

/// A path on this host, absolute: the daemon's working directory is not the caller's.
pub(crate) fn absolute(path: &Path) -> Result<Vec<u8>, Error> {
    if path.as_os_str().is_empty() {
        return Err(Error::Arguments("the path is empty".to_owned()));
    }
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::Arguments(format!("cannot make {} an absolute path: {error}", path.display())))?;
    Ok(without_dots(absolute).into_os_string().into_vec())
}

/// `..` is resolved where the file system lets us, as only it knows what a link's parent is; else the daemon judges it.
fn without_dots(path: PathBuf) -> PathBuf {
    if !path.components().any(|part| part == Component::ParentDir) {
        return path;
    }
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn relative_paths_do_not_reach_the_daemon() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("x/y")).unwrap(), here.join("x/y").as_os_str().as_bytes());
        assert_eq!(absolute(Path::new("/a/b")).unwrap(), b"/a/b");
    }

    #[test]
    fn dots_of_links_are_resolved_as_the_system_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/deep")).unwrap();
        std::os::unix::fs::symlink(root.join("real/deep"), root.join("link")).unwrap();
        assert_eq!(absolute(&root.join("link/..")).unwrap(), root.join("real").as_os_str().as_bytes());
        assert_eq!(absolute(&root.join("link/../new")).unwrap(), root.join("real/new").as_os_str().as_bytes());
    }

    #[test]
    fn paths_keep_their_bytes_and_only_texts_must_be_utf8() {
        let odd = OsString::from_vec(b"/a\xff".to_vec());
        assert_eq!(bytes([odd.clone()]), [b"/a\xff"]);
        assert_eq!(absolute(Path::new(&odd)).unwrap(), b"/a\xff");
        assert!(text(odd).is_err());
    }
}
