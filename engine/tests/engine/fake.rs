//! A source that changes under the reader's hands, when a test says so: files, folders and hard links in memory, each
//! with a list of what happens to it while it is read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use cloudstic_engine::clock::Clock;
use cloudstic_engine::object::{EntryType, Extra, FileMeta, Hash, Posix, SourceInfo};
use cloudstic_engine::source::{Entry, FileReader, FileType, Listing, Source, SourceError, Stat, Warning};
use cloudstic_engine::sparse::ReadRuns;

/// What happens to a file the next time that it is read.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// Nothing.
    Calm,
    /// It gets these bytes when half of it is read.
    Change(Vec<u8>),
    /// The disk fails when half of it is read.
    Fail,
    /// It is gone before it is opened.
    Vanish,
    /// After the last look of the reader it gets these bytes, but the clock that stamps files has not moved since its
    /// last change, so its times stay; and then a second passes.
    ChangeUnseen(Vec<u8>),
}

#[derive(Debug, Clone)]
struct Node {
    /// `None` for a folder.
    data: Option<Vec<u8>>,
    /// Of all names of a file.
    inode: u64,
    changed: SystemTime,
    events: VecDeque<Event>,
}

/// The source, which is also the clock.
#[derive(Debug, Clone)]
pub(crate) struct Fake(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    info: SourceInfo,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    nodes: BTreeMap<String, Node>,
    now: SystemTime,
    /// What has an attribute that cannot be read.
    murky: BTreeSet<String>,
    /// Every file that was opened, in order.
    opened: Vec<String>,
}

/// The times of files are multiples of this: the clock that stamps them ticks slower than the one that programs ask.
const TICK: Duration = Duration::from_millis(4);

impl Fake {
    /// An empty source. The clock stands, a little after a tick.
    pub(crate) fn new() -> Self {
        let info = SourceInfo {
            source_type: "local".to_owned(),
            account: "host".to_owned(),
            path: "/fake".to_owned(),
            identity: "host".to_owned(),
            path_id: "/fake".to_owned(),
            ..SourceInfo::default()
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + TICK + TICK / 4;
        let state = State { nodes: BTreeMap::new(), now, murky: BTreeSet::new(), opened: Vec::new() };
        Self(Arc::new(Shared { info, state: Mutex::new(state) }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.state().now += time;
    }

    pub(crate) fn folder(&self, path: &str) {
        self.add(path, None, Vec::new());
    }

    /// A file that changed just now, and what will happen to it.
    pub(crate) fn file(&self, path: &str, data: &[u8], events: Vec<Event>) {
        self.add(path, Some(data.to_vec()), events);
    }

    fn add(&self, path: &str, data: Option<Vec<u8>>, events: Vec<Event>) {
        let mut state = self.state();
        let (inode, changed) = (state.nodes.len() as u64 + 1, state.stamp());
        let node = Node { data, inode, changed, events: events.into() };
        state.nodes.insert(path.to_owned(), node);
    }

    /// Another name of a file, and what will happen when that is read.
    pub(crate) fn link(&self, path: &str, first: &str, events: Vec<Event>) {
        let mut state = self.state();
        let node = Node { events: events.into(), ..state.nodes[first].clone() };
        state.nodes.insert(path.to_owned(), node);
    }

    /// The folder cannot be looked at any more, though its entries still can: they were opened before.
    pub(crate) fn lose(&self, folder: &str) {
        self.happen(folder, Event::Vanish);
    }

    /// Everything about an entry can be read, but an attribute.
    pub(crate) fn hide_attribute(&self, path: &str) {
        self.state().murky.insert(path.to_owned());
    }

    pub(crate) fn happen(&self, path: &str, event: Event) {
        self.state().nodes.get_mut(path).unwrap().events.push_back(event);
    }

    /// Nothing more happens to any file, and everything can be read.
    pub(crate) fn calm(&self) {
        self.state().murky.clear();
        self.state().nodes.values_mut().for_each(|node| node.events.clear());
    }

    /// The files that were opened since this was asked the last time.
    pub(crate) fn take_opened(&self) -> Vec<String> {
        let mut opened = std::mem::take(&mut self.state().opened);
        opened.sort();
        opened
    }
}

impl State {
    /// What a file that changes now gets as its times.
    fn stamp(&self) -> SystemTime {
        let since = self.now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let ticks = since / TICK.as_nanos();
        SystemTime::UNIX_EPOCH + Duration::from_nanos((ticks * TICK.as_nanos()) as u64)
    }

    fn write(&mut self, path: &str, data: Vec<u8>) {
        self.now += 2 * TICK;
        let changed = self.stamp();
        let inode = self.nodes[path].inode;
        for node in self.nodes.values_mut().filter(|node| node.inode == inode) {
            (node.data, node.changed) = (Some(data.clone()), changed);
        }
    }

    fn links(&self, node: &Node) -> u32 {
        self.nodes.values().filter(|other| other.inode == node.inode).count() as u32
    }

    fn stat(&self, node: &Node) -> Stat {
        let size = node.data.as_ref().map_or(0, |data| data.len() as u64);
        let since = node.changed.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let time = (since.as_secs() as i64, since.subsec_nanos());
        Stat {
            inode: node.inode,
            size,
            mtime: time,
            ctime: time,
            btime: 0,
            mode: if node.data.is_some() { 0o644 } else { 0o755 },
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            rdev: (0, 0),
            blocks: size.div_ceil(512),
            links: self.links(node),
            file_type: if node.data.is_some() { FileType::Regular } else { FileType::Folder },
        }
    }

    fn entry(&self, path: &str, node: &Node) -> Entry {
        let first = self.nodes.iter().find(|(_, other)| other.inode == node.inode).unwrap().0;
        Entry {
            file_id: path.to_owned(),
            name: split(path).1.as_bytes().to_vec(),
            entry_type: if node.data.is_some() { EntryType::File } else { EntryType::Folder },
            stat: self.stat(node),
            hardlink: (first != path).then(|| first.clone()),
        }
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn vanished(entry: &Entry) -> SourceError {
    SourceError::Vanished { path: entry.file_id.clone() }
}

impl Source for Fake {
    fn info(&self) -> &SourceInfo {
        &self.0.info
    }

    fn exclude_hash(&self) -> Option<Hash> {
        None
    }

    fn walk(&self, visit: &mut dyn FnMut(Listing) -> ControlFlow<()>) -> Result<(), SourceError> {
        let mut listings = Vec::new();
        {
            let state = self.state();
            let is_folder = |(_, node): &(&String, &Node)| node.data.is_none();
            let folders = state.nodes.iter().filter(is_folder).map(|(path, _)| path.as_str());
            let folders: BTreeSet<&str> = folders.chain([""]).collect();
            for hard_links in [false, true] {
                for folder in &folders {
                    let inside = state.nodes.iter().filter(|(path, _)| split(path).0 == *folder);
                    let listed = inside.filter(|(_, node)| (state.links(node) > 1) == hard_links);
                    let entries: Vec<_> = listed.map(|(path, node)| state.entry(path, node)).collect();
                    if !hard_links || !entries.is_empty() {
                        let folder = (*folder).to_owned();
                        listings.push(Listing { folder, entries, hard_links, warnings: Vec::new() });
                    }
                }
            }
        }
        let _ = listings.into_iter().try_for_each(visit);
        Ok(())
    }

    fn describe(&self, entry: &Entry) -> Result<(FileMeta, Vec<Warning>), SourceError> {
        let is_folder = entry.entry_type == EntryType::Folder;
        let state = self.state();
        let node = state.nodes.get(&entry.file_id).ok_or_else(|| vanished(entry))?;
        if is_folder && matches!(node.events.front(), Some(Event::Vanish)) {
            return Err(vanished(entry));
        }
        let parent = split(&entry.file_id).0;
        let posix = Posix { mtime_nsec: entry.stat.mtime.1, hardlink: entry.hardlink.clone(), ..Posix::default() };
        let meta = FileMeta {
            version: 0,
            file_id: entry.file_id.clone(),
            name: String::from_utf8(entry.name.clone()).unwrap(),
            entry_type: entry.entry_type,
            parents: (!parent.is_empty()).then(|| vec![parent.to_owned()]),
            paths: Vec::new(),
            content_hash: String::new(),
            content_ref: String::new(),
            size: entry.stat.size,
            mtime: entry.stat.mtime.0,
            owner: String::new(),
            extra: Extra::from_posix(posix),
            mode: entry.stat.mode,
            uid: entry.stat.uid,
            gid: entry.stat.gid,
            btime: 0,
            flags: 0,
            xattrs: BTreeMap::new(),
        };
        let hidden = || Warning { path: entry.file_id.clone(), problem: "an attribute cannot be read".to_owned() };
        Ok((meta, state.murky.contains(&entry.file_id).then(hidden).into_iter().collect()))
    }

    fn open(&self, entry: &Entry) -> Result<Box<dyn FileReader>, SourceError> {
        let mut state = self.state();
        let node = state.nodes.get_mut(&entry.file_id).ok_or_else(|| vanished(entry))?;
        let event = node.events.pop_front().unwrap_or(Event::Calm);
        if matches!(event, Event::Vanish) {
            state.nodes.remove(&entry.file_id);
            return Err(vanished(entry));
        }
        state.opened.push(entry.file_id.clone());
        let reader = Reader { fake: self.clone(), path: entry.file_id.clone(), stat: entry.stat, event, at: 0 };
        Ok(Box::new(reader))
    }

    fn refresh(&self, entry: &Entry) -> Result<Entry, SourceError> {
        let state = self.state();
        let node = state.nodes.get(&entry.file_id).ok_or_else(|| vanished(entry))?;
        Ok(Entry { stat: state.stat(node), ..entry.clone() })
    }
}

/// Reads what is there at that moment, as the system does.
struct Reader {
    fake: Fake,
    path: String,
    stat: Stat,
    event: Event,
    at: usize,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.fake.state();
        let half = (self.stat.size / 2) as usize;
        let mut end = usize::MAX;
        if matches!(self.event, Event::Fail | Event::Change(_)) {
            if self.at < half {
                end = half;
            } else if let Event::Change(data) = std::mem::replace(&mut self.event, Event::Calm) {
                state.write(&self.path, data);
            } else {
                return Err(io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()));
            }
        }
        let data = state.nodes[&self.path].data.as_ref().unwrap();
        let from = self.at.min(data.len());
        let read = (&data[from..end.min(data.len()).max(from)]).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

impl ReadRuns for Reader {}

impl FileReader for Reader {
    fn unchanged(&mut self) -> bool {
        let mut state = self.fake.state();
        let is_same = state.stat(&state.nodes[&self.path]) == self.stat;
        if let Event::ChangeUnseen(data) = std::mem::replace(&mut self.event, Event::Calm) {
            state.nodes.get_mut(&self.path).unwrap().data = Some(data);
            state.now += Duration::from_secs(1);
        }
        is_same
    }
}

impl Clock for Fake {
    fn now(&self) -> SystemTime {
        self.state().now
    }
}
