//! What is told where an answer does not come, or is another one than was hoped for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloudstic_cloud::s3::{Conditions, S3Settings, S3Store};
use cloudstic_engine::store::{ObjectStore, Retry, StoreError, StoreErrorKind, StoreResult};
use futures::TryStreamExt;
use hyper::Method;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::server::{Believes, Fault, MemoryS3, Server, answer};
use super::{ALL, settings, store};

const BYTES: Bytes = Bytes::from_static(b"0123456789");

fn kind<T>(result: StoreResult<T>) -> StoreErrorKind {
    result.map(drop).unwrap_err().kind
}

fn file(length: usize) -> std::fs::File {
    let mut file = tempfile::tempfile().unwrap();
    let bytes: Vec<u8> = (0..length).map(|at| (at / 7 % 251) as u8).collect();
    std::io::Write::write_all(&mut file, &bytes).unwrap();
    file
}

#[tokio::test]
async fn a_request_is_sent_once_and_its_error_says_whether_a_retry_helps() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let store = store(&server, ALL).await;
    store.put("packs/a", BYTES).await.unwrap();
    for (fault, expected) in [
        (Fault::Reset, StoreErrorKind::Transient),
        (Fault::CutOff, StoreErrorKind::Transient),
        (Fault::Refused(500, "InternalError", None), StoreErrorKind::Transient),
        (Fault::Refused(503, "SlowDown", None), StoreErrorKind::Throttled { retry_after: None }),
        (
            Fault::Refused(503, "SlowDown", Some("7")),
            StoreErrorKind::Throttled { retry_after: Some(Duration::from_secs(7)) },
        ),
        (
            Fault::Refused(429, "TooManyRequests", Some("1")),
            StoreErrorKind::Throttled { retry_after: Some(Duration::from_secs(1)) },
        ),
        (Fault::Refused(403, "ExpiredToken", None), StoreErrorKind::Denied),
        (Fault::Refused(507, "InsufficientStorage", None), StoreErrorKind::Full),
    ] {
        server.take_asked();
        server.faults.add(Method::GET, "packs/a", fault.clone());
        let error = store.get("packs/a").await.unwrap_err();
        assert_eq!(error.kind, expected, "{fault:?}: {error}");
        assert_eq!(server.take_asked().len(), 1, "{fault:?}");
        let may_help = matches!(expected, StoreErrorKind::Transient | StoreErrorKind::Throttled { .. });
        assert_eq!(error.retry() == Retry::MayHelp, may_help);
        assert!(error.to_string().contains("s3:backups/one/two"), "{error}");
        assert_eq!(store.get("packs/a").await.unwrap(), BYTES);
    }
}

/// It was done, and nobody says so. Without a limit of its own this would wait for ever.
#[tokio::test]
async fn a_write_that_is_never_answered_is_given_up_after_a_while() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let short = S3Settings { stall: Duration::from_millis(300), ..settings(&server) };
    // What is answered is asked of another one, as it may take longer where there is much to do.
    let (impatient, store) = (S3Store::connect(short, ALL).await.unwrap(), store(&server, ALL).await);
    for bytes in [Bytes::new(), BYTES] {
        server.faults.add(Method::PUT, "packs/a", Fault::Silence(Arc::new(Notify::new())));
        let put = tokio::time::timeout(Duration::from_secs(60), impatient.put("packs/a", bytes.clone())).await;
        let error = put.unwrap().unwrap_err();
        assert_eq!((error.kind, error.retry()), (StoreErrorKind::Transient, Retry::MayHelp), "{error}");
        assert!(error.to_string().contains("it was sent, and not answered"), "{error}");
        assert_eq!(store.get("packs/a").await.unwrap(), bytes);
    }
    let again = file((9 << 20) + 1);
    store.put_file("packs/a", again).await.unwrap();
    assert_eq!(store.get("packs/a").await.unwrap().len(), (9 << 20) + 1);
}

/// What nobody answers holds up nobody for long: not an upload in parts, however large, and not a delete.
#[tokio::test]
async fn whatever_is_asked_and_never_answered_is_given_up_after_a_while() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let short = S3Settings { stall: Duration::from_millis(200), ..settings(&server) };
    let (impatient, store) = (S3Store::connect(short, ALL).await.unwrap(), store(&server, ALL).await);
    let keys: Vec<String> = ["a", "b", "c"].map(|name| format!("packs/{name}")).into();
    for key in &keys {
        store.put(key, BYTES).await.unwrap();
    }
    let soon = Duration::from_secs(60);
    let late = |error: StoreError| assert_eq!(error.kind, StoreErrorKind::Transient, "{error}");
    let parts = 9 << 20;
    // To begin an upload, to end it; and then also to take it away again.
    for part in ["uploads", "uploadId"] {
        server.faults.add(Method::POST, part, Fault::Stall);
        server.faults.add(Method::DELETE, "uploadId", Fault::Stall);
        late(timeout(soon, impatient.put_file("packs/large", file(parts))).await.unwrap().unwrap_err());
        server.faults.forget();
    }
    server.faults.add(Method::POST, "delete", Fault::Stall);
    late(timeout(soon, impatient.delete_many(&keys)).await.unwrap().unwrap_err());
    let (_, version) = store.stat_versioned("packs/a").await.unwrap();
    server.faults.add(Method::DELETE, "packs/a", Fault::Stall);
    late(timeout(soon, impatient.delete("packs/a")).await.unwrap().unwrap_err());
    server.faults.add(Method::DELETE, "packs/a", Fault::Stall);
    late(timeout(soon, impatient.delete_if_unchanged("packs/a", &version)).await.unwrap().unwrap_err());
    // And nothing of it has hurt.
    store.put_file("packs/large", file(parts)).await.unwrap();
    assert_eq!(store.get("packs/large").await.unwrap().len(), parts);
    assert!(store.delete_many(&keys).await.unwrap().is_empty());
    assert_eq!(kind(store.get("packs/a").await), StoreErrorKind::NotFound);
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_missing_object() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let settings = S3Settings { location: "elsewhere".parse().unwrap(), ..settings(&server) };
    let store = S3Store::connect(settings, ALL).await.unwrap();
    let gone = StoreErrorKind::Gone;
    assert_eq!(kind(store.create_root().await), gone);
    assert_eq!(kind(store.get("config").await), gone);
    assert_eq!(kind(store.stat("config").await), gone);
    assert_eq!(kind(store.put("config", BYTES).await), gone);
    assert_eq!(kind(store.put_if_absent("config", BYTES).await), gone);
    assert_eq!(kind(store.delete("config").await), gone);
    assert_eq!(kind(store.list("").try_collect::<Vec<_>>().await), gone);
}

/// The first try is done, and its answer lost; so the second one meets it.
#[tokio::test]
async fn who_meets_its_own_first_try_has_won() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let (one, two) = (store(&server, ALL).await, store(&server, ALL).await);
    server.faults.add(Method::PUT, "lock", Fault::AnswerLost);
    assert_eq!(kind(one.put_if_absent("index/lock", BYTES).await), StoreErrorKind::Transient);
    assert!(!one.put_if_absent("index/lock", Bytes::from_static(b"another one")).await.unwrap());
    assert!(!two.put_if_absent("index/lock", BYTES).await.unwrap(), "this one has sent nothing before");
    assert!(one.put_if_absent("index/lock", BYTES).await.unwrap());
    assert!(!one.put_if_absent("index/lock", BYTES).await.unwrap(), "and by now it was told");

    let (_, version) = one.get_versioned("index/lock").await.unwrap();
    let new = Bytes::from_static(b"refreshed");
    server.faults.add(Method::PUT, "lock", Fault::AnswerLost);
    assert_eq!(kind(one.put_if_unchanged("index/lock", new.clone(), &version).await), StoreErrorKind::Transient);
    assert!(!two.put_if_unchanged("index/lock", new.clone(), &version).await.unwrap());
    assert!(one.put_if_unchanged("index/lock", new.clone(), &version).await.unwrap());
    assert_eq!(one.get("index/lock").await.unwrap(), new);
}

#[tokio::test]
async fn who_was_beaten_meanwhile_has_not_won() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let (one, two) = (store(&server, ALL).await, store(&server, ALL).await);
    server.faults.add(Method::PUT, "lock", Fault::Reset);
    assert_eq!(kind(one.put_if_absent("index/lock", BYTES).await), StoreErrorKind::Transient);
    assert!(two.put_if_absent("index/lock", Bytes::from_static(b"two's")).await.unwrap());
    assert!(!one.put_if_absent("index/lock", BYTES).await.unwrap());
    assert_eq!(one.get("index/lock").await.unwrap(), "two's");
}

/// As a time limit does: the request is dropped while nobody knows what became of it.
#[tokio::test]
async fn a_write_that_was_given_up_is_remembered_too() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    let store = store(&server, ALL).await;
    let done = Arc::new(Notify::new());
    server.faults.add(Method::PUT, "lock", Fault::Silence(Arc::clone(&done)));
    tokio::select! {
        answer = store.put_if_absent("index/lock", BYTES) => panic!("{answer:?}"),
        () = done.notified() => {}
    }
    assert!(store.put_if_absent("index/lock", BYTES).await.unwrap());
}

#[tokio::test]
async fn a_large_file_goes_in_parts_and_a_broken_upload_leaves_none() {
    let memory = MemoryS3::new(Believes::All);
    let server = Server::start(memory.clone()).await;
    let store = store(&server, ALL).await;
    let length = (20 << 20) + 3;
    store.put_file("index/packs", file(length)).await.unwrap();
    let targets: Vec<_> = server.take_asked().into_iter().filter(|asked| asked.method == Method::PUT).collect();
    assert!(targets.len() == 3 && targets.iter().all(|asked| asked.target.contains("partNumber")), "{targets:?}");
    let stored = store.get("index/packs").await.unwrap();
    assert!(stored.len() == length && stored.iter().enumerate().all(|(at, byte)| *byte == (at / 7 % 251) as u8));

    server.faults.add(Method::PUT, "partNumber=2", Fault::Refused(500, "InternalError", None));
    assert_eq!(kind(store.put_file("index/packs", file(length + 1)).await), StoreErrorKind::Transient);
    assert_eq!((memory.uploads(), store.get("index/packs").await.unwrap().len()), (0, length));

    let (_, version) = store.stat_versioned("index/packs").await.unwrap();
    assert!(store.put_file_if_unchanged("index/packs", file(length), None).await.unwrap().is_none());
    assert!(store.put_file_if_unchanged("index/packs", file(length + 2), Some(&version)).await.unwrap().is_some());
    assert!(store.put_file_if_unchanged("index/packs", file(length + 3), Some(&version)).await.unwrap().is_none());
    assert_eq!((memory.uploads(), store.get("index/packs").await.unwrap().len()), (0, length + 2));

    let (_, version) = store.stat_versioned("index/packs").await.unwrap();
    server.faults.add(Method::POST, "uploadId", Fault::AnswerLost);
    let lost = store.put_file_if_unchanged("index/packs", file(length), Some(&version)).await;
    assert_eq!(kind(lost), StoreErrorKind::Transient);
    assert!(store.put_file_if_unchanged("index/packs", file(length), Some(&version)).await.unwrap().is_some());
    assert_eq!(memory.uploads(), 0);
}

#[tokio::test]
async fn a_large_file_is_written_on_condition_where_parts_know_none() {
    let server = Server::start(MemoryS3::new(Believes::All)).await;
    for conditions in [Conditions { parts: false, ..ALL }, Conditions::NONE] {
        let store = store(&server, conditions).await;
        let length = (9 << 20) + 1;
        assert!(store.put_file_if_unchanged("index/packs", file(length), None).await.unwrap().is_some());
        assert!(store.put_file_if_unchanged("index/packs", file(length), None).await.unwrap().is_none());
        let (stat, version) = store.stat_versioned("index/packs").await.unwrap();
        assert_eq!(stat.size, length as u64);
        assert!(store.put_file_if_unchanged("index/packs", file(length + 1), Some(&version)).await.unwrap().is_some());
        assert!(store.put_file_if_unchanged("index/packs", file(length), Some(&version)).await.unwrap().is_none());
        assert_eq!(store.get("index/packs").await.unwrap().len(), length + 1);
        store.delete("index/packs").await.unwrap();
    }
}

#[tokio::test]
async fn what_is_retained_is_told_and_the_rest_goes() {
    let memory = MemoryS3::new(Believes::All);
    let server = Server::start(memory.clone()).await;
    let store = store(&server, ALL).await;
    let keys = put_twice(&store).await;
    memory.retain("one/two/packs/b");
    let errors = store.delete_many(&keys).await.unwrap();
    let told: Vec<_> = errors.iter().map(|error| (error.kind, error.key.as_str())).collect();
    assert_eq!(told, [(StoreErrorKind::Retained, "packs/b")]);
    assert_eq!(kind(store.delete("packs/b").await), StoreErrorKind::Retained);
    assert_eq!(memory.states(), ["one/two/packs/b"]);
    assert_eq!(store.get("packs/b").await.unwrap(), "again");
}

/// As a bucket with object lock does: versions cannot be removed, and objects can be hidden.
#[tokio::test]
async fn versions_that_are_retained_are_hidden_until_they_can_go() {
    let memory = MemoryS3::with_versions(Believes::All);
    let server = Server::start(memory.clone()).await;
    let settings = S3Settings { removes_versions: true, ..settings(&server) };
    let store = S3Store::connect(settings, ALL).await.unwrap();
    let keys = put_twice(&store).await;
    memory.retain("one/two/packs/b");
    assert!(store.delete_many(&keys).await.unwrap().is_empty());
    assert_eq!(kind(store.get("packs/b").await), StoreErrorKind::NotFound);
    // What was hidden is not hidden again, and what is written there is found.
    store.delete("packs/b").await.unwrap();
    assert_eq!(memory.states(), ["one/two/packs/b"; 3], "two versions, and a marker");
    store.put("packs/b", BYTES).await.unwrap();
    assert_eq!(store.get("packs/b").await.unwrap(), BYTES);
    store.delete("packs/b").await.unwrap();
    assert_eq!(kind(store.get("packs/b").await), StoreErrorKind::NotFound);
    memory.release("one/two/packs/b");
    store.delete("packs/b").await.unwrap();
    assert_eq!(memory.states(), Vec::<String>::new());
}

/// Each backup writes them anew.
#[tokio::test]
async fn of_indexes_no_old_versions_are_left() {
    let memory = MemoryS3::with_versions(Believes::All);
    let server = Server::start(memory.clone()).await;
    let settings = S3Settings { removes_versions: true, ..settings(&server) };
    let store = S3Store::connect(settings, ALL).await.unwrap();
    for key in ["index/latest", "index/lock.shared/a", "packs/a"] {
        store.put(key, BYTES).await.unwrap();
        store.put(key, Bytes::from_static(b"again")).await.unwrap();
    }
    let (_, version) = store.stat_versioned("index/latest").await.unwrap();
    assert!(store.put_if_unchanged("index/latest", BYTES, &version).await.unwrap());
    let names = |name: &str| memory.states().iter().filter(|state| state.ends_with(name)).count();
    assert_eq!((names("latest"), names("lock.shared/a"), names("packs/a")), (1, 2, 2));
    assert_eq!(store.get("index/latest").await.unwrap(), BYTES);
}

async fn put_twice(store: &S3Store) -> Vec<String> {
    let keys: Vec<_> = ["a", "b", "c"].map(|name| format!("packs/{name}")).into();
    for key in &keys {
        store.put(key, BYTES).await.unwrap();
        store.put(key, Bytes::from_static(b"again")).await.unwrap();
    }
    keys
}

/// Answers that are no errors, and not whole: nobody takes them for all there is.
#[tokio::test]
async fn answers_that_lack_something_are_asked_for_again() {
    let page = |rest: &str| {
        format!(
            "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <Contents><Key>one/two/packs/a</Key><Size>1</Size></Contents>{rest}</ListBucketResult>"
        )
    };
    let whole = page("<IsTruncated>false</IsTruncated><KeyCount>1</KeyCount>");
    for (text, is_whole) in [
        (whole.as_str(), true),
        (&page("<IsTruncated>false</IsTruncated>"), true),
        (&page("<IsTruncated>false</IsTruncated><KeyCount>2</KeyCount>"), false),
        (&page("<IsTruncated>true</IsTruncated>"), false),
        (&page(""), false),
        (&whole[..150], false),
        ("<html><body>Please log in to the network</body></html>", false),
        ("", false),
    ] {
        let text = text.to_owned();
        let server = Server::serve(move |_| {
            let text = text.clone();
            async move { Ok(answer(200, text)) }
        });
        let server = server.await;
        let listed: StoreResult<Vec<_>> = store(&server, ALL).await.list("packs/").try_collect().await;
        match listed {
            Ok(found) => assert!(is_whole && found.len() == 1, "{found:?}"),
            Err(error) => assert!(!is_whole && error.kind == StoreErrorKind::Transient, "{error}"),
        }
    }
}

/// An error in an answer to many deletes that does not say which one it is about.
#[tokio::test]
async fn of_deletes_that_may_have_failed_none_counts_as_done() {
    let server = Server::serve(|_| async {
        let text = "<DeleteResult><Error><Code>InternalError</Code></Error></DeleteResult>".to_owned();
        Ok(answer(200, text))
    });
    let server = server.await;
    let keys: Vec<_> = ["a", "b"].map(|name| format!("packs/{name}")).into();
    let error = store(&server, ALL).await.delete_many(&keys).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Transient, "{error}");
}

/// Of a service that lists no versions, or does not say which one is the last.
#[tokio::test]
async fn what_is_not_told_of_versions_is_not_guessed() {
    for versions in [
        "",
        "<Version><Key>one/two/index/latest</Key><VersionId>v</VersionId><IsLatest>false</IsLatest></Version>",
        "<Version><Key>one/two/index/latest</Key><IsLatest>true</IsLatest></Version>",
    ] {
        let memory = MemoryS3::new(Believes::All);
        let inner = Server::start(memory.clone()).await;
        let page = format!("<ListVersionsResult><IsTruncated>false</IsTruncated>{versions}</ListVersionsResult>");
        let server = Server::telling_versions(&inner.url, page).await;
        let settings = S3Settings { removes_versions: true, ..settings(&server) };
        let store = S3Store::connect(settings, ALL).await.unwrap();
        store.put("index/latest", BYTES).await.unwrap();
        assert_eq!(store.get("index/latest").await.unwrap(), BYTES, "{versions}");
        if !versions.contains("VersionId") {
            store.delete("index/latest").await.unwrap();
            assert_eq!(kind(store.get("index/latest").await), StoreErrorKind::NotFound, "{versions}");
        }
    }
}
