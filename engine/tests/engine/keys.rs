//! Key slots: whatever is changed, and wherever it breaks off, somebody can open the repository.

use std::path::Path;
use std::sync::Arc;

use cloudstic_engine::keys::{KeyChange, KeyError, KeyReport, KeyRequest, change, list};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::object::SlotType;
use cloudstic_engine::repository::{Credential, InitOptions, Repository, RepositoryError};
use cloudstic_engine::store::{LocalStore, ObjectStore};
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use crate::breaking::Breaking;
use crate::support::{Bench, PLATFORM_KEY, platform_key};

const OTHER_KEY: &str = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";

fn password(text: &str) -> Credential {
    Credential::Password(text.into())
}

fn set_password(text: &str) -> KeyChange {
    KeyChange::SetPassword { label: None, password: text.into() }
}

fn remove(slot: &str, force: bool) -> KeyChange {
    KeyChange::Remove { slot: slot.to_owned(), force }
}

fn add_platform(label: &str) -> KeyChange {
    KeyChange::AddPlatformKey { label: label.to_owned(), key: OTHER_KEY.into() }
}

async fn run(
    repository: &Arc<Repository>,
    credentials: Vec<Credential>,
    wanted: KeyChange,
) -> Result<KeyReport, KeyError> {
    let lease = LeaseWatch::not_needed();
    let request = KeyRequest { credentials, change: wanted, dry_run: false, lease };
    change(Arc::clone(repository), request, CancellationToken::new()).await
}

async fn opens(path: &Path, credential: Credential) -> bool {
    match Repository::open(Arc::new(LocalStore::new(path)), vec![credential]).await {
        Ok(_) => true,
        Err(RepositoryError::WrongCredential { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn names(repository: &Repository) -> Vec<String> {
    list(repository).await.unwrap().slots.into_iter().map(|slot| slot.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_opens_and_the_old_one_does_not_and_what_is_open_goes_on() {
    let bench = Bench::new(vec![password("old")]).await;
    bench.write("a", b"one");
    bench.backup().await;
    let done = run(&bench.repository, vec![password("old")], set_password("new")).await.unwrap();
    assert_eq!((done.slot.as_str(), done.replaced, done.opens_with_given), ("password-default", true, false));
    let path = bench.repository_path();
    assert!(opens(&path, password("new")).await && !opens(&path, password("old")).await);
    // The master key is the same, so the open repository goes on, and knows that this was no other repository.
    bench.write("a", b"two");
    assert_eq!(bench.backup().await.seq, 2);
    cloudstic_e2e::oracle::assert_sound(&path, &["--password", "new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_new_slot_opens_here_and_for_the_oracle() {
    let bench = Bench::new(vec![platform_key()]).await;
    let (repository, path) = (&bench.repository, bench.repository_path());
    bench.write("a", b"one");
    bench.backup().await;
    let given = || vec![platform_key()];
    let added = run(repository, given(), set_password("first")).await.unwrap();
    assert_eq!((added.slot.as_str(), added.replaced, added.opens_with_given), ("password-default", false, true));
    let second = KeyChange::AddPassword { label: "ada".to_owned(), password: "second".into() };
    run(repository, given(), second).await.unwrap();
    run(repository, given(), add_platform("host-2")).await.unwrap();
    let made = run(repository, given(), KeyChange::AddRecovery { label: "default".to_owned() }).await.unwrap();
    let words = made.words.unwrap();
    assert_eq!(words.expose_secret().split(' ').count(), 24);

    let expected = ["password-ada", "password-default", "platform-default", "platform-host-2", "recovery-default"];
    assert_eq!(names(repository).await, expected);
    for credential in [
        password("first"),
        password("second"),
        Credential::PlatformKey(OTHER_KEY.into()),
        Credential::RecoveryWords(words.clone()),
    ] {
        assert!(opens(&path, credential).await);
    }
    // The oracle takes the first slot of a type, so the label comes first.
    for (option, secret) in
        [("--password", "second"), ("--platform-key", PLATFORM_KEY), ("--recovery-words", words.expose_secret())]
    {
        cloudstic_e2e::oracle::oracle(["verify", path.to_str().unwrap(), option, secret]).ok();
    }
    let ambiguous = run(repository, given(), set_password("x")).await.unwrap_err().to_string();
    assert!(ambiguous.contains("password-ada, password-default"), "{ambiguous}");
    let ada = KeyChange::SetPassword { label: Some("ada".to_owned()), password: "third".into() };
    assert!(run(repository, given(), ada).await.unwrap().replaced);
    assert!(opens(&path, password("third")).await && !opens(&path, password("second")).await);
    assert!(opens(&path, password("first")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_slot_stays_and_so_does_the_last_that_is_configured() {
    let bench = Bench::new(vec![platform_key()]).await;
    let (repository, path) = (&bench.repository, bench.repository_path());
    let given = || vec![platform_key()];
    let last = run(repository, given(), remove("platform-default", true)).await.unwrap_err();
    assert!(matches!(last, KeyError::LastSlot { .. }), "{last}");
    run(repository, given(), add_platform("other")).await.unwrap();
    // A slot that opens nothing does not count.
    std::fs::write(path.join("keys/password-broken"), b"{}").unwrap();
    let locked_out = run(repository, given(), remove("platform-default", false)).await.unwrap_err();
    assert!(matches!(locked_out, KeyError::LastConfigured { .. }), "{locked_out}");
    let forced = run(repository, given(), remove("keys/platform-default", true)).await.unwrap();
    assert!(!forced.opens_with_given);
    repository.prove_identity().await.unwrap();

    let other = || vec![Credential::PlatformKey(OTHER_KEY.into())];
    let last = run(repository, other(), remove("platform-other", true)).await.unwrap_err();
    assert!(matches!(last, KeyError::LastSlot { .. }), "{last}");
    run(repository, other(), remove("password-broken", false)).await.unwrap();
    assert_eq!(names(repository).await, ["platform-other"]);
    let gone = run(repository, other(), remove("platform-default", false)).await.unwrap_err().to_string();
    assert!(gone.contains("there are platform-other"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_changes_nothing() {
    let bench = Bench::new(vec![platform_key()]).await;
    let (repository, path) = (&bench.repository, bench.repository_path());
    let given = || vec![platform_key()];
    let kms = r#"{"slot_type":"kms-platform","wrapped_key":"AAAA","label":"default"}"#;
    std::fs::write(path.join("keys/kms-platform-default"), kms).unwrap();
    std::fs::write(path.join("keys/password-odd"), r#"{"slot_type":"password","wrapped_key":"AAAA","label":"odd"}"#)
        .unwrap();
    let before = names(repository).await;
    for (wanted, says) in [
        (set_password(""), "is empty"),
        (add_platform("a/b"), "cannot be a label"),
        (add_platform("x.tmp"), "cannot be a label"),
        (add_platform("default"), "platform-default already"),
        (KeyChange::AddPlatformKey { label: "b".to_owned(), key: "abc".into() }, "64 hex digits"),
        (remove("kms-platform-default", true), "AWS KMS"),
        (remove("nothing", true), "no key slot"),
    ] {
        let error = run(repository, given(), wanted).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let wrong = run(repository, vec![password("wrong")], add_platform("b")).await.unwrap_err();
    assert!(matches!(wrong, KeyError::Repository(RepositoryError::WrongCredential { .. })), "{wrong}");
    let lease = LeaseWatch::not_needed();
    let request = KeyRequest { credentials: given(), change: add_platform("b"), dry_run: true, lease };
    let dry = change(Arc::clone(repository), request, CancellationToken::new()).await.unwrap();
    assert_eq!(dry.slot, "platform-b");
    let listed = list(repository).await.unwrap();
    assert_eq!(listed.slots.iter().map(|slot| slot.name.clone()).collect::<Vec<_>>(), before);
    let odd = listed.slots.iter().find(|slot| slot.name == "password-odd").unwrap();
    assert!(odd.problem.as_ref().unwrap().contains("kdf_params"), "{odd:?}");
    let kms = listed.slots.iter().find(|slot| slot.slot_type == Some(SlotType::KmsPlatform)).unwrap();
    assert_eq!(kms.problem, None);
    assert_eq!(repository.opened_by().as_deref(), Some("platform-default"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unencrypted_repository_has_no_keys_to_change() {
    let bench = Bench::new(Vec::new()).await;
    assert!(list(&bench.repository).await.unwrap().slots.is_empty());
    let error = run(&bench.repository, vec![password("x")], set_password("y")).await.unwrap_err();
    assert!(matches!(error, KeyError::NotEncrypted { .. }), "{error}");
}

/// Platform keys only, so that the many tries cost no key derivation; a password slot is written the same way.
#[tokio::test(flavor = "multi_thread")]
async fn wherever_a_change_breaks_off_the_repository_opens() {
    for (number, answer_lost) in (0..3).flat_map(|number| [(number, false), (number, true)]) {
        for wanted in [add_platform("b"), remove("platform-extra", false), set_password("new")] {
            let folder = tempfile::tempdir().unwrap();
            let local: Arc<dyn ObjectStore> = Arc::new(LocalStore::new(folder.path()));
            let options = InitOptions { credentials: vec![platform_key()], ..InitOptions::default() };
            Repository::init(Arc::clone(&local), options).await.unwrap();
            let sound = Arc::new(Repository::open(Arc::clone(&local), vec![platform_key()]).await.unwrap());
            run(&sound, vec![platform_key()], add_platform("extra")).await.unwrap();
            let breaking = Breaking::new(local, number + 1, answer_lost);
            let line: Arc<dyn ObjectStore> = breaking.clone();
            let repository = Arc::new(Repository::open(line, vec![platform_key()]).await.unwrap());
            let is_password = matches!(wanted, KeyChange::SetPassword { .. });
            let done = run(&repository, vec![platform_key()], wanted).await;
            // A change is one write.
            assert_eq!(done.is_err(), number == 0, "{done:?}");
            assert_eq!(breaking.hook.is_broken(), number == 0);
            if let Err(error) = &done {
                assert!(matches!(error, KeyError::Unknown { .. }), "{error}");
            }
            assert!(opens(folder.path(), platform_key()).await);
            if is_password && done.is_ok() {
                assert!(opens(folder.path(), password("new")).await);
            }
        }
    }
}

#[test]
fn debug_output_of_a_request_shows_no_secret() {
    let add = KeyChange::AddPassword { label: "a".to_owned(), password: "hunter2".into() };
    let lease = LeaseWatch::not_needed();
    let request = KeyRequest { credentials: vec![password("hunter2")], change: add, dry_run: false, lease };
    assert!(!format!("{request:?}").contains("hunter2"));
}
