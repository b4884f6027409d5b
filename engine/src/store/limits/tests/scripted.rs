//! A store that fails as it is told to.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::{Arc, Mutex};

use futures::stream::{self, BoxStream, StreamExt};
use tokio::time::Instant;

use crate::store::hooked::{Hook, HookedStore};
use crate::store::{MemoryStore, ObjectStat, StoreError, StoreErrorKind, StoreOperation, StoreResult};

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    None,
    /// It fails before it reaches the store.
    Unsent(StoreErrorKind),
    /// It is done, and its answer lost.
    Unanswered(StoreErrorKind),
    /// It is never done.
    Hang,
    /// It is done and never answered.
    HangAfter,
    /// Half of the file is read, and then it is never done.
    HalfRead,
    /// A listing fails after so many objects.
    BreakAfter(usize),
    /// A listing goes silent after so many.
    HangList(usize),
}

#[derive(Debug)]
pub(super) struct Scripted {
    script: Mutex<Script>,
}

#[derive(Debug, Default)]
struct Script {
    faults: VecDeque<Fault>,
    broken: bool,
    broken_keys: HashSet<String>,
    times: Vec<Instant>,
}

impl Scripted {
    /// Fails so, one after the other, and then not any more.
    pub(super) fn new(faults: impl IntoIterator<Item = Fault>) -> Arc<HookedStore<Self>> {
        let script = Script { faults: faults.into_iter().collect(), ..Script::default() };
        HookedStore::new(Arc::new(MemoryStore::default()), Self { script: Mutex::new(script) })
    }

    pub(super) fn next(&self, fault: Fault) {
        self.script.lock().unwrap().faults.push_back(fault);
    }

    pub(super) fn break_off(&self) {
        self.script.lock().unwrap().broken = true;
    }

    pub(super) fn break_key(&self, key: &str) {
        self.script.lock().unwrap().broken_keys.insert(key.to_owned());
    }

    pub(super) fn repair(&self) {
        let mut script = self.script.lock().unwrap();
        script.broken = false;
        script.faults.clear();
    }

    /// When requests came.
    pub(super) fn times(&self) -> Vec<Instant> {
        self.script.lock().unwrap().times.clone()
    }

    fn fault(&self, key: &str) -> Fault {
        let mut script = self.script.lock().unwrap();
        script.times.push(Instant::now());
        let fault = script.faults.pop_front();
        let is_broken = script.broken || script.broken_keys.contains(key);
        fault.unwrap_or(if is_broken { Fault::Unsent(StoreErrorKind::Transient) } else { Fault::None })
    }

    fn error(&self, key: &str, kind: StoreErrorKind) -> StoreError {
        let detail = "the script says so".to_owned();
        StoreError { kind, key: key.to_owned(), backend: "memory".to_owned(), detail }
    }
}

impl Hook for Scripted {
    async fn request<T: Send>(
        &self,
        _operation: StoreOperation,
        key: &str,
        done: impl Future<Output = StoreResult<T>> + Send,
    ) -> StoreResult<T> {
        match self.fault(key) {
            Fault::Unsent(kind) => Err(self.error(key, kind)),
            Fault::Unanswered(kind) => done.await.and(Err(self.error(key, kind))),
            Fault::Hang | Fault::HalfRead => std::future::pending().await,
            Fault::HangAfter => {
                let _ = done.await;
                std::future::pending().await
            }
            Fault::None | Fault::BreakAfter(_) | Fault::HangList(_) => done.await,
        }
    }

    fn listing<'a>(
        &'a self,
        prefix: &'a str,
        listed: BoxStream<'a, StoreResult<ObjectStat>>,
    ) -> BoxStream<'a, StoreResult<ObjectStat>> {
        let failure = stream::iter([Err(self.error(prefix, StoreErrorKind::Transient))]);
        match self.fault(prefix) {
            Fault::None => listed,
            Fault::BreakAfter(count) => listed.take(count).chain(failure).boxed(),
            Fault::HangList(count) => listed.take(count).chain(stream::pending()).boxed(),
            _ => failure.boxed(),
        }
    }

    fn sends(&self, file: &mut File) {
        file.rewind().unwrap();
        if self.script.lock().unwrap().faults.front() == Some(&Fault::HalfRead) {
            file.read_exact(&mut [0; 4]).unwrap();
        }
    }
}
