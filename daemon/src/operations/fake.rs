//! Answers for tests: two snapshots, and a listing that the test writes.

use tokio::sync::Mutex;

use super::*;

/// The listing is given to the first who asks for it.
pub(crate) struct FakeQueries {
    listing: Mutex<Option<Listing>>,
    locks: Mutex<Vec<v1::Lock>>,
}

pub(crate) type ListingSender = mpsc::Sender<Result<v1::Entries, Failure>>;

/// The token is cancelled when the listing is not wanted any more.
pub(crate) fn fake_queries() -> (Arc<FakeQueries>, ListingSender, CancellationToken) {
    let (sender, parts) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    let listing = Listing::new(parts, cancel.clone());
    (Arc::new(FakeQueries { listing: Mutex::new(Some(listing)), locks: Mutex::default() }), sender, cancel)
}

#[async_trait]
impl Queries for FakeQueries {
    async fn init(&self, request: v1::InitRequest) -> Result<v1::InitResponse, Failure> {
        Err(Failure::no_such_repository(&request.repository))
    }

    async fn snapshots(&self, _: v1::ListSnapshotsRequest) -> Result<v1::ListSnapshotsResponse, Failure> {
        let snapshot = |seq, tag: &str, path: &str| {
            let source = v1::Source { r#type: "local".into(), path: path.into(), ..v1::Source::default() };
            v1::Snapshot { seq, source: Some(source), tags: vec![tag.into()], ..v1::Snapshot::default() }
        };
        let snapshots = vec![snapshot(2, "b", "/srv"), snapshot(1, "a", "/home")];
        let warnings = vec![v1::Warning { path: "snapshot/3".into(), problem: "is damaged".into() }];
        Ok(v1::ListSnapshotsResponse { snapshots, warnings, warning_count: 1 })
    }

    async fn locks(&self, _: &str) -> Result<Vec<v1::Lock>, Failure> {
        Ok(self.locks.lock().await.clone())
    }

    async fn break_locks(&self, _: &str) -> Result<Vec<v1::Lock>, Failure> {
        Ok(std::mem::take(&mut *self.locks.lock().await))
    }

    async fn keys(&self, _: &str) -> Result<v1::ListKeysResponse, Failure> {
        Ok(v1::ListKeysResponse::default())
    }

    async fn change_keys(&self, _: v1::ChangeKeysRequest, _: Option<Hold>) -> Result<v1::ChangeKeysResponse, Failure> {
        Ok(v1::ChangeKeysResponse::default())
    }

    async fn entries(&self, _: v1::ListEntriesRequest) -> Result<Listing, Failure> {
        self.listing.lock().await.take().ok_or_else(|| Failure::internal("asked twice"))
    }
}

#[async_trait]
impl Reading for FakeQueries {
    async fn diff(&self, request: v1::DiffRequest) -> Result<Answer<v1::DiffPart>, Failure> {
        Err(Failure::no_such_repository(&request.repository))
    }

    async fn find(&self, request: v1::FindRequest) -> Result<Answer<v1::FindPart>, Failure> {
        Err(Failure::no_such_repository(&request.repository))
    }

    async fn read_file(&self, request: v1::ReadFileRequest) -> Result<Answer<v1::FilePart>, Failure> {
        Err(Failure::no_such_repository(&request.repository))
    }

    async fn read_object(&self, request: v1::ReadObjectRequest, _: bool) -> Result<Answer<v1::ObjectPart>, Failure> {
        Err(Failure::no_such_repository(&request.repository))
    }
}
