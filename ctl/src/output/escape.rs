//! Makes names from a file system, and messages that contain them, safe to print.
//!
//! The invariant: what comes out has no newline and nothing a terminal would act on. So one entry is one line, and a
//! file's name can neither move the cursor nor turn around the text beside it.

use std::borrow::Cow;
use std::fmt::Write;

/// A name, reversibly: control characters as `\n`, `\t`, `\r`, `\x1b` or `\u{202e}`, bytes that are not UTF-8 as
/// `\xff`, and a backslash as `\\`.
pub(crate) fn name(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c == '\\' || acts(c)) => Cow::Borrowed(text),
        _ => Cow::Owned(escape(bytes, true)),
    }
}

/// A message: like [`name`], but backslashes stay, as the message may have escaped something itself.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if text.chars().any(acts) { Cow::Owned(escape(text.as_bytes(), false)) } else { Cow::Borrowed(text) }
}

/// Whether a terminal does more with a character than to show it.
pub(super) fn acts(c: char) -> bool {
    let turns_text_around =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let ends_a_line = matches!(c, '\u{2028}' | '\u{2029}');
    c.is_control() || turns_text_around || ends_a_line
}

fn escape(bytes: &[u8], backslashes: bool) -> String {
    let mut out = String::with_capacity(bytes.len() + 8);
    for part in bytes.utf8_chunks() {
        for c in part.valid().chars() {
            // Writing into a String cannot fail.
            let _ = match c {
                '\n' => out.write_str("\\n"),
                '\t' => out.write_str("\\t"),
                '\r' => out.write_str("\\r"),
                '\\' if backslashes => out.write_str("\\\\"),
                c if acts(c) && c.is_ascii() => write!(out, "\\x{:02x}", u32::from(c)),
                c if acts(c) => write!(out, "\\u{{{:x}}}", u32::from(c)),
                c => out.write_char(c),
            };
        }
        for byte in part.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The very bytes of what [`name`] or the daemon has escaped. What is no escape stays as it is.
pub(crate) fn undone(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('\\') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        rest = match unescape(escaped, &mut bytes) {
            Some(behind) => behind,
            None => {
                bytes.push(b'\\');
                escaped
            }
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    Cow::Owned(bytes)
}

/// Adds what the beginning of a text behind a backslash stands for, and gives the rest of it.
fn unescape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Option<&'a str> {
    let kind = text.chars().next()?;
    let behind = &text[kind.len_utf8()..];
    match kind {
        'n' => bytes.push(b'\n'),
        't' => bytes.push(b'\t'),
        'r' => bytes.push(b'\r'),
        '\\' => bytes.push(b'\\'),
        'x' => {
            bytes.push(u8::from_str_radix(behind.get(..2)?, 16).ok()?);
            return behind.get(2..);
        }
        'u' => {
            let (digits, behind) = behind.strip_prefix('{')?.split_once('}')?;
            let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(behind);
        }
        _ => return None,
    }
    Some(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_escaped_comes_back_byte_for_byte() {
        let alphabet = b"\\xu{}nf1\x1b\xff\xe2\x80\xae/";
        let mut name_of = |number: usize| {
            let digits = (0..5).scan(number, |rest, _| {
                let digit = *rest % alphabet.len();
                *rest /= alphabet.len();
                Some(alphabet[digit])
            });
            digits.collect::<Vec<_>>()
        };
        for bytes in (0..alphabet.len().pow(5)).step_by(7).map(&mut name_of) {
            assert_eq!(&*undone(&name(&bytes)), bytes.as_slice());
        }
        assert_eq!(&*undone("x\\u{202e}y"), "x\u{202e}y".as_bytes());
    }

    #[test]
    fn what_is_no_escape_stays() {
        for text in ["a\\", "\\q", "\\x1", "\\xzz", "\\x\u{e4}", "\\u{", "\\u{}", "\\u{110000}", "\\u{d800}"] {
            assert_eq!(&*undone(text), text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn ordinary_names_are_left_alone() {
        for plain in ["a b", "ünïcödé", "emoji-😀.txt", "quote\"'<&>"] {
            assert_eq!(name(plain.as_bytes()), plain);
        }
    }

    #[test]
    fn a_name_cannot_forge_lines_or_drive_the_terminal() {
        assert_eq!(name(b"a\nb"), "a\\nb");
        assert_eq!(name(b"\x1b[2J\x07\x7f"), "\\x1b[2J\\x07\\x7f");
        assert_eq!(name("\u{9b}2J".as_bytes()), "\\u{9b}2J");
        assert_eq!(name("exe.\u{202e}gpj".as_bytes()), "exe.\\u{202e}gpj");
        assert_eq!(name("a\u{2028}b".as_bytes()), "a\\u{2028}b");
    }

    #[test]
    fn escaped_names_stay_different() {
        assert_eq!(name(b"a\\nb"), "a\\\\nb");
        assert_eq!(name(b"\xff"), "\\xff");
        assert_eq!(name(b"\\xff"), "\\\\xff");
        assert_eq!(name(b"ok\xc3\x28"), "ok\\xc3(");
    }

    #[test]
    fn messages_keep_their_backslashes() {
        assert_eq!(text("cannot read \"a\\\\nb\""), "cannot read \"a\\\\nb\"");
        assert_eq!(text("two\nlines"), "two\\nlines");
    }
}
