//! The contents of files: which the target has already, and how the others get there.

use super::CopyError;
use super::target::Target;
use crate::object::{Content, Hash, Hasher, INLINE_MAX, ObjectKind, ObjectRef, json};
use crate::repository::{ObjectReader, ReadError, RepositoryError, Stored};

/// A content that a snapshot needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// What it is called where it comes from.
    pub(super) source: ObjectRef,
    /// What it is called where it goes to.
    pub(super) target: ObjectRef,
    /// The hash of the file's bytes.
    pub(super) hash: Hash,
    /// How many there are.
    pub(super) size: u64,
}

/// What became of a content.
pub(super) enum Outcome {
    /// The target has all of it.
    Present,
    /// It was read, proven and written; on a dry run, it would be.
    Copied,
    /// It is damaged.
    Damaged(String),
}

/// Copies a content, unless the target has all of it.
pub(super) fn copy(objects: &ObjectReader, target: &Target, wanted: &Wanted) -> Result<Outcome, CopyError> {
    if is_complete(target, wanted)? {
        return Ok(Outcome::Present);
    }
    if target.is_dry() {
        return Ok(Outcome::Copied);
    }
    match transfer(objects, target, wanted) {
        Ok(()) => Ok(Outcome::Copied),
        Err(Trouble::Damage(problem)) => Ok(Outcome::Damaged(problem)),
        Err(Trouble::Stop(error)) => Err(error),
    }
}

/// Whether the content and all of its chunks are in the target.
fn is_complete(target: &Target, wanted: &Wanted) -> Result<bool, CopyError> {
    if !target.has(&wanted.target)? {
        return Ok(false);
    }
    if wanted.size <= INLINE_MAX {
        // It has no chunks.
        return Ok(true);
    }
    let Some(content) = stored(target, wanted)? else { return Ok(false) };
    for chunk in &content.chunks {
        if !target.has(chunk)? {
            return Ok(false);
        }
    }
    Ok(content.size == wanted.size)
}

/// The content as the target has it; nothing if it is damaged.
fn stored(target: &Target, wanted: &Wanted) -> Result<Option<Content>, CopyError> {
    match target.reader().read_json::<Content>(&wanted.target) {
        Ok(content) => Ok(Some(content)),
        Err(ReadError::Store(error)) => Err(RepositoryError::from(error).into()),
        Err(_) => Ok(None),
    }
}

enum Trouble {
    Damage(String),
    Stop(CopyError),
}

fn transfer(objects: &ObjectReader, target: &Target, wanted: &Wanted) -> Result<(), Trouble> {
    let bytes = objects.read(&wanted.source)?;
    let mut content: Content = json::decode(&bytes).map_err(|why| damage(wanted, why))?;
    let inline = content.inline_data().map_err(|why| damage(wanted, format!("its data are not base64: {why}")))?;
    let (mut hasher, mut seen) = (Hasher::new(), 0u64);
    let mut watch = |piece: &[u8]| {
        hasher.update(piece);
        seen += piece.len() as u64;
        match seen > wanted.size {
            true => Err(damage(wanted, "it has more data than its file is long")),
            false => Ok(()),
        }
    };
    let mut chunks = Vec::with_capacity(content.chunks.len());
    // A hole is one chunk many times.
    let mut last: Option<(ObjectRef, bytes::Bytes, ObjectRef)> = None;
    for &chunk in &content.chunks {
        if let Some((_, bytes, name)) = last.as_ref().filter(|(last, ..)| *last == chunk) {
            watch(bytes)?;
            chunks.push(*name);
            continue;
        }
        if chunk.kind != ObjectKind::Chunk {
            return Err(damage(wanted, format!("{chunk} is in the place of a chunk")));
        }
        target.may_go_on()?;
        let bytes = objects.read(&chunk)?;
        watch(&bytes)?;
        let name = target.chunk_ref(&bytes);
        target.write(name, &bytes)?;
        chunks.push(name);
        last = Some((chunk, bytes, name));
    }
    watch(&inline)?;
    let found = hasher.finish();
    if found != wanted.hash || seen != wanted.size {
        return Err(damage(wanted, format!("its data have the hash {found}, not {}", wanted.hash)));
    }
    let is_same = wanted.source == wanted.target && chunks == content.chunks;
    let renamed = match (is_same, chunks.is_empty()) {
        (true, _) => bytes.to_vec(),
        (false, true) => Content::encode_inline(&inline),
        (false, false) => {
            (content.chunks, content.size) = (chunks.clone(), seen);
            json::encode(&content)
        }
    };
    let was_there = target.write_after(&chunks, wanted.target, &renamed)? == Stored::Before;
    // One that was there, and lacked chunks, names those that are there now only if it was cut in the same way.
    if was_there && stored(target, wanted)?.is_some_and(|there| there.chunks != chunks) {
        let problem = "the target has it in other pieces, and not all of them: check and repair the target";
        return Err(Trouble::Damage(format!("{}: {problem}", wanted.target)));
    }
    Ok(())
}

fn damage(wanted: &Wanted, problem: impl std::fmt::Display) -> Trouble {
    Trouble::Damage(format!("{} is damaged: {problem}", wanted.source))
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => Self::Stop(RepositoryError::from(error).into()),
            problem => Self::Damage(problem.to_string()),
        }
    }
}

impl From<CopyError> for Trouble {
    fn from(error: CopyError) -> Self {
        Self::Stop(error)
    }
}
