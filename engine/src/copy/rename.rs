//! A filemeta of the source as the target has it: only the name of its content changes.

use super::content::Wanted;
use crate::object::{FileMeta, Hash, json};
use crate::repository::Repository;

/// A filemeta for the target.
pub(super) struct Renamed {
    pub(super) hash: Hash,
    pub(super) bytes: Vec<u8>,
    /// The content that it needs.
    pub(super) content: Option<Wanted>,
}

/// Gives a filemeta the name of its content in the target. Everything else stays, to the byte: also what this program
/// does not know.
pub(super) fn rename(bytes: &[u8], to: &Repository) -> Result<Renamed, String> {
    let meta: FileMeta = json::decode(bytes).map_err(|why| why.to_string())?;
    let Some(source) = meta.content() else {
        return match meta.content_ref.is_empty() && meta.content_hash.is_empty() {
            true => Ok(Renamed { hash: Hash::of(bytes), bytes: bytes.to_vec(), content: None }),
            false => Err("the name of its content is no hash".to_owned()),
        };
    };
    let Ok(hash) = meta.content_hash.parse::<Hash>() else {
        return Err("it has a content, and no hash to prove it by".to_owned());
    };
    let target = to.content_ref(&hash);
    let wanted = Wanted { source, target, hash, size: meta.size };
    let new_ref = match meta.content_ref.is_empty() && !to.marker().encrypted {
        // Without one, the hash is the name.
        true => String::new(),
        false => target.hash.to_string(),
    };
    let bytes = if new_ref == meta.content_ref { bytes.to_vec() } else { with_content_ref(bytes, meta, new_ref)? };
    Ok(Renamed { hash: Hash::of(&bytes), bytes, content: Some(wanted) })
}

fn with_content_ref(bytes: &[u8], meta: FileMeta, new_ref: String) -> Result<Vec<u8>, String> {
    let is_plain = json::encode(&meta) == bytes;
    let old_ref = meta.content_ref.clone();
    let new = FileMeta { content_ref: new_ref, ..meta };
    if is_plain {
        return Ok(json::encode(&new));
    }
    // It says more than is known here, or says it in another way. No text in JSON can hold a bare quote.
    let text = std::str::from_utf8(bytes).map_err(|why| why.to_string())?;
    let field = |name: &str| format!("\"content_ref\":\"{name}\"");
    let edited = text.replacen(&field(&old_ref), &field(&new.content_ref), 1).into_bytes();
    match json::decode::<FileMeta>(&edited) {
        Ok(found) if found == new => Ok(edited),
        _ => Err("it is written in a way in which its content cannot be renamed".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::repository::{Credential, InitOptions};
    use crate::store::{MemoryStore, ObjectStore};

    async fn repository(credentials: Vec<Credential>) -> Repository {
        let store: Arc<dyn ObjectStore> = Arc::new(MemoryStore::default());
        let options = InitOptions { credentials: credentials.clone(), ..InitOptions::default() };
        Repository::init(Arc::clone(&store), options).await.unwrap();
        Repository::open(store, credentials).await.unwrap()
    }

    #[tokio::test]
    async fn only_the_name_of_the_content_changes_even_in_what_others_wrote() {
        let (old, hash) = (Hash::of(b"old").to_string(), Hash::of(b"data").to_string());
        let text = |content_ref: &str, more: &str| {
            format!(
                r#"{{"version":0,"fileId":"a\"content_ref\":\"","name":"a","type":"file","parents":null,"content_hash":"{hash}"{content_ref},"size":4,"mtime":1,"owner":""{more}}}"#
            )
        };
        let encrypted = repository(vec![Credential::PlatformKey("ab".repeat(32).into())]).await;
        let named = |name: &str| format!(r#","content_ref":"{name}""#);
        let new = encrypted.content_ref(&hash.parse().unwrap()).hash.to_string();
        for more in ["", r#","unknown":[1, 2]"#] {
            let renamed = rename(text(&named(&old), more).as_bytes(), &encrypted).unwrap();
            assert_eq!(String::from_utf8(renamed.bytes).unwrap(), text(&named(&new), more));
            assert_eq!(renamed.content.unwrap().source.hash.to_string(), old);
        }
        let plain = repository(Vec::new()).await;
        let without = text("", r#","unknown":1"#);
        assert_eq!(rename(without.as_bytes(), &plain).unwrap().bytes, without.as_bytes());
        let named_by_hash = text(&named(&hash), "");
        assert_eq!(rename(named_by_hash.as_bytes(), &plain).unwrap().bytes, named_by_hash.as_bytes());
        assert!(rename(without.as_bytes(), &encrypted).is_err());
        assert!(rename(b"{}", &plain).is_err());
    }
}
