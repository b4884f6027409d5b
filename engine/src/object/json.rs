//! Canonical JSON (format, section 4): no spaces, fields in declaration order, maps sorted by key, and the escapes of
//! the CLI: beside JSON's own, `<` `>` `&` and U+2028, U+2029 are escaped inside strings.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::Formatter;

/// The canonical bytes of a value.
///
/// ```
/// use cloudstic_engine::object::json;
/// assert_eq!(json::encode(&"a<b>\u{2028}\u{7f}\n\u{1}"), br#""a\u003cb\u003e\u2028"#.iter().copied()
///     .chain(*b"\x7f\\n\\u0001\"").collect::<Vec<u8>>());
/// ```
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    encode_into(&mut out, value);
    out
}

/// Appends the canonical bytes of a value to `out`.
#[expect(clippy::expect_used, reason = "a Vec takes everything, and the values of this room have only string keys")]
pub fn encode_into<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let mut serializer = serde_json::Serializer::with_formatter(out, Canonical);
    value.serialize(&mut serializer).expect("serialisable");
}

/// Reads a value; the error says where the text is not what it should be, never what it holds.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(bytes)
}

struct Canonical;

impl Formatter for Canonical {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let bytes = fragment.as_bytes();
        // Nearly every string has nothing to escape, and this look at it runs many bytes at once.
        if !bytes.iter().fold(false, |found, byte| found | matches!(byte, b'<' | b'>' | b'&' | 0xe2)) {
            return writer.write_all(bytes);
        }
        let mut written = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            let escape: &[u8] = match byte {
                b'<' => b"\\u003c",
                b'>' => b"\\u003e",
                b'&' => b"\\u0026",
                0xe2 if bytes[at..].starts_with(b"\xe2\x80\xa8") => b"\\u2028",
                0xe2 if bytes[at..].starts_with(b"\xe2\x80\xa9") => b"\\u2029",
                _ => continue,
            };
            writer.write_all(&bytes[written..at])?;
            writer.write_all(escape)?;
            written = at + if byte == 0xe2 { 3 } else { 1 };
        }
        writer.write_all(&bytes[written..])
    }
}
