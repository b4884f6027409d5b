//! Paths from the command line as the API takes them.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::error::Error;

/// An argument as text. The API carries UTF-8 only.
pub(crate) fn text(argument: OsString) -> Result<String, Error> {
    argument.into_string().map_err(|argument| {
        Error::Arguments(format!("{:?} is not valid UTF-8: name the folder that it is in instead", argument))
    })
}

/// Paths inside a snapshot as text.
pub(crate) fn texts(arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<String>, Error> {
    arguments.into_iter().map(text).collect()
}

/// A path on this host, absolute: the daemon's working directory is not the caller's.
pub(crate) fn absolute(path: &Path) -> Result<String, Error> {
    let absolute = std::path::absolute(path)
        .map_err(|error| Error::Arguments(format!("cannot make {} an absolute path: {error}", path.display())))?;
    text(without_dots(absolute).into_os_string())
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

    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn relative_paths_do_not_reach_the_daemon() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("x/y")).unwrap(), here.join("x/y").to_str().unwrap());
        assert_eq!(absolute(Path::new("/a/b")).unwrap(), "/a/b");
    }

    #[test]
    fn dots_of_links_are_resolved_as_the_system_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/deep")).unwrap();
        std::os::unix::fs::symlink(root.join("real/deep"), root.join("link")).unwrap();
        assert_eq!(absolute(&root.join("link/..")).unwrap(), root.join("real").to_str().unwrap());
        assert_eq!(absolute(&root.join("link/../new")).unwrap(), root.join("real/new").to_str().unwrap());
    }

    #[test]
    fn a_name_that_the_api_cannot_carry_is_refused() {
        assert!(text(OsString::from_vec(b"a\xff".to_vec())).is_err());
    }
}
