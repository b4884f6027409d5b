//! JSON with line breaks and indentation, in the order in which it is written.
//!
//! The invariant: it still means the same; only the space between its parts changes, and inside strings characters that
//! a terminal would act on become escapes.

use std::fmt::Write;

use super::escape;

/// JSON for people. What is no JSON comes out broken into lines somehow, but safely.
pub(crate) fn json(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut depth = 0_usize;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push('"');
                string(&mut chars, &mut out);
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = chars.next_if(|&next| matches!((c, next), ('{', '}') | ('[', ']'))) {
                    out.push(end);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(',');
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => push(&mut out, c),
        }
    }
    out.push('\n');
    out
}

/// The rest of a string, with its closing quote.
fn string(chars: &mut impl Iterator<Item = char>, out: &mut String) {
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push('"');
                return;
            }
            '\\' => {
                out.push('\\');
                if let Some(escaped) = chars.next() {
                    push(out, escaped);
                }
            }
            c => push(out, c),
        }
    }
}

fn push(out: &mut String, c: char) {
    if escape::acts(c) {
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            // Writing into a String cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    } else {
        out.push(c);
    }
}

fn new_line(out: &mut String, depth: usize) {
    // Deeper than any object of a repository: a hostile one must not become a thousand times as large.
    const DEEPEST: usize = 32;
    out.push('\n');
    (0..depth.min(DEEPEST)).for_each(|_| out.push_str("  "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_gets_lines_and_keeps_its_order_and_meaning() {
        let text = r#"{"z":1,"a":[true,{}, [ ]],"s":"a,b:{\"\\","e":{"x":-1.5e3}}"#;
        let expected = "{\n  \"z\": 1,\n  \"a\": [\n    true,\n    {},\n    []\n  ],\n  \"s\": \"a,b:{\\\"\\\\\",\n  \"e\": {\n    \"x\": -1.5e3\n  }\n}\n";
        assert_eq!(json(text.as_bytes()), expected);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        assert_eq!(value(expected), value(text));
        assert_eq!(json(expected.as_bytes()), expected);
        assert_eq!(json(b"{}"), "{}\n");
    }

    #[test]
    fn strings_cannot_drive_the_terminal() {
        let text = "{\"name\":\"a\u{202e}b\u{9b}\"}";
        assert_eq!(json(text.as_bytes()), "{\n  \"name\": \"a\\u202eb\\u009b\"\n}\n");
        assert_eq!(json(b"no JSON \x1b[2J"), "noJSON\\u001b[\n  2J\n");
    }
}
