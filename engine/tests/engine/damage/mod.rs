//! Any changed byte anywhere in a repository is told by the restore that needs it, and nothing wrong is ever written as
//! if it were right.
//!
//! Every byte of a small repository is flipped, one at a time; of one large chunk, some. Each flip must end in one of
//! three ways: an error that names what was hit, a warning that names it, or nothing, where [`kinds::need_not_be_told`] says why a
//! restore cannot know or need not care. Whichever it is: no restored entry differs from what was backed up, but for
//! entries that are left out and named.

mod judge;
mod kinds;
mod sound;

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::Repository;
use cloudstic_engine::restore::{ArchiveRequest, RestoreError, RestoreReport, archive};
use tokio_util::sync::CancellationToken;

use crate::support::platform_key;
use judge::judge_all;
use kinds::{flips, losses};
use sound::Sound;

#[tokio::test(flavor = "multi_thread")]
async fn any_changed_byte_of_an_encrypted_repository_is_told() {
    let sound = Sound::new(vec![platform_key()]).await;
    let damages = flips(&sound.objects);
    judge_all(sound, damages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_changed_byte_of_a_plain_repository_is_told() {
    let sound = Sound::new(Vec::new()).await;
    let damages = flips(&sound.objects);
    judge_all(sound, damages).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_file_that_is_cut_off_or_gone_is_told() {
    for credentials in [vec![platform_key()], Vec::new()] {
        let sound = Sound::new(credentials).await;
        let damages = losses(&sound.objects);
        judge_all(sound, damages).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_a_damaged_repository_is_right_or_has_no_central_directory() {
    for credentials in [vec![platform_key()], Vec::new()] {
        let sound = Sound::new(credentials).await;
        let damages = flips(&sound.objects).into_iter().step_by(23).chain(losses(&sound.objects));
        let (mut whole, mut broken) = (0, 0);
        for damage in damages {
            let Ok(repository) = sound.open(damage.apply(&sound.objects)).await else { continue };
            let (bytes, result) = zip_of(repository).await;
            let has_directory = bytes.windows(4).any(|bytes| bytes == b"PK\x05\x06");
            assert_eq!(has_directory, result.is_ok(), "{damage:?}");
            let Ok(report) = result else {
                broken += 1;
                continue;
            };
            whole += 1;
            if damage.key == sound.latest {
                continue;
            }
            let found = unpacked(&bytes);
            for (path, data) in &found {
                assert_eq!(Some(data), sound.files.get(path), "{path} of {damage:?}");
            }
            if found.len() < sound.files.len() {
                assert!(report.warning_count > 0, "{damage:?}");
            }
        }
        assert!(whole > 50 && broken > 5, "{whole} whole, {broken} broken");
    }
}

/// The bytes of an archive of the latest snapshot, as far as it goes.
async fn zip_of(repository: Arc<Repository>) -> (Vec<u8>, Result<RestoreReport, RestoreError>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(4);
    let request = ArchiveRequest {
        snapshot: "latest".to_owned(),
        paths: Vec::new(),
        dry_run: false,
        lease: LeaseWatch::not_needed(),
    };
    let made = tokio::spawn(archive(repository, request, sender, Arc::new(Silent), CancellationToken::new()));
    let mut bytes = Vec::new();
    while let Some(piece) = receiver.recv().await {
        bytes.extend_from_slice(&piece);
    }
    (bytes, made.await.unwrap())
}

/// The entries of an archive; a link's bytes are its target.
fn unpacked(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut entries = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        let name = entry.name().unwrap().into_owned();
        entries.insert(name, data);
    }
    entries
}
