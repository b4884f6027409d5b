//! Writing what one job finds.

use std::fs::{DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloudstic_proto::v1;

use super::{FindingsFolder, LONGEST, create, end, fits, record, remove};
use crate::supervisor::JobId;

/// After so many bytes it is looked again whether the disk has room for more.
const STRIDE: u64 = 1 << 20;

/// What one job finds. The engine's threads call in here.
#[derive(Debug)]
pub struct FindingsLog {
    folder: Arc<FindingsFolder>,
    id: JobId,
    list: Mutex<List>,
}

#[derive(Debug)]
enum List {
    /// Nothing was found yet.
    None,
    Open(Written),
    /// It takes no more. What it has is `None` where that had to go, too.
    Stopped {
        written: Option<Written>,
        why: String,
        left_out: u64,
    },
    Closed,
}

#[derive(Debug)]
struct Written {
    file: BufWriter<File>,
    bytes: u64,
    findings: u64,
    /// Findings that no message has room for.
    too_long: u64,
}

/// Why a list takes no more.
enum Stop {
    /// It keeps what it has.
    Full(String),
    Broken(io::Error),
}

impl Written {
    fn add(&mut self, finding: &v1::Finding, folder: &FindingsFolder) -> Result<(), Stop> {
        if !fits(finding) {
            self.too_long += 1;
            return Ok(());
        }
        let record = record(finding);
        let bytes = self.bytes + record.len() as u64;
        if bytes > folder.room / 2 {
            return Err(Stop::Full(format!("it has {} MiB, which is the most", folder.room >> 21)));
        }
        if bytes / STRIDE > self.bytes / STRIDE
            && let Some(why) = folder.is_full()
        {
            return Err(Stop::Full(why));
        }
        self.file.write_all(&record).map_err(Stop::Broken)?;
        self.bytes = bytes;
        self.findings += 1;
        Ok(())
    }

    /// Writes that nothing comes after this. Whoever gets an error has to make room.
    fn end(&mut self, missing: &str) -> io::Result<()> {
        self.file.write_all(&record(&end(missing)))?;
        self.file.flush()?;
        self.file.get_ref().sync_all()
    }

    /// Frees what it takes on the disk; gives how many findings are lost by that.
    fn discard(self, folder: &FindingsFolder, id: JobId) -> u64 {
        // What was not written yet must not come after all.
        let (file, _) = self.file.into_parts();
        // Also for those who have it open.
        if file.set_len(0).is_err() {
            remove(&folder.file(id));
        }
        self.findings
    }
}

impl FindingsLog {
    pub(super) fn new(folder: Arc<FindingsFolder>, id: JobId) -> Self {
        Self { folder, id, list: Mutex::new(List::None) }
    }

    /// Adds something.
    pub fn add(&self, finding: &v1::Finding) {
        let mut list = self.list();
        if matches!(*list, List::None) {
            *list = match self.begin() {
                Ok(written) => List::Open(written),
                Err(why) => List::Stopped { written: None, why, left_out: 0 },
            };
        }
        let added = match &mut *list {
            List::Open(written) => written.add(finding, &self.folder),
            List::Stopped { left_out, .. } => {
                *left_out += 1;
                return;
            }
            List::None | List::Closed => return,
        };
        if let Err(stop) = added {
            self.stop(&mut list, stop, 1);
        }
    }

    fn begin(&self) -> Result<Written, String> {
        let file = self.create().map_err(|error| error.to_string())?;
        match self.folder.is_full() {
            Some(why) => Err(why),
            None => Ok(Written { file: BufWriter::new(file), bytes: 0, findings: 0, too_long: 0 }),
        }
    }

    fn create(&self) -> io::Result<File> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder.path)?;
        // Before it is there, for whoever makes room must not take it for one that has ended.
        self.folder.open().insert(self.id);
        create(&self.folder.file(self.id))
    }

    /// What is `new` is left out of it, and so is all that comes.
    fn stop(&self, list: &mut List, stop: Stop, new: u64) {
        let List::Open(written) = std::mem::replace(list, List::Closed) else { return };
        *list = match stop {
            Stop::Full(why) => {
                let left_out = new + written.too_long;
                List::Stopped { written: Some(written), why, left_out }
            }
            Stop::Broken(error) => {
                let left_out = new + written.too_long + written.discard(&self.folder, self.id);
                List::Stopped { written: None, why: error.to_string(), left_out }
            }
        };
    }

    /// Lets those who read see what was added so far. Blocks.
    pub fn flush(&self) {
        let mut list = self.list();
        if let List::Open(written) = &mut *list
            && let Err(error) = written.file.flush()
        {
            self.stop(&mut list, Stop::Broken(error), 0);
        }
    }

    /// Nothing more will be found; gives what the list lacks, and why. Blocks until it is on the disk.
    pub fn close(&self) -> Option<String> {
        let (written, mut left_out, mut why) = match std::mem::replace(&mut *self.list(), List::Closed) {
            List::None | List::Closed => return None,
            List::Open(written) => {
                let (left_out, why) = (written.too_long, format!("each is longer than {} MiB", LONGEST >> 20));
                (Some(written), left_out, why)
            }
            List::Stopped { written, why, left_out } => (written, left_out, why),
        };
        let mut is_kept = false;
        if let Some(mut written) = written {
            match written.end(&missing(left_out, &why)) {
                Ok(()) => is_kept = true,
                Err(error) => {
                    left_out += written.discard(&self.folder, self.id);
                    why = error.to_string();
                }
            }
        }
        let missing = missing(left_out, &why);
        if !is_kept {
            self.leave_word(&missing);
        }
        self.folder.make_room(self.id);
        self.folder.open().remove(&self.id);
        Some(missing).filter(|missing| !missing.is_empty())
    }

    /// Says in the place of the list why there is none, if there is room for that.
    fn leave_word(&self, missing: &str) {
        if self.create().and_then(|mut file| file.write_all(&record(&end(missing)))).is_err() {
            remove(&self.folder.file(self.id));
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to say of a list that lacks so many.
fn missing(left_out: u64, why: &str) -> String {
    if left_out == 0 { String::new() } else { format!("{left_out} more could not be kept: {why}") }
}
