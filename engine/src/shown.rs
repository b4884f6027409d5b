//! Paths as text, for reports and messages: one line that nothing acts on, and from which the very bytes can be had again.
//!
//! The one invariant: two paths that differ are shown differently. Control characters, what turns the direction of writing,
//! and bytes that are not UTF-8 are escapes (`\n`, `\t`, `\r`, `\x1b`, `\xff`, `\u{202e}`), and a backslash is `\\`.

use std::fmt::Write;

use crate::object::file_id_bytes;

/// A path as text, for [`crate::source::Warning`] and the like.
pub fn path(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for part in path.utf8_chunks() {
        for c in part.valid().chars() {
            // Writing into a String cannot fail.
            let _ = match c {
                '\n' => text.write_str("\\n"),
                '\t' => text.write_str("\\t"),
                '\r' => text.write_str("\\r"),
                '\\' => text.write_str("\\\\"),
                c if c.is_ascii_control() => write!(text, "\\x{:02x}", u32::from(c)),
                c if acts(c) => write!(text, "\\u{{{:x}}}", u32::from(c)),
                c => text.write_char(c),
            };
        }
        for byte in part.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The fileId of an entry as text: where it is a path, that path.
pub(crate) fn file_id(id: &[u8]) -> String {
    path(&file_id_bytes(&String::from_utf8_lossy(id)))
}

/// Controls, line separators, and what turns the direction of writing.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn what_acts_on_a_terminal_or_is_no_text_is_escaped() {
        assert_eq!(path(b"a\nb\x1b[31m\xff\xc3\xa4\t\x7f"), "a\\nb\\x1b[31m\\xffä\\t\\x7f");
        assert_eq!(path("x\u{202e}gpj.exe\u{85}\u{2029}".as_bytes()), "x\\u{202e}gpj.exe\\u{85}\\u{2029}");
        assert_eq!(path("plain name \u{1f600}".as_bytes()), "plain name \u{1f600}");
    }

    #[test]
    fn a_name_that_looks_like_an_escape_is_told_from_what_it_looks_like() {
        assert_eq!(path(br"a\xff"), r"a\\xff");
        assert_ne!(path(br"a\xff"), path(b"a\xff"));
    }
}
