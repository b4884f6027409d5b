//! File names: bytes on Linux, text in the format (format, section 11.3).

use base64::prelude::{BASE64_STANDARD, Engine};

/// A file name as the format stores it: text, and the exact bytes where these are not UTF-8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName {
    /// The name; with one U+FFFD for each maximal invalid part if it is not UTF-8.
    pub text: String,
    /// The bytes in base64, only for a name that is not UTF-8.
    pub base64: Option<String>,
}

impl FileName {
    /// The stored form of a name.
    ///
    /// ```
    /// use cloudstic_engine::object::FileName;
    /// assert_eq!(FileName::from_bytes(b"a.txt").base64, None);
    /// let odd = FileName::from_bytes(b"a\xff.txt");
    /// assert_eq!((odd.text.as_str(), odd.base64.as_deref()), ("a\u{fffd}.txt", Some("Yf8udHh0")));
    /// ```
    pub fn from_bytes(name: &[u8]) -> Self {
        match std::str::from_utf8(name) {
            Ok(text) => Self { text: text.to_owned(), base64: None },
            Err(_) => {
                Self { text: String::from_utf8_lossy(name).into_owned(), base64: Some(BASE64_STANDARD.encode(name)) }
            }
        }
    }
}

/// How a file name is written in a `fileId`: each byte that is not part of valid UTF-8 as U+0000 and two upper-case hex
/// digits. No name can contain U+0000, so no two names collide.
///
/// ```
/// use cloudstic_engine::object::file_id_component;
/// assert_eq!(file_id_component(b"plain"), "plain");
/// assert_eq!(file_id_component(b"a\xff\xe9"), "a\0FF\0E9");
/// ```
pub fn file_id_component(name: &[u8]) -> std::borrow::Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(name) {
        return text.into();
    }
    let mut out = String::with_capacity(name.len() + 8);
    for part in name.utf8_chunks() {
        out.push_str(part.valid());
        for byte in part.invalid() {
            out.push_str(&format!("\0{byte:02X}"));
        }
    }
    out.into()
}

/// The bytes that a `fileId` of a local or SFTP source stands for: the way back from [`file_id_component`].
///
/// ```
/// use cloudstic_engine::object::file_id_bytes;
/// assert_eq!(&*file_id_bytes("d/a\0FF"), b"d/a\xff");
/// ```
pub fn file_id_bytes(file_id: &str) -> std::borrow::Cow<'_, [u8]> {
    if !file_id.contains('\0') {
        return file_id.as_bytes().into();
    }
    let mut out = Vec::with_capacity(file_id.len());
    let mut rest = file_id;
    while let Some((before, after)) = rest.split_once('\0') {
        out.extend_from_slice(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[2..];
            }
            None => rest = after,
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out.into()
}
