//! Paths as the API carries them: bytes, as the system and the source have them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A path on this host.
pub(super) fn on_host(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

/// A path inside a snapshot: `/a/b/`, `./a/b` and `a/b` are the same one, and the root is empty.
pub(super) fn inside(path: &[u8]) -> &[u8] {
    let path = without_slashes(path);
    match path {
        b"." => b"",
        _ => path.strip_prefix(b"./").map_or(path, without_slashes),
    }
}

fn without_slashes(mut path: &[u8]) -> &[u8] {
    while let [b'/', rest @ ..] | [rest @ .., b'/'] = path {
        path = rest;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_many_ways_to_write_a_path_are_one() {
        for path in ["a/b", "/a/b", "a/b/", "./a/b", "//a/b//", "/.//a/b"] {
            assert_eq!(inside(path.as_bytes()), b"a/b");
        }
        for path in ["", "/", ".", "./", "//"] {
            assert_eq!(inside(path.as_bytes()), b"");
        }
        assert_eq!(inside(b"./\xff/"), b"\xff");
    }
}
