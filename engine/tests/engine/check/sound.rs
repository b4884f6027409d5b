//! An undamaged repository never errs.

use std::sync::Arc;

use cloudstic_e2e::{golden, random};
use cloudstic_engine::check::{CheckReport, ReadData, Subset};
use cloudstic_engine::repository::{Credential, Repository};
use cloudstic_engine::store::{LocalStore, MeteredStore, StoreOperation};

use super::run;
use crate::support::{Bench, open, platform_key};

fn credentials(name: &str) -> Vec<Credential> {
    if name == "encrypted" { vec![Credential::Password("golden-password".into())] } else { Vec::new() }
}

#[track_caller]
fn assert_sound(report: &CheckReport) {
    assert_eq!((report.fault_count, &report.faults[..]), (0, &[][..]));
    assert_eq!((report.remark_count, &report.remarks[..]), (0, &[][..]));
    assert_eq!(report.damaged_snapshots, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repositories_of_the_cli_are_sound_and_have_as_many_objects_as_it_counted() {
    for name in ["plain", "encrypted", "nopack", "gzfiles"] {
        let folder = tempfile::tempdir().unwrap();
        golden::copy(name, folder.path());
        let repository = open(folder.path(), credentials(name)).await;
        let expected = golden::expected(name, "check-read-data.json");
        for data in [ReadData::No, ReadData::All] {
            let latest = run(&repository, Some("latest"), data).await.unwrap();
            assert_sound(&latest);
            assert_eq!(latest.snapshots, expected["SnapshotsChecked"].as_u64().unwrap());
            // Of its own three chunks that it cannot read, the CLI has not counted the ones that it found wrong.
            if name != "gzfiles" {
                assert_eq!(latest.objects, expected["ObjectsVerified"].as_u64().unwrap(), "{name}");
            }
            let all = run(&repository, None, data).await.unwrap();
            assert_sound(&all);
            if name != "gzfiles" {
                let counts = &golden::expected(name, "facts.json")["object_counts"];
                let kinds = ["chunk", "content", "filemeta", "node", "snapshot"];
                let objects: u64 = kinds.iter().map(|kind| counts[kind].as_u64().unwrap()).sum();
                assert_eq!((all.snapshots, all.objects, all.unreferenced), (3, objects, 0), "{name}");
            }
        }
    }
}

/// A repository with files of all sizes, many small ones, and some objects by themselves.
async fn bench(credentials: Vec<Credential>) -> Bench {
    let bench = Bench::new(credentials).await;
    for n in 0..200 {
        bench.write(&format!("d{}/f{n}", n % 7), format!("content {n}").as_bytes());
    }
    bench.write("empty", b"");
    bench.write("large", &random::bytes(1, 3 << 20));
    bench.write("medium", &random::bytes(2, 400_000));
    bench.backup().await;
    bench.write("d1/new", b"new");
    bench.write("d2/f2", b"changed");
    bench.backup().await;
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_wrote_is_sound() {
    for credentials in [Vec::new(), vec![platform_key()]] {
        let bench = bench(credentials.clone()).await;
        let fresh = open(&bench.repository_path(), credentials).await;
        for repository in [&bench.repository, &fresh] {
            for data in [ReadData::No, ReadData::All] {
                let report = run(repository, None, data).await.unwrap();
                assert_sound(&report);
                assert_eq!((report.snapshots, report.unreferenced, report.unneeded_packs), (2, 0, 0));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_repository_is_sound() {
    let bench = Bench::new(Vec::new()).await;
    assert_sound(&run(&bench.repository, None, ReadData::All).await.unwrap());
    let backup = bench.backup().await;
    assert_eq!(backup.root, None);
    let report = run(&bench.repository, None, ReadData::All).await.unwrap();
    assert_sound(&report);
    assert_eq!((report.snapshots, report.objects), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_parts_together_prove_everything_once() {
    let bench = bench(vec![platform_key()]).await;
    let whole = run(&bench.repository, None, ReadData::All).await.unwrap().data.unwrap();
    assert!(whole.complete && whole.next.is_none());
    let mut sum = (0, 0, 0, 0);
    for number in 1..=5 {
        let subset = Subset::Numbered { number, of: 5 };
        let part = run(&bench.repository, None, ReadData::Part { subset, from: 7 }).await.unwrap().data.unwrap();
        assert!(!part.complete && part.next.is_none());
        sum = (sum.0 + part.contents, sum.1 + part.bytes, sum.2 + part.packs, sum.3 + part.stored_bytes);
    }
    assert_eq!(sum, (whole.contents, whole.bytes, whole.packs, whole.stored_bytes));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_parts_together_read_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    golden::copy("nopack", folder.path());
    let store = MeteredStore::new(Arc::new(LocalStore::new(folder.path())));
    let meter = store.meter();
    let repository = Arc::new(Repository::open(Arc::new(store), Vec::new()).await.unwrap());
    let gets = async |data: ReadData| {
        let before = meter.count(StoreOperation::Get);
        let report = run(&repository, None, data).await.unwrap();
        assert_sound(&report);
        let after = meter.count(StoreOperation::Get);
        (after.requests - before.requests, after.bytes - before.bytes, report.data.unwrap_or_default())
    };
    let structure = gets(ReadData::No).await;
    let whole = gets(ReadData::All).await;
    let expected = (whole.0 - structure.0, whole.1 - structure.1, whole.2.contents);
    assert_eq!(expected.2, 33);
    let (mut from, mut sum, mut parts) = (12345, (0, 0, 0), Vec::new());
    for _ in 0..4 {
        let part = gets(ReadData::Part { subset: Subset::Percent(25.0), from }).await;
        sum = (sum.0 + part.0 - structure.0, sum.1 + part.1 - structure.1, sum.2 + part.2.contents);
        from = part.2.next.unwrap();
        parts.push(part.2.contents);
    }
    assert_eq!((from, sum), (12345, expected));
    assert!(parts.iter().all(|contents| *contents > 0), "{parts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_so_many_bytes_reads_no_more_and_all_of_them_everything() {
    const PART: u64 = 4 << 20;
    let bench = Bench::new(Vec::new()).await;
    // The lists of all their chunks lie in one pack.
    for n in 0..8 {
        bench.write(&format!("large-{n}"), &random::bytes(n, 3 << 20));
    }
    bench.backup().await;
    let store = MeteredStore::new(Arc::new(LocalStore::new(bench.repository_path())));
    let meter = store.meter();
    let repository = Arc::new(Repository::open(Arc::new(store), Vec::new()).await.unwrap());
    let received = async |data| {
        let before = meter.received();
        let report = run(&repository, None, data).await.unwrap();
        assert_sound(&report);
        (meter.received() - before, report.data.unwrap_or_default())
    };
    let structure = received(ReadData::No).await.0;
    let whole = received(ReadData::All).await.1;
    let (mut from, mut sum) = (0, (0, 0, 0));
    for _ in 0..8 {
        let (bytes, part) = received(ReadData::Part { subset: Subset::Bytes(PART), from }).await;
        assert!(bytes - structure <= PART && part.stored_bytes <= PART, "{bytes} bytes, {part:?}");
        assert!(part.contents > 0 || part.packs > 0);
        sum = (sum.0 + part.contents, sum.1 + part.bytes, sum.2 + part.packs);
        from = part.next.unwrap();
    }
    // Some is read twice in the eight parts, as the last one goes beyond a round.
    assert!(sum.0 >= whole.contents && sum.1 >= whole.bytes && sum.2 >= whole.packs, "{sum:?} of {whole:?}");
    let (_, all) = received(ReadData::Part { subset: Subset::Bytes(1 << 40), from }).await;
    assert!(all.complete && all.next == Some(from) && all.contents == whole.contents);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_a_check_is_no_fault() {
    let bench = Bench::new(vec![platform_key()]).await;
    let path = bench.repository_path();
    let checking = tokio::spawn(async move {
        // Another process: it knows nothing of what the backup has in memory.
        let repository = open(&path, vec![platform_key()]).await;
        let mut seen = std::collections::BTreeSet::new();
        while seen.last().is_none_or(|snapshots| *snapshots < 25) {
            let report = run(&repository, None, ReadData::All).await.unwrap();
            assert_eq!((report.fault_count, &report.faults[..]), (0, &[][..]));
            seen.insert(report.snapshots);
        }
        seen.len()
    });
    for n in 0..25 {
        for file in 0..20 {
            bench.write(&format!("d{}/f{file}", n % 3), format!("{n} of {file}").as_bytes());
        }
        bench.write("large", &random::bytes(n, 600_000));
        bench.backup().await;
    }
    assert!(checking.await.unwrap() > 2, "the checks saw nothing of the backups between");
}
