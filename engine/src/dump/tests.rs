#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::object::{Content, Hash, Hasher, ObjectKind, ObjectRef, Posix, json};
use crate::repository::ReadError;
use crate::tree::memory::Memory;
use crate::view::testing::{local, never, reads, view};

/// Ten chunks of 300,000 bytes and a short one, all different.
fn data() -> Vec<u8> {
    (0..3_100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn opened(memory: Memory, path: &str) -> (Arc<Memory>, SnapshotView, Result<OpenFile, QueryError>) {
    let mut memory = memory;
    let snapshot = local(&mut memory);
    let memory = Arc::new(memory);
    let view = view(&memory, &snapshot);
    let file = open(&view, path.as_bytes(), &never());
    reads(&memory);
    (memory, view, file)
}

fn read(view: &SnapshotView, file: &OpenFile, offset: u64, length: Option<u64>) -> Result<Vec<u8>, QueryError> {
    let mut out = Vec::new();
    file.read(view.objects(), offset, length, &mut |piece: Bytes| {
        out.extend_from_slice(&piece);
        Ok(())
    })?;
    Ok(out)
}

fn with_file(data: &[u8]) -> Memory {
    let mut memory = Memory::default();
    memory.folder(b"d", 0o755);
    memory.file(b"d/f", data);
    memory
}

#[test]
fn any_part_of_a_file_is_the_same_as_of_the_whole() {
    let data = data();
    let (memory, view, file) = opened(with_file(&data), "d/f");
    let file = file.unwrap();
    assert_eq!(file.size(), data.len() as u64);
    for (offset, length) in [(0, 1), (2_999_999, 2), (1_500_000, 300_001), (3_099_999, 99), (4_000_000, 5), (0, 0)] {
        let end = (offset + length).min(data.len());
        let expected = data.get(offset..end).unwrap_or_default();
        assert!(read(&view, &file, offset as u64, Some(length as u64)).unwrap() == expected, "{offset}+{length}");
    }
    assert!(read(&view, &file, 0, None).unwrap() == data);
    assert!(read(&view, &file, 17, None).unwrap() == data[17..]);
    drop(memory);
}

#[test]
fn reading_on_reads_each_chunk_once_and_the_end_is_reached_from_behind() {
    let (memory, view, file) = opened(with_file(&data()), "d/f");
    let file = file.unwrap();
    // The last bytes: the last chunk alone.
    read(&view, &file, 3_099_000, Some(1000)).unwrap();
    assert_eq!(reads(&memory)["chunk"], 1);
    read(&view, &file, 300_000, Some(10)).unwrap();
    assert_eq!(reads(&memory)["chunk"], 2);
    // In steps of a quarter of a chunk, as a reader of a mounted file does.
    let (memory, view, file) = opened(with_file(&data()), "d/f");
    let file = file.unwrap();
    for step in 0..40 {
        read(&view, &file, step * 75_000, Some(75_000)).unwrap();
    }
    assert_eq!(reads(&memory)["chunk"], 10);
    // Where chunks lie is known now.
    read(&view, &file, 1_250_000, Some(10)).unwrap();
    assert_eq!(reads(&memory)["chunk"], 1);
}

#[test]
fn small_files_are_proven_before_a_byte_is_given() {
    let mut memory = with_file(b"small");
    let content = ObjectRef::new(ObjectKind::Content, Hash::of(b"small"));
    memory.file(b"empty", b"");
    let (_, good, file) = opened(memory, "empty");
    assert_eq!(read(&good, &file.unwrap(), 0, None).unwrap(), b"");
    assert_eq!(read(&good, &open(&good, b"/d/f/", &never()).unwrap(), 1, Some(3)).unwrap(), b"mal");
    let mut memory = with_file(b"small");
    memory.replace(content, json::encode(&Content::inline(b"smell")));
    let (_, _, file) = opened(memory, "d/f");
    assert!(matches!(file, Err(QueryError::Read(ReadError::Damaged { object, .. })) if object == content));
}

#[test]
fn a_wrong_list_of_chunks_ends_the_whole_file_with_an_error() {
    let data = data();
    let mut hasher = Hasher::new();
    hasher.update(&data);
    let content = ObjectRef::new(ObjectKind::Content, hasher.finish());
    let list = |memory: &Memory| -> Vec<ObjectRef> {
        let list: Content = crate::tree::read_json(memory, &content).unwrap();
        list.chunks
    };
    type Spoil = fn(&mut Vec<ObjectRef>);
    let ways: [(Spoil, &str); 3] = [
        (|chunks| chunks.swap(0, 1), "its data have the hash"),
        (|chunks| _ = chunks.pop(), "its data have the hash"),
        (|chunks| chunks.push(chunks[0]), "more data than its file is long"),
    ];
    for (spoil, problem) in ways {
        let mut memory = with_file(&data);
        let mut chunks = list(&memory);
        spoil(&mut chunks);
        memory.replace(content, json::encode(&Content::chunked(data.len() as u64, chunks)));
        let (_, view, file) = opened(memory, "d/f");
        let why = read(&view, &file.unwrap(), 0, None).unwrap_err().to_string();
        assert!(why.contains(problem), "{why}");
    }
    // A part that would need what is not there.
    let mut memory = with_file(&data);
    let mut chunks = list(&memory);
    chunks.truncate(3);
    memory.replace(content, json::encode(&Content::chunked(data.len() as u64, chunks)));
    let (_, view, file) = opened(memory, "d/f");
    assert!(read(&view, &file.unwrap(), 1_000_000, Some(10)).is_err());
}

#[test]
fn a_lost_chunk_is_named_after_what_comes_before_it() {
    let data = data();
    let mut memory = with_file(&data);
    let lost = ObjectRef::new(ObjectKind::Chunk, Hash::of(&data[300_000..600_000]));
    memory.lose(lost);
    let (_, view, file) = opened(memory, "d/f");
    let mut given = 0;
    let ended = file.unwrap().read(view.objects(), 0, None, &mut |piece: Bytes| {
        given += piece.len();
        Ok(())
    });
    assert_eq!((given, ended.unwrap_err().to_string()), (300_000, format!("{lost} is missing")));
}

#[test]
fn what_has_no_bytes_says_what_to_do_instead() {
    let mut memory = with_file(b"x");
    memory.symlink(b"link", "d/f");
    memory.special(b"pipe", Posix { kind: Some(Kind::Fifo), ..Posix::default() });
    let (_, view, _) = opened(memory, "d");
    let why = |path: &str| open(&view, path.as_bytes(), &never()).unwrap_err().to_string();
    assert_eq!(why("d"), "d is a folder: use `cloudsticctl restore --zip -` with this path");
    assert!(why("").starts_with("/ is the root folder"));
    assert_eq!(why("link"), "link is a symbolic link to d/f: dump that instead");
    assert_eq!(why("pipe"), "pipe is a named pipe, which has no content");
    assert!(why("d/nothing").contains("d/nothing is not in snapshot/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_the_dump() {
    let (_, view, file) = opened(with_file(&data()), "d/f");
    file.unwrap();
    let (sender, mut receiver) = mpsc::channel(1);
    let request = DumpRequest { path: b"d/f".to_vec(), ..DumpRequest::default() };
    let dumping = tokio::spawn(dump_path(Arc::new(view), request, sender, never()));
    assert_eq!(receiver.recv().await.unwrap().len(), PIECE);
    drop(receiver);
    assert!(matches!(dumping.await.unwrap(), Err(QueryError::OutputClosed)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn parts_in_any_order_are_right(parts in proptest::collection::vec((0usize..3_200_000, 0usize..900_000), 1..8)) {
        let data = data();
        let (_, view, file) = opened(with_file(&data), "d/f");
        let file = file.unwrap();
        for (offset, length) in parts {
            let expected = data.get(offset..(offset + length).min(data.len())).unwrap_or_default();
            prop_assert!(read(&view, &file, offset as u64, Some(length as u64)).unwrap() == expected);
        }
    }
}
