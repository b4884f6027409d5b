//! Paths relative to the root, in their three forms: the bytes that the system knows, the fileId that the repository
//! stores (format, section 11.3), and the text that people are shown.
//!
//! The invariant: bytes and fileId determine each other, so that an [`Entry`](super::Entry) needs only its fileId to be
//! found again.

use std::borrow::Cow;

use crate::object::file_id_component;

/// The fileId of a path. Escaping goes by byte sequences that never span a `/`, so whole paths can be encoded at once.
pub(super) fn file_id(path: &[u8]) -> Cow<'_, str> {
    file_id_component(path)
}

/// The path of a fileId that [`file_id`] made.
pub(super) fn path_bytes(file_id: &str) -> Cow<'_, [u8]> {
    let bytes = file_id.as_bytes();
    if !bytes.contains(&0) {
        return bytes.into();
    }
    let mut path = Vec::with_capacity(bytes.len());
    let mut parts = bytes.split(|byte| *byte == 0);
    path.extend_from_slice(parts.next().unwrap_or_default());
    for part in parts {
        let (digits, rest) = part.split_at(part.len().min(2));
        path.extend(std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()));
        path.extend_from_slice(rest);
    }
    path.into()
}

/// The fileId of the folder that holds an entry, `""` at the top.
pub(super) fn parent(file_id: &str) -> &str {
    file_id.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// A path fit to show on a terminal or in a log: one line, with nothing in it that acts on either.
pub(super) fn printable(path: &[u8]) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    crate::shown::path(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_file_id_leads_back_to_the_very_bytes_of_the_path(
            path in proptest::collection::vec(prop_oneof![1..=255u8, Just(b'/'), Just(0xe2), Just(0x82)], 0..40)
        ) {
            prop_assert_eq!(path_bytes(&file_id(&path)).into_owned(), path.clone());
            let by_component: Vec<_> = path.split(|byte| *byte == b'/').map(|name| file_id_component(name)).collect();
            prop_assert_eq!(by_component.join("/"), file_id(&path).into_owned());
        }
    }

    #[test]
    fn a_path_in_a_warning_cannot_break_the_line_or_colour_the_terminal() {
        assert_eq!(printable(b"a\nb\x1b[31m\xff\xc3\xa4"), "a\\nb\\x1b[31m\\xffä");
        assert_eq!(printable("x\u{202e}gpj.exe".as_bytes()), "x\\u{202e}gpj.exe");
    }
}
