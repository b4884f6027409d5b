//! What an object leads to.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::object::{FileMeta, Node, ObjectKind, ObjectRef, json};

/// A content without its inline data, which may be large.
#[derive(Deserialize)]
struct ChunkList {
    #[serde(rename = "type")]
    _kind: ContentType,
    size: u64,
    #[serde(default)]
    chunks: Option<Vec<ObjectRef>>,
    data_inline_b64: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum ContentType {
    Content,
}

/// Gives each object that this one names to `each`. An error says what is wrong with its bytes.
pub(super) fn links(object: &ObjectRef, bytes: &[u8], each: &mut dyn FnMut(ObjectRef)) -> Result<(), String> {
    let mut give = |link: ObjectRef, expected: ObjectKind| {
        if link.kind != expected {
            return Err(format!("{link} is in the place of a {}", expected.as_str()));
        }
        each(link);
        Ok(())
    };
    match object.kind {
        ObjectKind::Node => match decode(bytes)? {
            Node::Internal { children, .. } => children.into_iter().try_for_each(|child| give(child, ObjectKind::Node)),
            Node::Leaf(leaf) => {
                leaf.entries.into_iter().try_for_each(|entry| give(entry.filemeta, ObjectKind::Filemeta))
            }
        },
        ObjectKind::Filemeta => {
            let meta: FileMeta = decode(bytes)?;
            meta.content().map_or(Ok(()), |content| give(content, ObjectKind::Content))
        }
        ObjectKind::Content => {
            let ChunkList { size, chunks, data_inline_b64, .. } = decode(bytes)?;
            let chunks = chunks.unwrap_or_default();
            if size > 0 && chunks.is_empty() && data_inline_b64.is_none() {
                return Err(format!("it has none of its {size} bytes"));
            }
            chunks.into_iter().try_for_each(|chunk| give(chunk, ObjectKind::Chunk))
        }
        ObjectKind::Chunk | ObjectKind::Snapshot => Ok(()),
    }
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    json::decode(bytes).map_err(|why| why.to_string())
}
