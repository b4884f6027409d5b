//! The small repository that is damaged, and what is known of it while it is sound.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use cloudstic_e2e::random;
use cloudstic_engine::crypto::Sealer;
use cloudstic_engine::object::ObjectRef;
use cloudstic_engine::repository::{Credential, InitOptions, Repository, RepositoryError};
use cloudstic_engine::restore::RestoreReport;
use cloudstic_engine::store::{LocalStore, MemoryStore};
use serde_json::Value;

use super::kinds::Damage;
use crate::memory::{Objects, load};
use crate::state::{State, state};
use crate::support::{Bench, restore};

/// A repository with two snapshots.
pub(super) struct Sound {
    pub(super) objects: Objects,
    pub(super) credentials: Vec<Credential>,
    pub(super) latest: String,
    pub(super) state: State,
    /// What an archive of it holds.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Where each packed object lies: pack, first byte, byte after the last.
    pub(super) members: BTreeMap<String, (String, usize, usize)>,
    /// Objects that the latest snapshot is made of.
    pub(super) needed: BTreeSet<String>,
    pub(super) sealer: Sealer,
}

impl Sound {
    pub(super) async fn new(credentials: Vec<Credential>) -> Self {
        let mut bench = Bench::new(credentials.clone()).await;
        if !credentials.is_empty() {
            // Again, with a slot that nobody uses.
            let path = bench.repository_path();
            std::fs::remove_dir_all(&path).unwrap();
            let store = Arc::new(LocalStore::new(&path));
            let options = InitOptions { credentials: credentials.clone(), recovery: true, ..InitOptions::default() };
            Repository::init(store.clone(), options).await.unwrap();
            bench.repository = Arc::new(Repository::open(store, credentials.clone()).await.unwrap());
        }
        bench.write("a", b"some bytes that are the same in both snapshots");
        bench.write("folder/b", b"old");
        std::os::unix::fs::symlink("a", bench.source().join("link")).unwrap();
        let _ = xattr::set(bench.source().join("folder"), "user.test", b"value");
        bench.backup().await;
        let large = random::bytes(1, 600_000);
        bench.write("folder/b", b"other bytes, and more of them");
        bench.write("large", &large);
        let files = [("a", &b"some bytes that are the same in both snapshots"[..]), ("folder/", b""), ("link", b"a")];
        let files = files.into_iter().chain([("folder/b", &b"other bytes, and more of them"[..]), ("large", &large)]);
        let files = files.map(|(path, data)| (path.to_owned(), data.to_vec())).collect();
        let latest = bench.backup().await.snapshot.unwrap().key();
        let objects = load(&bench.repository_path());
        let members = members(&objects["index/packs"]);
        let needed = needed(&bench.repository, &latest).await;
        let (state, sealer) = (state(&bench.source()), bench.repository.sealer().clone());
        Self { objects, credentials, latest, state, files, members, needed, sealer }
    }

    /// Opens a repository with these objects and restores its latest snapshot.
    pub(super) async fn restore(&self, objects: Objects, target: &Path) -> Result<RestoreReport, String> {
        let repository = self.open(objects).await.map_err(|error| error.to_string())?;
        restore(&repository, "latest", target).await.map_err(|error| error.to_string())
    }

    pub(super) async fn open(&self, objects: Objects) -> Result<Arc<Repository>, RepositoryError> {
        Ok(Arc::new(Repository::open(Arc::new(MemoryStore::of(objects)), self.credentials.clone()).await?))
    }

    /// The key of the file and the objects in it that a byte of it belongs to; all of them without a byte.
    pub(super) fn names(&self, key: &str, at: Option<usize>) -> Vec<String> {
        let mut names = vec![key.to_owned()];
        for (object, (pack, start, end)) in &self.members {
            let is_hit = pack == key && at.is_none_or(|at| (*start..*end).contains(&at));
            // The pack catalog names every packed object.
            if is_hit || key == "index/packs" {
                names.push(object.clone());
            }
        }
        names
    }

    /// The object that a flipped byte belongs to, and where it lies in its file.
    pub(super) fn hit(&self, damage: &Damage) -> Option<(String, Range<usize>)> {
        let (key, at) = (&damage.key, damage.at()?);
        if !key.starts_with("packs/") {
            return Some((key.clone(), 0..self.objects[key].len()));
        }
        let is_hit =
            |(_, (pack, start, end)): &(&String, &(String, usize, usize))| pack == key && (*start..*end).contains(&at);
        self.members.iter().find(is_hit).map(|(object, (_, start, end))| (object.clone(), *start..*end))
    }

    /// Where the pack catalog speaks of an object.
    pub(super) fn entry(&self, object: &str) -> Range<usize> {
        let text = str::from_utf8(&self.objects["index/packs"]).unwrap();
        let start = text.find(object).unwrap();
        start..start + text[start..].find('}').unwrap()
    }

    /// Whether a pack is damaged only behind what is needed of it, and that is no more than two objects.
    pub(super) fn is_behind_all(&self, damage: &Damage) -> bool {
        let is_needed = |object: &String, pack: &String| *pack == damage.key && self.needed.contains(object);
        let needed = self.members.iter().filter(|(object, (pack, ..))| is_needed(object, pack));
        let ends: Vec<usize> = needed.map(|(_, (_, _, end))| *end).collect();
        ends.len() <= 2 && ends.iter().all(|end| damage.first() >= *end)
    }

    /// What of a file was hit, for people.
    pub(super) fn region(&self, damage: &Damage) -> String {
        let Some(at) = damage.at() else { return "all of it".to_owned() };
        let (object, range) = self.hit(damage).unwrap_or_else(|| ("none of its objects".to_owned(), 0..0));
        let text = self.objects[&damage.key][at.saturating_sub(20)..].iter().take(40).copied().collect::<Vec<_>>();
        format!("byte {} of {object}, {}", at - range.start, text.escape_ascii())
    }
}

/// Where the pack catalog says that each object lies.
fn members(catalog: &[u8]) -> BTreeMap<String, (String, usize, usize)> {
    let catalog: BTreeMap<String, Value> = serde_json::from_slice(catalog).unwrap();
    let place = |entry: Value| {
        let start = entry["o"].as_u64().unwrap() as usize;
        (entry["p"].as_str().unwrap().to_owned(), start, start + entry["l"].as_u64().unwrap() as usize)
    };
    catalog.into_iter().map(|(key, entry)| (key, place(entry))).collect()
}

/// Every object that an object leads to, by the references in its JSON, and itself.
async fn needed(repository: &Arc<Repository>, from: &str) -> BTreeSet<String> {
    let reader = repository.reader().await.unwrap();
    let mut waiting = vec![from.to_owned()];
    let read = move || {
        let mut needed = BTreeSet::new();
        while let Some(key) = waiting.pop() {
            let Ok(object) = key.parse::<ObjectRef>() else { continue };
            if !needed.insert(key.clone()) || key.starts_with("chunk/") {
                continue;
            }
            let value: Value = reader.read_json(&object).unwrap();
            if let Some(content) = value["content_ref"].as_str() {
                waiting.push(format!("content/{content}"));
            }
            strings(&value, &mut waiting);
        }
        needed
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

fn strings(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| strings(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}
