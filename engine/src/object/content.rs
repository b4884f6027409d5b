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
