//! The daemon as what a file system is made from.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use cloudstic_proto::Reason;
use cloudstic_proto::v1::file_part::Part;
use cloudstic_proto::v1::{self, ListEntriesRequest, ListSnapshotsRequest, ReadFileRequest};
use fuser::FileType;
use prost_types::Timestamp;

use super::names;
use super::remote::{Entry, Fault, Listed, Remote, Snapshot, Snapshots};
use crate::connect::Daemon;
use crate::error::Error;
use crate::output::escape;

/// A repository of the daemon. A connection that was lost is made anew with the next question.
pub(crate) struct Repository {
    socket: PathBuf,
    name: String,
    daemon: Mutex<Option<Daemon>>,
}

impl Repository {
    /// Over a connection that was made already.
    pub(crate) fn new(socket: PathBuf, name: String, daemon: Daemon) -> Self {
        Self { socket, name, daemon: Mutex::new(Some(daemon)) }
    }

    /// Asks, and if the connection turns out to be lost once more over a new one: nothing that is asked changes anything.
    async fn ask<T, Answer>(&self, question: impl Fn(Daemon) -> Answer + Send + Sync) -> Result<T, Fault>
    where
        T: Send,
        Answer: Future<Output = Result<T, Error>> + Send,
    {
        let answer = match question(self.connected().await?).await {
            Err(Error::ConnectionLost(_)) => {
                self.keep(None);
                question(self.connected().await?).await
            }
            answer => answer,
        };
        answer.map_err(|error| {
            if matches!(error, Error::ConnectionLost(_)) {
                self.keep(None);
            }
            fault(&error)
        })
    }

    async fn connected(&self) -> Result<Daemon, Fault> {
        let known = self.daemon.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(daemon) = known {
            return Ok(daemon);
        }
        let daemon = Daemon::connect(&self.socket).await.map_err(|error| fault(&error))?;
        self.keep(Some(daemon.clone()));
        Ok(daemon)
    }

    fn keep(&self, daemon: Option<Daemon>) {
        *self.daemon.lock().unwrap_or_else(PoisonError::into_inner) = daemon;
    }
}

fn fault(error: &Error) -> Fault {
    let reason = error.reason();
    let gone = [Reason::NoSuchSnapshot, Reason::NoSuchPath].iter().any(|gone| gone.as_str() == reason);
    if gone { Fault::Missing(error.to_string()) } else { Fault::Failed(error.to_string()) }
}

impl Remote for Repository {
    async fn snapshots(&self) -> Result<Snapshots, Fault> {
        let list = self
            .ask(async |daemon: Daemon| {
                let request = ListSnapshotsRequest { repository: self.name.clone(), ..ListSnapshotsRequest::default() };
                Ok(daemon.repositories().list_snapshots(request).await?.into_inner())
            })
            .await?;
        let mut problems: Vec<_> = list.warnings.iter().map(problem).collect();
        let untold = list.warning_count.saturating_sub(problems.len() as u64);
        if untold > 0 {
            problems.push(format!("{untold} more cannot be read"));
        }
        let mut known = Vec::with_capacity(list.snapshots.len());
        for snapshot in list.snapshots {
            match snapshot
                .r#ref
                .strip_prefix("snapshot/")
                .filter(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
            {
                Some(hash) => known.push(Snapshot {
                    hash: hash.into(),
                    created: snapshot.created.as_ref().map(moment),
                    tags: snapshot.tags,
                }),
                None => problems.push(format!("{} is no snapshot", snapshot.r#ref)),
            }
        }
        Ok(Snapshots { known, problems })
    }

    async fn list(&self, snapshot: &str, folder: &[u8]) -> Result<Vec<Entry>, Listed> {
        let listing = self.ask(|daemon| self.entries(daemon, snapshot, folder)).await.map_err(Listed::Not)?;
        let (entries, problems) = listing;
        if problems.is_empty() { Ok(entries) } else { Err(Listed::Partly(entries, problems)) }
    }

    async fn read(&self, snapshot: &str, file: &[u8], offset: u64, length: u64) -> Result<Bytes, Fault> {
        self.ask(|daemon| self.part(daemon, snapshot, file, offset, length)).await
    }
}

impl Repository {
    async fn entries(&self, daemon: Daemon, snapshot: &str, folder: &[u8]) -> Result<(Vec<Entry>, Vec<String>), Error> {
        let request = ListEntriesRequest {
            repository: self.name.clone(),
            snapshot: snapshot.to_owned(),
            paths: if folder.is_empty() { Vec::new() } else { vec![folder.to_vec()] },
            shallow: true,
        };
        let mut listing = daemon.repositories().list_entries(request).await?.into_inner();
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        while let Some(message) = listing.message().await? {
            problems.extend(message.warnings.iter().map(problem));
            for entry in message.entries {
                match shown(entry, folder) {
                    Ok(entry) => entries.extend(entry),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        Ok((entries, problems))
    }

    async fn part(
        &self,
        daemon: Daemon,
        snapshot: &str,
        file: &[u8],
        offset: u64,
        length: u64,
    ) -> Result<Bytes, Error> {
        let request = ReadFileRequest {
            repository: self.name.clone(),
            snapshot: snapshot.to_owned(),
            path: file.to_vec(),
            offset,
            length: Some(length),
        };
        let mut parts = daemon.repositories().read_file(request).await?.into_inner();
        let mut bytes = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
        while let Some(part) = parts.message().await? {
            if let Some(Part::Data(data)) = part.part {
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes.freeze())
    }
}

/// An entry as the file system has it; nothing if it is the folder itself. What it cannot show is a problem.
fn shown(entry: v1::Entry, folder: &[u8]) -> Result<Option<Entry>, String> {
    if entry.path == folder {
        return Ok(None);
    }
    let unfit = |why| format!("{} {why}", escape::name(&entry.path));
    let below = if folder.is_empty() {
        Some(&*entry.path)
    } else {
        entry.path.strip_prefix(folder).and_then(|rest| rest.strip_prefix(b"/"))
    };
    let name = below.filter(|name| names::is_valid(name)).ok_or_else(|| unfit("has a name that no file can have"))?;
    let kind = kind(&entry.r#type).ok_or_else(|| unfit("is of an unknown type"))?;
    Ok(Some(Entry {
        name: name.into(),
        kind,
        size: if kind == FileType::RegularFile { entry.size } else { 0 },
        modified: entry.mtime.as_ref().map_or(UNIX_EPOCH, moment),
        // Twelve bits fit.
        mode: u16::try_from(entry.mode & 0o7777).unwrap_or_default(),
        uid: entry.uid,
        gid: entry.gid,
        target: entry.target.into(),
        identity: identity(&entry.r#ref),
    }))
}

/// What the daemon found damaged or missing.
fn problem(warning: &v1::Warning) -> String {
    if warning.path.is_empty() { warning.problem.clone() } else { format!("{}: {}", warning.path, warning.problem) }
}

fn kind(word: &str) -> Option<FileType> {
    Some(match word {
        "file" => FileType::RegularFile,
        "folder" => FileType::Directory,
        "symlink" => FileType::Symlink,
        "fifo" => FileType::NamedPipe,
        "socket" => FileType::Socket,
        "char" => FileType::CharDevice,
        "block" => FileType::BlockDevice,
        _ => return None,
    })
}

/// The hash in a reference.
fn identity(reference: &str) -> Option<[u8; 32]> {
    let digits = reference.rsplit('/').next().filter(|digits| digits.len() == 64)?.as_bytes();
    let mut hash = [0; 32];
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// A time as the system has it; one beyond all calendars is the epoch.
fn moment(time: &Timestamp) -> SystemTime {
    let seconds = Some(time.seconds.unsigned_abs()).filter(|seconds| *seconds < 1 << 56).map(Duration::from_secs);
    let sum =
        |seconds| if time.seconds < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    let whole = seconds.and_then(sum);
    let nanos = Duration::from_nanos(u64::try_from(time.nanos).unwrap_or_default());
    whole.and_then(|whole| whole.checked_add(nanos)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn entry(path: &[u8], kind: &str) -> v1::Entry {
        v1::Entry { path: path.to_vec(), r#type: kind.to_owned(), mode: 0o104_755, size: 7, ..v1::Entry::default() }
    }

    #[test]
    fn an_entry_is_what_lies_directly_in_its_folder() {
        let name = |path: &[u8], folder: &[u8]| {
            shown(entry(path, "file"), folder).map(|entry| entry.map(|entry| entry.name.into_vec()))
        };
        assert_eq!(name(b"a", b""), Ok(Some(b"a".to_vec())));
        assert_eq!(name(b"a/\xff", b"a"), Ok(Some(b"\xff".to_vec())));
        assert_eq!(name(b"a", b"a"), Ok(None));
        for (path, folder) in [(&b"a/b"[..], &b""[..]), (b"b", b"a"), (b"ab", b"a"), (b"a/..", b"a"), (b"..", b"")] {
            assert!(name(path, folder).is_err(), "{path:?} in {folder:?}");
        }
        assert!(name(b"a/", b"a").is_err());
    }

    #[test]
    fn what_is_not_known_is_a_problem_and_not_a_file() {
        assert!(shown(entry(b"a", "door"), b"").unwrap_err().contains("unknown type"));
        let entry = shown(entry(b"a", "fifo"), b"").unwrap().unwrap();
        assert_eq!((entry.kind, entry.mode, entry.size), (FileType::NamedPipe, 0o4755, 0));
    }

    #[test]
    fn times_before_the_epoch_and_beyond_the_calendar() {
        let at = |seconds, nanos| moment(&Timestamp { seconds, nanos });
        assert_eq!(at(-1, 250_000_000), UNIX_EPOCH - Duration::from_millis(750));
        assert_eq!(at(1, 5), UNIX_EPOCH + Duration::new(1, 5));
        assert_eq!(at(i64::MIN, 0), UNIX_EPOCH);
    }

    #[test]
    fn only_a_whole_hash_says_that_files_are_the_same() {
        assert_eq!(identity(&format!("filemeta/{}", "0a".repeat(32))), Some([10; 32]));
        for odd in ["", "filemeta/0a", &"zz".repeat(32), &"ä".repeat(32)] {
            assert_eq!(identity(odd), None, "{odd}");
        }
    }
}
