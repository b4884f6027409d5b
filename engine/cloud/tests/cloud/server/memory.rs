//! Buckets in memory. Conditions are looked at and met at one moment, if it is told to believe in them.

mod service;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use bytes::Bytes;
use s3s::dto::ETagCondition;
use s3s::{S3Result, s3_error};
use sha2::{Digest, Sha256};

/// What it makes of conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Believes {
    /// They are met.
    All,
    /// Those on deletes are not looked at.
    Writes,
    /// None is looked at.
    Nothing,
    /// Requests with one are refused, as B2 does.
    Refuses,
}

/// Buckets in memory. Its clones are the same ones.
#[derive(Clone)]
pub(crate) struct MemoryS3 {
    inner: Arc<Mutex<Inner>>,
    believes: Believes,
    /// Every state of an object is kept.
    versions: bool,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Vec<State>>,
    uploads: HashMap<String, BTreeMap<i32, Bytes>>,
    retained: HashSet<String>,
    page: usize,
    count: u64,
    batches_refused: bool,
    /// With which class and encryption each object was written.
    pub(super) written: HashMap<String, (Option<String>, Option<String>)>,
}

/// One state of an object; a marker that it was deleted has no bytes.
#[derive(Clone)]
struct State {
    bytes: Option<Bytes>,
    etag: String,
    version: String,
    modified: SystemTime,
}

impl MemoryS3 {
    pub(crate) fn new(believes: Believes) -> Self {
        let inner = Inner { page: 1000, ..Inner::default() };
        Self { inner: Arc::new(Mutex::new(inner)), believes, versions: false }
    }

    /// One that keeps every state of an object.
    pub(crate) fn with_versions(believes: Believes) -> Self {
        Self { versions: true, ..Self::new(believes) }
    }

    /// Listings have so many names to a page.
    pub(crate) fn set_page(&self, page: usize) {
        self.lock().page = page;
    }

    /// Nobody can delete this any more.
    pub(crate) fn retain(&self, name: &str) {
        self.lock().retained.insert(name.to_owned());
    }

    /// Its time is over.
    pub(crate) fn release(&self, name: &str) {
        self.lock().retained.remove(name);
    }

    pub(crate) fn refuse_batches(&self) {
        self.lock().batches_refused = true;
    }

    /// Puts objects there without being asked.
    pub(crate) fn fill(&self, names: impl Iterator<Item = String>) {
        let mut inner = self.lock();
        for name in names {
            inner.write(&name, Some(Bytes::from_static(b"x")), None, false);
        }
    }

    /// All states of all objects, by name.
    pub(crate) fn states(&self) -> Vec<String> {
        self.lock().objects.iter().flat_map(|(name, states)| vec![name.clone(); states.len()]).collect()
    }

    pub(crate) fn uploads(&self) -> usize {
        self.lock().uploads.len()
    }

    /// The class and the encryption that an object was written with.
    pub(crate) fn written(&self, name: &str) -> (Option<String>, Option<String>) {
        self.lock().written.get(name).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn check(&self, inner: &Inner, name: &str, condition: Option<&Wanted>, deletes: bool) -> S3Result<()> {
        let Some(condition) = condition else { return Ok(()) };
        match (self.believes, deletes) {
            (Believes::Refuses, _) => {
                return Err(s3_error!(
                    NotImplemented,
                    "A header you provided implies functionality that is not implemented"
                ));
            }
            (Believes::Nothing, _) | (Believes::Writes, true) => return Ok(()),
            _ => {}
        }
        let found = inner.current(name);
        let holds = match condition {
            Wanted::Absent => found.is_none(),
            Wanted::Is(_) if found.is_none() => return Err(s3_error!(NoSuchKey)),
            Wanted::Is(etag) => found.is_some_and(|state| state.etag == *etag),
        };
        if holds { Ok(()) } else { Err(s3_error!(PreconditionFailed)) }
    }
}

enum Wanted {
    Absent,
    Is(String),
}

fn wanted(if_none_match: Option<ETagCondition>, if_match: Option<ETagCondition>) -> Option<Wanted> {
    let is = if_match.and_then(ETagCondition::into_etag).map(|etag| Wanted::Is(etag.into_value()));
    if_none_match.map(|_| Wanted::Absent).or(is)
}

impl Inner {
    fn current(&self, name: &str) -> Option<&State> {
        self.objects.get(name)?.last().filter(|state| state.bytes.is_some())
    }

    fn write(&mut self, name: &str, bytes: Option<Bytes>, parts: Option<usize>, keeps: bool) -> String {
        self.count += 1;
        let hash = hex::encode(Sha256::digest(bytes.as_deref().unwrap_or_default()));
        let etag = parts.map_or(hash[..32].to_owned(), |parts| format!("{}-{parts}", &hash[..32]));
        let version = format!("v{:06}", self.count);
        let state = State { bytes, etag: etag.clone(), version, modified: SystemTime::now() };
        let states = self.objects.entry(name.to_owned()).or_default();
        if !keeps {
            states.clear();
        }
        states.push(state);
        etag
    }

    fn delete(&mut self, name: &str, version: Option<&str>, keeps: bool) -> S3Result<()> {
        // To hide it is no removal.
        if self.retained.contains(name) && !(keeps && version.is_none()) {
            return Err(s3_error!(AccessDenied, "Access Denied because object protected by object lock."));
        }
        match version {
            Some(version) => {
                if let Some(states) = self.objects.get_mut(name) {
                    states.retain(|state| state.version != version);
                }
            }
            None if keeps && self.current(name).is_some() => drop(self.write(name, None, None, true)),
            None => drop(self.objects.remove(name)),
        }
        self.objects.retain(|_, states| !states.is_empty());
        Ok(())
    }
}
