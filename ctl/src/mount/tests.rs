//! The file system over a repository in memory: no kernel, no daemon.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fuser::FileType;

use super::blocks::{BLOCK, CAPACITY};
use super::fake::{Fake, entry};
use super::nodes::{Node, ROOT, What};
use super::remote::{Entry, Fault};
use super::tree::{LISTED, Refusal, Tree};

const HASH: &str = "99bb1f6cd4d1281419f3f6e61307a634cb6a69f3b1af56c774012664eddc6e66";

/// A tree, the repository that it shows, and what it says.
struct World {
    fake: Fake,
    tree: Arc<Tree<Fake>>,
    said: Arc<Mutex<Vec<String>>>,
}

impl World {
    fn new(root: What) -> Self {
        let (fake, said) = (Fake::default(), Arc::<Mutex<Vec<String>>>::default());
        let lines = Arc::clone(&said);
        let tree = Tree::new(fake.clone(), root, Box::new(move |line| lines.lock().unwrap().push(line.to_owned())));
        Self { fake, tree: Arc::new(tree), said }
    }

    /// One snapshot as the root.
    fn of_one() -> Self {
        Self::new(What::Snapshot(HASH.into(), None))
    }

    async fn walk(&self, path: &[&[u8]]) -> Result<Arc<Node>, Refusal> {
        let mut node = self.tree.node(ROOT)?;
        for name in path {
            node = self.tree.look_up(node.number, name).await?;
        }
        Ok(node)
    }

    /// The names in a folder, read in pages of three.
    async fn names(&self, number: u64) -> Result<Vec<Vec<u8>>, Refusal> {
        let folder = self.tree.open_folder(number).await?;
        let mut names = Vec::new();
        let mut offset = 0;
        loop {
            let before = names.len();
            folder.page(offset, |next, name, _| {
                if names.len() - before == 3 {
                    return false;
                }
                names.push(name.to_vec());
                offset = next;
                true
            })?;
            if names.len() == before {
                return Ok(names);
            }
        }
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn snapshots_are_found_by_time_tag_and_as_the_latest() {
    let world = World::new(What::Top);
    world.fake.snapshot(HASH, 1_795_232_795, &["nightly", "a/b"]);
    world.fake.snapshot(&"0".repeat(64), 1_795_000_000, &["nightly", "nightly"]);
    assert_eq!(world.names(ROOT).await.unwrap(), [&b"."[..], b"..", b"latest", b"snapshots", b"tags"]);
    let latest = world.walk(&[b"latest"]).await.unwrap();
    let target = b"snapshots/2026-11-21T03-46-35Z_99bb1f6cd4d1";
    assert!(matches!(&world.tree.target(latest.number).unwrap().what, What::Link(to) if **to == *target));
    let tag = world.walk(&[b"tags", b"nightly"]).await.unwrap();
    assert_eq!(world.names(tag.number).await.unwrap().len(), 4);
    assert!(world.walk(&[b"tags", b"a\\x2fb", b"2026-11-21T03-46-35Z_99bb1f6cd4d1"]).await.is_ok());
    let root = world.walk(&[b"snapshots", b"2026-11-21T03-46-35Z_99bb1f6cd4d1"]).await.unwrap();
    assert_eq!(root.place().unwrap(), (HASH.into(), Vec::new()));
    assert_eq!(world.fake.0.lock().unwrap().asked_snapshots, 1, "they are known for a while");

    world.fake.0.lock().unwrap().snapshots.known.remove(0);
    tokio::time::advance(Duration::from_secs(6)).await;
    let gone = world.walk(&[b"snapshots", b"2026-11-21T03-46-35Z_99bb1f6cd4d1"]).await;
    assert_eq!(gone.unwrap_err(), Refusal::Missing);
    assert!(world.walk(&[b"snapshots", b"2026-11-18T11-06-40Z_000000000000"]).await.is_ok());
    assert_eq!(world.said(), Vec::<String>::new());
}

#[tokio::test]
async fn snapshots_that_begin_alike_have_names_of_their_own() {
    let world = World::new(What::Top);
    let hashes = [format!("{}1", "a".repeat(63)), format!("{}2", "a".repeat(63))];
    hashes.iter().for_each(|hash| world.fake.snapshot(hash, 0, &[]));
    for hash in &hashes {
        let name = format!("1970-01-01T00-00-00Z_{hash}");
        let root = world.walk(&[b"snapshots", name.as_bytes()]).await.unwrap();
        assert_eq!(&*root.place().unwrap().0, hash);
    }
}

#[tokio::test]
async fn a_repository_without_snapshots_has_no_latest() {
    let world = World::new(What::Top);
    assert_eq!(world.names(ROOT).await.unwrap(), [&b"."[..], b"..", b"snapshots", b"tags"]);
    assert_eq!(world.walk(&[b"latest"]).await.unwrap_err(), Refusal::Missing);
}

#[tokio::test]
async fn folders_are_listed_when_they_are_looked_into_and_once() {
    let world = World::of_one();
    world.fake.folder(b"", b"a");
    world.fake.folder(b"a", b"b\xff");
    world.fake.entry(b"a/b\xff", entry(b"c", FileType::RegularFile));
    let a = world.walk(&[b"a"]).await.unwrap();
    assert_eq!(world.fake.0.lock().unwrap().listed, [b"".to_vec()]);
    let c = world.walk(&[b"a", b"b\xff", b"c"]).await.unwrap();
    assert_eq!(c.place().unwrap().1, b"a/b\xff/c");
    assert_eq!(c.parent_number(), world.walk(&[b"a", b"b\xff"]).await.unwrap().number);
    assert_eq!(world.walk(&[b"a"]).await.unwrap().number, a.number);
    assert_eq!(world.fake.0.lock().unwrap().listed, [b"".to_vec(), b"a".to_vec(), b"a/b\xff".to_vec()]);
    assert_eq!(world.walk(&[b"a", b"nothing"]).await.unwrap_err(), Refusal::Missing);
    assert_eq!(world.walk(&[b"a", b"b\xff", b"c", b"d"]).await.unwrap_err(), Refusal::NotAFolder);
    assert_eq!(world.tree.open_file(a.number).unwrap_err(), Refusal::Unfit);
    assert!(world.tree.target(a.number).is_err());
}

#[tokio::test]
async fn a_large_folder_comes_in_pages_and_whole() {
    let world = World::of_one();
    let names: HashSet<Vec<u8>> = (0..10_000).map(|i| format!("file {i}").into_bytes()).collect();
    names.iter().for_each(|name| world.fake.entry(b"", entry(name, FileType::RegularFile)));
    let read = world.names(ROOT).await.unwrap();
    assert_eq!(read.len(), names.len() + 2);
    assert_eq!(read.into_iter().skip(2).collect::<HashSet<_>>(), names);
    assert_eq!(world.fake.0.lock().unwrap().listed.len(), 1);
}

#[tokio::test]
async fn a_folder_larger_than_the_cache_is_still_listed_once() {
    let world = World::of_one();
    for i in 0..=LISTED {
        world.fake.entry(b"", entry(format!("{i}").as_bytes(), FileType::RegularFile));
    }
    for name in ["0", "77", "100000"] {
        assert!(world.walk(&[name.as_bytes()]).await.is_ok());
    }
    assert_eq!(world.fake.0.lock().unwrap().listed.len(), 1);
}

#[tokio::test]
async fn what_the_kernel_forgets_is_not_remembered() {
    let world = World::of_one();
    for i in 0..100 {
        let name = format!("{i}");
        world.fake.entry(b"", entry(name.as_bytes(), FileType::RegularFile));
    }
    for i in 0..100 {
        let node = world.walk(&[format!("{i}").as_bytes()]).await.unwrap();
        world.tree.nodes.forget(node.number, 1);
    }
    assert_eq!(world.tree.nodes.count(), 0);
}

#[tokio::test]
async fn a_damaged_folder_shows_what_there_is_and_then_an_error() {
    let world = World::of_one();
    world.fake.entry(b"", entry(b"good", FileType::RegularFile));
    world.fake.0.lock().unwrap().problems = vec!["node ab is damaged".to_owned()];
    let folder = world.tree.open_folder(ROOT).await.unwrap();
    let mut seen = 0;
    let all = folder.page(0, |_, _, _| {
        seen += 1;
        true
    });
    assert_eq!((seen, all), (3, Ok(())));
    assert_eq!(folder.page(3, |_, _, _| true), Err(Refusal::Failed), "nobody takes it for the whole");
    assert!(world.walk(&[b"good"]).await.is_ok());
    assert_eq!(world.walk(&[b"lost"]).await.unwrap_err(), Refusal::Failed, "it may be there");
    assert_eq!(world.said(), ["cannot list 99bb1f6cd4d1/ completely: node ab is damaged"]);
}

#[tokio::test]
async fn two_entries_of_one_name_are_one_and_an_error() {
    let world = World::of_one();
    world.fake.entry(b"", entry(b"a", FileType::RegularFile));
    world.fake.entry(b"", entry(b"a", FileType::Directory));
    assert_eq!(world.names(ROOT).await.unwrap_err(), Refusal::Failed);
    assert!(world.walk(&[b"a"]).await.is_ok());
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i / 7 + i / 4096) as u8).collect()
}

#[tokio::test]
async fn any_range_of_a_file_is_what_was_stored() {
    let world = World::of_one();
    let size = 3 * BLOCK as usize + 12_345;
    let expected = bytes(size);
    world.fake.file(b"f", expected.clone());
    world.fake.file(b"empty", Vec::new());
    let node = world.walk(&[b"f"]).await.unwrap();
    let file = Arc::new(world.tree.open_file(node.number).unwrap());
    let block = BLOCK as usize;
    let ranges =
        [(0, 1), (0, size), (block - 1, 2), (block, block), (5, 2 * block), (size - 1, 10), (size, 5), (size + 9, 5)];
    for (offset, length) in ranges {
        let read = world.tree.read(&file, offset as u64, length as u64).await.unwrap();
        let end = size.min(offset + length);
        assert!(read == expected[offset.min(end)..end], "{offset}, {length}");
    }
    let empty = world.walk(&[b"empty"]).await.unwrap();
    let empty = Arc::new(world.tree.open_file(empty.number).unwrap());
    assert!(world.tree.read(&empty, 0, 4096).await.unwrap().is_empty());
    let asked = world.fake.0.lock().unwrap().read.clone();
    assert_eq!(asked.len(), 4, "each block once: {asked:?}");
}

#[tokio::test]
async fn small_reads_in_order_read_ahead_and_random_ones_do_not() {
    let world = World::of_one();
    world.fake.file(b"f", bytes(20 * BLOCK as usize));
    let node = world.walk(&[b"f"]).await.unwrap();
    let file = Arc::new(world.tree.open_file(node.number).unwrap());
    for offset in [0, 9, 4, 15] {
        world.tree.read(&file, offset * BLOCK, 100).await.unwrap();
    }
    assert_eq!(world.fake.0.lock().unwrap().read.len(), 4);

    let file = Arc::new(world.tree.open_file(node.number).unwrap());
    for piece in 0..16 {
        world.tree.read(&file, piece * (BLOCK / 8), BLOCK / 8).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut asked: Vec<_> = world.fake.0.lock().unwrap().read.iter().map(|(offset, _)| offset / BLOCK).collect();
    asked.sort_unstable();
    assert!([1, 2, 3, 5].iter().all(|block| asked.contains(block)), "{asked:?}");
    let all = asked.len();
    asked.dedup();
    assert_eq!(asked.len(), all, "no block twice");
}

#[tokio::test]
async fn memory_does_not_grow_with_what_is_read() {
    let world = World::of_one();
    world.fake.file(b"f", bytes(CAPACITY + 5 * BLOCK as usize));
    let node = world.walk(&[b"f"]).await.unwrap();
    let file = Arc::new(world.tree.open_file(node.number).unwrap());
    for index in 0..CAPACITY as u64 / BLOCK + 5 {
        world.tree.read(&file, index * BLOCK, 10).await.unwrap();
        assert!(world.tree.blocks.bytes() <= CAPACITY);
    }
}

#[tokio::test]
async fn files_with_one_description_share_their_blocks() {
    let world = World::of_one();
    for name in [b"a", b"b"] {
        let entry = Entry { size: 4, identity: Some([7; 32]), ..entry(name, FileType::RegularFile) };
        world.fake.entry(b"", entry);
        world.fake.0.lock().unwrap().files.insert(name.to_vec(), b"same".to_vec());
    }
    for name in [b"a", b"b"] {
        let node = world.walk(&[name]).await.unwrap();
        let file = Arc::new(world.tree.open_file(node.number).unwrap());
        assert_eq!(world.tree.read(&file, 0, 100).await.unwrap(), &b"same"[..]);
    }
    assert_eq!(world.fake.0.lock().unwrap().read.len(), 1);
}

#[tokio::test]
async fn what_failed_is_told_once_and_tried_again() {
    let world = World::of_one();
    world.fake.file(b"f\x1b", b"contents".to_vec());
    let node = world.walk(&[b"f\x1b"]).await.unwrap();
    let file = Arc::new(world.tree.open_file(node.number).unwrap());
    world.fake.fail(Some(Fault::Failed("chunk ab is damaged".to_owned())));
    for _ in 0..3 {
        assert_eq!(world.tree.read(&file, 0, 8).await.unwrap_err(), Refusal::Failed);
    }
    assert_eq!(world.said(), ["cannot read 99bb1f6cd4d1/f\\x1b: chunk ab is damaged"]);
    world.fake.fail(None);
    assert_eq!(world.tree.read(&file, 0, 8).await.unwrap(), &b"contents"[..]);
}

#[tokio::test]
async fn a_file_that_comes_short_is_an_error() {
    let world = World::of_one();
    world.fake.file(b"f", b"1234".to_vec());
    let node = world.walk(&[b"f"]).await.unwrap();
    let file = Arc::new(world.tree.open_file(node.number).unwrap());
    world.fake.0.lock().unwrap().files.insert(b"f".to_vec(), b"12".to_vec());
    assert_eq!(world.tree.read(&file, 0, 4).await.unwrap_err(), Refusal::Failed);
    assert!(world.said()[0].contains("2 bytes came instead of 4"), "{:?}", world.said());
}

#[tokio::test]
async fn a_snapshot_that_was_forgotten_is_not_there() {
    let world = World::of_one();
    world.fake.fail(Some(Fault::Missing("no snapshot 99bb".to_owned())));
    assert_eq!(world.walk(&[b"a"]).await.unwrap_err(), Refusal::Missing);
    assert_eq!(world.tree.open_folder(ROOT).await.unwrap_err(), Refusal::Missing);
}
