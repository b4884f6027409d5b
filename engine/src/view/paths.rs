//! Paths and fileIds: for local and SFTP sources one follows from the other (format, section 6).

use std::cmp::Ordering;

use crate::object::{FileMeta, SourceInfo, file_id_bytes, file_id_component};
use crate::tree::name_problem;

/// Whether the fileIds of a snapshot of this source are paths.
pub(crate) fn by_path(source: &SourceInfo) -> bool {
    matches!(source.source_type.as_str(), "local" | "sftp")
}

/// The fileId of the entry at a path, and that of its folder; `None` for the root.
pub(super) fn file_id(path: &[u8]) -> Option<(String, String)> {
    let components = path.split(|&byte| byte == b'/').filter(|component| !component.is_empty());
    let mut ids: Vec<_> = components.map(file_id_component).collect();
    let name = ids.pop()?;
    let parent = ids.join("/");
    let id = if parent.is_empty() { name.into_owned() } else { format!("{parent}/{name}") };
    Some((parent, id))
}

/// The path that the fileId of an entry is, if its name and its parent say the same and each part of it could be a name.
pub(crate) fn path_of(meta: &FileMeta) -> Option<Vec<u8>> {
    let (parent, component) = meta.file_id.rsplit_once('/').unwrap_or(("", &meta.file_id));
    let name = meta.name_bytes().ok()?;
    let agrees = meta.parent().unwrap_or_default() == parent && *file_id_bytes(component) == *name;
    let path = file_id_bytes(&meta.file_id);
    let are_names = path.split(|&byte| byte == b'/').all(|part| name_problem(part).is_none());
    (agrees && are_names).then(|| path.into_owned())
}

/// Paths in the order of a listing: bytewise by component, so that a folder stands right before what is in it.
pub(crate) fn path_order(a: &[u8], b: &[u8]) -> Ordering {
    // As if the slash were before all other bytes.
    let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
    match a.iter().zip(b).find(|(a, b)| a != b) {
        Some((&a, &b)) => rank(a).cmp(&rank(b)),
        None => a.len().cmp(&b.len()),
    }
}

/// Whether a path is a folder's or below it; the root is empty.
pub(crate) fn is_within(path: &[u8], folder: &[u8]) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tree::memory::meta;

    proptest! {
        #[test]
        fn paths_are_in_the_order_of_their_components(
            a in proptest::collection::vec(0u8..4, 0..8),
            b in proptest::collection::vec(0u8..4, 0..8),
        ) {
            let path = |bytes: Vec<u8>| bytes.into_iter().map(|byte| [b'/', 0, b'.', b'a'][usize::from(byte)]).collect();
            let (a, b): (Vec<u8>, Vec<u8>) = (path(a), path(b));
            let by_component = a.split(|&byte| byte == b'/').cmp(b.split(|&byte| byte == b'/'));
            prop_assert_eq!(path_order(&a, &b), by_component);
        }
    }

    #[test]
    fn a_path_becomes_a_file_id_and_comes_back() {
        for path in [&b"a"[..], b"a/b c/\xff\xe9.txt", b"\xc3/x"] {
            let meta = meta(path);
            let (parent, id) = file_id(path).unwrap();
            assert_eq!((meta.parent().unwrap_or_default(), &meta.file_id), (parent.as_str(), &id));
            assert_eq!(path_of(&meta).as_deref(), Some(path));
        }
        assert_eq!(file_id(b"/a//b/"), Some(("a".to_owned(), "a/b".to_owned())));
        assert_eq!(file_id(b"//"), None);
    }

    #[test]
    fn a_file_id_that_is_no_path_is_not_taken_for_one() {
        for path in [&b"../etc/passwd"[..], b"a/./b", b"a//b", b"/a"] {
            assert_eq!(path_of(&meta(path)), None, "{path:?}");
        }
        let mut moved = meta(b"a/b");
        moved.parents = Some(vec!["c".to_owned()]);
        assert_eq!(path_of(&moved), None);
        let mut renamed = meta(b"a/b");
        renamed.name = "c".to_owned();
        assert_eq!(path_of(&renamed), None);
    }

    #[test]
    fn a_folder_stands_right_before_what_is_in_it() {
        let mut paths: Vec<&[u8]> = vec![b"a.txt", b"a/b", b"a", b"a-b"];
        paths.sort_by(|a, b| path_order(a, b));
        assert_eq!(paths, [&b"a"[..], b"a/b", b"a-b", b"a.txt"]);
        assert!(is_within(b"a/b", b"a") && is_within(b"a", b"a") && is_within(b"a", b"") && !is_within(b"ab", b"a"));
    }
}
