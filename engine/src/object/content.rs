//! Content objects: what a file's bytes are made of (format, section 5).

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::{Deserialize, Serialize};

use super::reference::ObjectRef;

/// The chunks of a file in order, then its inline data; exactly one of the two in what this project writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    #[serde(rename = "type")]
    kind: ContentType,
    /// The size of the whole file in bytes.
    pub size: u64,
    /// The chunks, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_empty")]
    pub chunks: Vec<ObjectRef>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    data_inline_b64: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ContentType {
    Content,
}

impl Content {
    /// A file of at most [`super::INLINE_MAX`] bytes.
    pub fn inline(data: &[u8]) -> Self {
        let size = data.len() as u64;
        Self { kind: ContentType::Content, size, chunks: Vec::new(), data_inline_b64: BASE64_STANDARD.encode(data) }
    }

    /// A larger file.
    pub fn chunked(size: u64, chunks: Vec<ObjectRef>) -> Self {
        Self { kind: ContentType::Content, size, chunks, data_inline_b64: String::new() }
    }

    /// The canonical bytes of [`Content::inline`], for writers: a third of the work, because base64 needs no escapes.
    ///
    /// ```
    /// use cloudstic_engine::object::{json, Content};
    /// assert_eq!(Content::encode_inline(b"some bytes"), json::encode(&Content::inline(b"some bytes")));
    /// assert_eq!(Content::encode_inline(b""), json::encode(&Content::inline(b"")));
    /// ```
    pub fn encode_inline(data: &[u8]) -> Vec<u8> {
        let mut out = format!("{{\"type\":\"content\",\"size\":{}", data.len()).into_bytes();
        if !data.is_empty() {
            out.extend_from_slice(b",\"data_inline_b64\":\"");
            let start = out.len();
            out.resize(start + data.len().div_ceil(3) * 4 + 2, b'"');
            // The room is just what base64 needs, so it cannot be too small.
            let written = BASE64_STANDARD.encode_slice(data, &mut out[start..]).unwrap_or(0);
            out.truncate(start + written);
            out.push(b'"');
        }
        out.push(b'}');
        out
    }

    /// The inline data, empty if there are none; an error if they are not base64.
    pub fn inline_data(&self) -> Result<Vec<u8>, base64::DecodeError> {
        BASE64_STANDARD.decode(&self.data_inline_b64)
    }

    /// The length of the inline data's base64 text in bytes.
    pub fn inline_len(&self) -> usize {
        self.data_inline_b64.len()
    }
}

fn null_as_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<ObjectRef>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
