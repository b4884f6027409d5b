//! Questions about what is in snapshots, with the engine: what changed, where something is, the bytes of files and
//! objects. Each only reads, so none is a job or takes a lock; what is given was proven, or is said not to be.

use std::sync::Arc;

use async_trait::async_trait;
use cloudstic_engine::cat::{CatRequest, Shown, cat};
use cloudstic_engine::diff::{self, Change, ChangeKind, Count, DiffReport, DiffRequest, Totals};
use cloudstic_engine::dump::{self, DumpRequest};
use cloudstic_engine::find::{self, Criteria, FindReport, FindRequest, Match, Syntax};
use cloudstic_engine::progress::Progress;
use cloudstic_engine::repository::Repository;
use cloudstic_engine::view::{QueryError, SnapshotView};
use cloudstic_proto::{Reason, v1};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::answering::{PARTS_AHEAD, Part, QueryProgress, answer, batches, in_parts};
use super::queries::unpanicked;
use super::views::Views;
use super::{Answer, Engine, convert, paths};
use crate::failure::Failure;
use crate::supervisor::TaskKind;

/// How many warnings are told of a file.
const WARNINGS_TOLD: usize = 500;
/// How many bytes of an object go into one message.
const PIECE: usize = 256 << 10;

/// Questions about what is in snapshots.
#[async_trait]
pub trait Reading: Send + Sync + 'static {
    /// What changed from one snapshot to another.
    async fn diff(&self, request: v1::DiffRequest) -> Result<Answer<v1::DiffPart>, Failure>;

    /// Entries in some or all snapshots.
    async fn find(&self, request: v1::FindRequest) -> Result<Answer<v1::FindPart>, Failure>;

    /// The bytes of a file.
    async fn read_file(&self, request: v1::ReadFileRequest) -> Result<Answer<v1::FilePart>, Failure>;

    /// An object. `show_secrets`: also the wrapped key of a slot.
    async fn read_object(
        &self,
        request: v1::ReadObjectRequest,
        show_secrets: bool,
    ) -> Result<Answer<v1::ObjectPart>, Failure>;
}

#[async_trait]
impl Reading for Engine {
    async fn diff(&self, request: v1::DiffRequest) -> Result<Answer<v1::DiffPart>, Failure> {
        let v1::DiffRequest { repository, before, after, paths, no_renames } = request;
        let paths = paths.iter().map(|path| paths::inside(path).to_vec()).collect();
        let request = DiffRequest { before, after, paths, no_renames };
        let work = |open, progress, cancel| diff::diff(open, request, progress, cancel);
        self.answer(repository, work, diff_parts).await
    }

    async fn find(&self, request: v1::FindRequest) -> Result<Answer<v1::FindPart>, Failure> {
        let repository = request.repository.clone();
        let request = find_request(request)?;
        let work = |open, progress, cancel| find::find(open, request, progress, cancel);
        self.answer(repository, work, find_parts).await
    }

    async fn read_file(&self, request: v1::ReadFileRequest) -> Result<Answer<v1::FilePart>, Failure> {
        let repository = self.open.get(&request.repository).await?;
        let view = self.views.get(&repository, &request.snapshot, true).await;
        let view = view.map_err(|error| self.noted(&request.repository, &repository, error))?;
        let wanted =
            DumpRequest { path: paths::inside(&request.path).to_vec(), offset: request.offset, length: request.length };
        let cancel = self.stop.child_token();
        let cancelled = cancel.clone();
        let views = self.views.clone();
        let (parts, receiver) = mpsc::channel(PARTS_AHEAD);
        self.tasks.spawn_blocking(TaskKind::Query, move || {
            let read = || read_parts(&views, &view, &wanted, &parts, &cancelled);
            // Without an error at its end, data that broke off would look like a whole file.
            if let Err(failure) = unpanicked(read) {
                if matches!(failure.reason, Reason::Damaged | Reason::StoreFailed | Reason::NotInitialised) {
                    views.forget(&view);
                }
                let _ = parts.blocking_send(Err(failure));
            }
        });
        Ok(Answer::new(receiver, cancel))
    }

    async fn read_object(
        &self,
        request: v1::ReadObjectRequest,
        show_secrets: bool,
    ) -> Result<Answer<v1::ObjectPart>, Failure> {
        let v1::ReadObjectRequest { repository, key, stored } = request;
        let request = CatRequest { key, stored, show_secrets };
        let open = self.open.get(&repository).await?;
        let cancel = self.stop.child_token();
        let shown = cat(Arc::clone(&open), request, cancel.clone()).await;
        let shown = shown.map_err(|error| self.noted(&repository, &open, error))?;
        Ok(in_parts(&self.tasks, cancel, object_parts(shown)))
    }
}

impl Engine {
    /// Asks a question that may take long. What keeps the repository from being opened is an error of the call, all else
    /// one of the answer.
    async fn answer<P, T, E, Asked, Parts>(
        &self,
        name: String,
        question: impl FnOnce(Arc<Repository>, Arc<dyn Progress>, CancellationToken) -> Asked,
        parts: impl FnOnce(T) -> Parts + Send + 'static,
    ) -> Result<Answer<P>, Failure>
    where
        P: Part,
        E: Into<Failure>,
        Asked: Future<Output = Result<T, E>> + Send + 'static,
        Parts: Iterator<Item = P> + Send,
    {
        let repository = self.open.get(&name).await?;
        let (cancel, progress) = (self.stop.child_token(), Arc::<QueryProgress>::default());
        let asked = question(Arc::clone(&repository), progress.clone(), cancel.clone());
        let open = Arc::clone(&self.open);
        let question = async move {
            asked.await.map_err(|error| {
                let failure = error.into();
                open.failed(&name, &repository, &failure);
                failure
            })
        };
        Ok(answer(&self.tasks, cancel, progress, question, parts))
    }
}

impl Part for v1::DiffPart {
    fn progress(progress: v1::QueryProgress) -> Self {
        Self { progress: Some(progress), ..Self::default() }
    }
}

impl Part for v1::FindPart {
    fn progress(progress: v1::QueryProgress) -> Self {
        Self { progress: Some(progress), ..Self::default() }
    }
}

fn read_parts(
    views: &Views,
    view: &Arc<SnapshotView>,
    wanted: &DumpRequest,
    parts: &mpsc::Sender<Result<v1::FilePart, Failure>>,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    use v1::file_part::Part;
    let send =
        |part: Part| parts.blocking_send(Ok(v1::FilePart { part: Some(part) })).map_err(|_| QueryError::OutputClosed);
    let file = match views.file(view, &wanted.path) {
        Some(file) => file,
        None => {
            let file = Arc::new(dump::open(view, &wanted.path, cancel)?);
            views.keep_file(view, wanted.path.clone(), &file);
            file
        }
    };
    send(Part::Head(v1::FileHead { snapshot: view.reference().to_string(), size: file.size() }))?;
    dump::dump(view, &file, wanted, &mut |piece| send(Part::Data(piece)), cancel)?;
    let warnings = view.detours().iter().take(WARNINGS_TOLD).map(convert::warning).collect();
    Ok(send(Part::End(v1::FileEnd { warnings }))?)
}

fn diff_parts(report: DiffReport) -> impl Iterator<Item = v1::DiffPart> {
    let DiffReport { before, after, changes, totals, warnings, warning_count } = report;
    let first = v1::DiffPart {
        before: Some(convert::snapshot(before.0, &before.1)),
        after: Some(convert::snapshot(after.0, &after.1)),
        ..v1::DiffPart::default()
    };
    let last = v1::DiffPart { totals: Some(diff_totals(totals)), warning_count, ..v1::DiffPart::default() };
    let warnings = batches(warnings.into_iter().map(|warning| convert::warning(&warning)));
    let warnings = warnings.map(|warnings| v1::DiffPart { warnings, ..v1::DiffPart::default() });
    let changes = batches((0..changes.len()).filter_map(move |at| changes.get(at)).map(change));
    let changes = changes.map(|changes| v1::DiffPart { changes, ..v1::DiffPart::default() });
    std::iter::once(first).chain(warnings).chain(changes).chain(std::iter::once(last))
}

fn change(change: Change) -> v1::Change {
    let kind = match change.kind {
        ChangeKind::Removed => v1::ChangeKind::Removed,
        ChangeKind::Added => v1::ChangeKind::Added,
        ChangeKind::Type => v1::ChangeKind::Type,
        ChangeKind::Content => v1::ChangeKind::Content,
        ChangeKind::Metadata => v1::ChangeKind::Metadata,
        ChangeKind::Moved => v1::ChangeKind::Moved,
    };
    v1::Change {
        kind: kind.into(),
        path: change.path,
        from: change.from.unwrap_or_default(),
        fields: change.fields.iter().map(|field| field.as_str().to_owned()).collect(),
        before: change.before.map(|entry| convert::entry_info(&entry, Vec::new())),
        after: change.after.map(|entry| convert::entry_info(&entry, Vec::new())),
        below: (change.below != Count::default()).then(|| count(change.below)),
    }
}

const fn count(count: Count) -> v1::EntryCount {
    v1::EntryCount { files: count.files, folders: count.folders, others: count.others, bytes: count.bytes }
}

const fn diff_totals(totals: Totals) -> v1::DiffTotals {
    v1::DiffTotals {
        added: Some(count(totals.added)),
        removed: Some(count(totals.removed)),
        modified: Some(count(totals.modified)),
        modified_bytes_before: totals.modified_bytes_before,
        metadata: Some(count(totals.metadata)),
        moved: Some(count(totals.moved)),
    }
}

fn find_request(request: v1::FindRequest) -> Result<FindRequest, Failure> {
    const TYPES: [&str; 7] = ["file", "folder", "symlink", "fifo", "socket", "char", "block"];
    if let Some(other) = request.types.iter().find(|word| !TYPES.contains(&word.as_str())) {
        return Err(Failure::bad_request(format!("{other:?} is no type of an entry: give {}", TYPES.join(", "))));
    }
    let moment = |moment: prost_types::Timestamp| (moment.seconds, u32::try_from(moment.nanos).unwrap_or(0));
    let criteria = Criteria {
        patterns: request.patterns,
        syntax: if request.regex { Syntax::Regex } else { Syntax::Glob },
        ignore_case: request.ignore_case,
        larger: request.larger,
        smaller: request.smaller,
        newer: request.newer.map(moment),
        older: request.older.map(moment),
        hash: (!request.hash.is_empty()).then_some(request.hash),
        types: request.types.into_iter().collect(),
    };
    Ok(FindRequest { snapshots: request.snapshots, only: convert::filter(request.filter), criteria })
}

fn find_parts(report: FindReport) -> impl Iterator<Item = v1::FindPart> {
    let FindReport { snapshots, matches, warnings, warning_count } = report;
    let snapshots = batches(snapshots.into_iter().map(convert::snapshot_entry));
    let snapshots = snapshots.map(|snapshots| v1::FindPart { snapshots, ..v1::FindPart::default() });
    let warnings = batches(warnings.into_iter().map(|warning| convert::warning(&warning)));
    let warnings = warnings.map(|warnings| v1::FindPart { warnings, ..v1::FindPart::default() });
    let found = batches((0..matches.len()).filter_map(move |at| matches.get(at)).map(found));
    let found = found.map(|found| v1::FindPart { found, ..v1::FindPart::default() });
    let last = v1::FindPart { warning_count, ..v1::FindPart::default() };
    snapshots.chain(warnings).chain(found).chain(std::iter::once(last))
}

fn found(found: Match) -> v1::Found {
    let runs = found.snapshots.into_iter().map(|run| v1::SnapshotRun { start: run.start, end: run.end }).collect();
    v1::Found { entry: Some(convert::entry_info(&found.info, found.path)), runs }
}

fn object_parts(shown: Shown) -> impl Iterator<Item = v1::ObjectPart> {
    use v1::object_part::Part;
    let Shown { key, mut bytes, proven, json } = shown;
    let head = v1::ObjectHead { key, size: bytes.len() as u64, proven, json };
    let data = std::iter::from_fn(move || {
        let piece = bytes.split_to(bytes.len().min(PIECE));
        (!piece.is_empty()).then_some(Part::Data(piece))
    });
    std::iter::once(Part::Head(head)).chain(data).map(|part| v1::ObjectPart { part: Some(part) })
}
