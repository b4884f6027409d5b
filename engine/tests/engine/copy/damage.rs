//! Copies of what is damaged, and damaged copies.

use std::path::Path;
use std::sync::Arc;

use cloudstic_engine::copy::{CopyError, CopyRequest, CopyState};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repair::{RepairRequest, repair};
use cloudstic_engine::repository::{Repository, SnapshotSelection};
use tokio_util::sync::CancellationToken;

use super::{metered, read, run, states, target};
use crate::support::{Bench, PLATFORM_KEY, copy_all, open, platform_key, restore};

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_snapshot_is_not_copied_as_if_it_were_whole() {
    let bench = Bench::new(Vec::new()).await;
    bench.write("whole", b"whole");
    bench.backup().await;
    bench.write("d/large", &cloudstic_e2e::random::bytes(1, 1_600_000));
    bench.backup().await;
    std::fs::remove_file(bench.source().join("d/large")).unwrap();
    bench.write("later", b"later");
    bench.backup().await;
    let chunk = std::fs::read_dir(bench.repository_path().join("chunk")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&chunk).unwrap();
    std::fs::write(&chunk, &bytes[1..]).unwrap();

    let (path, sealed) = target(&bench.folder, "sealed", vec![platform_key()]).await;
    let strict = run(&bench.repository, &sealed, copy_all()).await.unwrap();
    assert_eq!(states(&strict), [CopyState::Copied, CopyState::Damaged, CopyState::Copied]);
    let told: Vec<_> = strict.warnings.iter().map(|warning| format!("{}: {}", warning.path, warning.problem)).collect();
    assert!(told[0].starts_with("d/large: chunk/") && told[1].contains("is not copied"), "{told:?}");
    let second = strict.snapshots[1].source.to_string();
    let only =
        |partial| CopyRequest { selection: SnapshotSelection::Named(vec![second.clone()]), partial, ..copy_all() };
    let refused = run(&bench.repository, &sealed, only(false)).await.unwrap_err().to_string();
    assert!(refused.contains("d/large"), "{refused}");

    let partial = run(&bench.repository, &sealed, only(true)).await.unwrap();
    assert_eq!((states(&partial), partial.warning_count), (vec![CopyState::Incomplete], 1));
    cloudstic_e2e::oracle::assert_sound(&path, &["--platform-key", PLATFORM_KEY]);
    let restored = bench.folder.path().join("restored");
    let copy = partial.snapshots[0].copy.unwrap().to_string();
    assert_eq!(restore(&sealed, &copy, &restored).await.unwrap().warning_count, 0);
    assert!(restored.join("whole").exists() && restored.join("d").exists() && !restored.join("d/large").exists());
    assert_eq!(states(&run(&bench.repository, &sealed, only(true)).await.unwrap()), [CopyState::Present]);

    // When the damage is mended, the whole of it can be copied, and then it is there.
    std::fs::write(&chunk, &bytes).unwrap();
    let (mended, _) = metered(&bench.repository_path()).await;
    assert_eq!(states(&run(&mended, &sealed, only(false)).await.unwrap()), [CopyState::Copied]);
    assert_eq!(states(&run(&mended, &sealed, only(false)).await.unwrap()), [CopyState::Present]);
    cloudstic_e2e::oracle::assert_sound(&path, &["--platform-key", PLATFORM_KEY]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_lost_of_the_tree_a_partial_copy_is_sound() {
    let bench = Bench::new(Vec::new()).await;
    for n in 0..60 {
        bench.write(&format!("d{}/f{n}", n % 4), format!("{n}").as_bytes());
    }
    bench.backup().await;
    // Without packs every object is a file that can be lost.
    let folder = tempfile::tempdir().unwrap();
    let loose = folder.path().join("loose");
    let objects = objects_of(&bench.repository).await;
    let mut lost = 0;
    for (object, _) in objects.iter().filter(|(object, _)| !object.starts_with("chunk/")).step_by(9) {
        unpacked(&bench.repository_path(), &loose, &objects);
        std::fs::remove_file(loose.join(object)).unwrap();
        let from = open(&loose, Vec::new()).await;
        let to = tempfile::tempdir().unwrap();
        let (path, sealed) = target(&to, "sealed", vec![platform_key()]).await;
        let refused = run(&from, &sealed, copy_all()).await.unwrap_err();
        assert!(matches!(refused, CopyError::AllDamaged { count: 1, .. }), "{object}: {refused}");
        assert!(read(&sealed).await.is_empty());
        let done = run(&from, &sealed, CopyRequest { partial: true, ..copy_all() }).await.unwrap();
        assert_eq!(states(&done), [CopyState::Incomplete], "{object}");
        if !object.starts_with("node/") {
            cloudstic_e2e::oracle::assert_sound(&path, &["--platform-key", PLATFORM_KEY]);
        }
        lost += 1;
    }
    assert!(lost > 10);
}

type Objects = Vec<(String, Vec<u8>)>;

/// All data objects with their plain bytes, which are right as sealed ones of a repository without keys.
async fn objects_of(repository: &Arc<Repository>) -> Objects {
    let reader = repository.reader().await.unwrap();
    let reading = tokio::task::spawn_blocking(move || {
        let kinds = cloudstic_engine::object::ObjectKind::ALL;
        let all: Vec<_> =
            kinds.into_iter().flat_map(|kind| reader.catalog().objects(kind).collect::<Vec<_>>()).collect();
        all.into_iter().map(|object| (object.to_string(), reader.read(&object).unwrap().to_vec())).collect()
    });
    reading.await.unwrap()
}

fn unpacked(from: &Path, to: &Path, objects: &Objects) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to.join("snapshot")).unwrap();
    std::fs::copy(from.join("config"), to.join("config")).unwrap();
    for entry in std::fs::read_dir(from.join("snapshot")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join("snapshot").join(entry.file_name())).unwrap();
    }
    for (object, bytes) in objects {
        let path = to.join(object);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_lost_files_in_a_repair_does_not_pass_for_a_whole_one() {
    let bench = Bench::new(Vec::new()).await;
    bench.write("small", b"small");
    bench.write("large", &cloudstic_e2e::random::bytes(1, 1_600_000));
    bench.backup().await;
    let (path, sealed) = target(&bench.folder, "sealed", vec![platform_key()]).await;
    run(&bench.repository, &sealed, copy_all()).await.unwrap();
    let chunk = std::fs::read_dir(path.join("chunk")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(chunk).unwrap();
    let lease = LeaseWatch::not_needed();
    let request = RepairRequest { read_data: false, forget_damaged: true, dry_run: false, lease };
    let sealed = open(&path, vec![platform_key()]).await;
    let repaired = repair(Arc::clone(&sealed), request, Arc::new(Silent), CancellationToken::new()).await.unwrap();
    assert_eq!(repaired.snapshots.len(), 1);
    let partial = CopyRequest { partial: true, ..copy_all() };
    assert_eq!(states(&run(&bench.repository, &sealed, partial).await.unwrap()), [CopyState::Present]);
    assert_eq!(states(&run(&bench.repository, &sealed, copy_all()).await.unwrap()), [CopyState::Copied]);
    assert_eq!(states(&run(&bench.repository, &sealed, copy_all()).await.unwrap()), [CopyState::Present]);
    let whole = sealed.snapshots().await.unwrap().readable[0].reference.to_string();
    let restored = restore(&sealed, &whole, &bench.folder.path().join("restored")).await.unwrap();
    assert_eq!((restored.files, restored.warning_count), (2, 0));
}
