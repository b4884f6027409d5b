//! Against real servers.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cloudstic_e2e::servers::agent::Agent;
use cloudstic_e2e::servers::rclone::RcloneSftp;
use cloudstic_e2e::servers::sshd::Sshd;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::store::conformance;

fn settings(server: &Sshd, folder: &str) -> SftpSettings {
    SftpSettings {
        login: SftpLogin::Key(server.key()),
        host_key: HostKey::Known(Some(server.known_hosts())),
        ..SftpSettings::new(server.location(folder).parse().unwrap())
    }
}

async fn store(server: &Sshd) -> SftpStore {
    fs::create_dir_all(server.files().join("repository")).unwrap();
    SftpStore::connect(settings(server, "repository"), SftpProbe::default()).await.unwrap()
}

fn rclone_settings(server: &RcloneSftp) -> SftpSettings {
    SftpSettings {
        login: SftpLogin::Key(server.key()),
        host_key: HostKey::Known(Some(server.known_hosts())),
        ..SftpSettings::new(server.location("repository").parse().unwrap())
    }
}

/// The files and folders that are no objects.
fn leftovers(server: &Sshd) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![server.files()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if name.ends_with(TEMPORARY) {
                found.push(name);
            } else if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(server) = Sshd::start("the contract of SFTP stores") else { return };
    let store = SftpStore::connect(settings(&server, "a/repository"), SftpProbe::default()).await.unwrap();
    assert!(!store.capabilities().atomic_create, "there is nothing to find out yet");
    conformance::check(&store).await;
    let all = Capabilities { atomic_create: true, conditional_replace: true, conditional_delete: true, concurrency: 8 };
    assert_eq!(store.capabilities(), all);
    let mode = |path: &str| fs::metadata(server.files().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a/repository"), mode("a/repository/packs"), mode("a/repository/config")), (0o700, 0o700, 0o600));
    // The second one knows what the first one found out, and several connections contend as one does.
    let before = server.connections();
    let others = join_all((0..4).map(|_| SftpStore::connect(settings(&server, "a/repository"), store.probe.clone())));
    let others: Vec<_> = others.await.into_iter().map(Result::unwrap).collect();
    assert_eq!(server.connections(), before + 4);
    store.put("index/one", Bytes::from_static(b"0")).await.unwrap();
    for round in 0..10 {
        let (_, version) = store.get_versioned("index/one").await.unwrap();
        let text = |n: usize| Bytes::from(format!("{round} {n}"));
        let tries = others.iter().cycle().take(12).enumerate();
        let won = join_all(tries.map(|(n, store)| store.put_if_unchanged("index/one", text(n), &version))).await;
        assert_eq!(won.into_iter().filter(|won| *won.as_ref().unwrap()).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_overwrites_is_told_from_one_that_does_not() {
    let server = RcloneSftp::start("secret");
    fs::create_dir(server.files().join("repository")).unwrap();
    let store = SftpStore::connect(rclone_settings(&server), SftpProbe::default()).await.unwrap();
    let Capabilities { atomic_create, conditional_replace, conditional_delete, .. } = store.capabilities();
    assert!(!atomic_create && !conditional_replace && !conditional_delete);
    conformance::check(&store).await;
}

/// The program that ssh asks for a password: the tests are none that answers.
fn askpass(folder: &Path) -> PathBuf {
    let path = folder.join("askpass");
    let script = "#!/usr/bin/env python3\nimport os, socket\ns = socket.socket(socket.AF_UNIX)\n\
                  s.connect('\\0' + os.environ['CLOUDSTIC_ASKPASS'])\nprint(s.recv(99).decode())\n";
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_password_keeps_the_contract_too() {
    let password = "right secret";
    let Some(server) = Sshd::start_with_password("the contract with a password", password) else { return };
    let folder = tempfile::tempdir().unwrap();
    let settings = SftpSettings {
        login: SftpLogin::Password(password.to_owned().into()),
        askpass: askpass(folder.path()),
        ..settings(&server, "repository")
    };
    let store = SftpStore::connect(settings, SftpProbe::default()).await.unwrap();
    conformance::check(&store).await;
    assert!(store.capabilities().atomic_create && store.capabilities().conditional_replace);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_given_to_ssh_and_a_wrong_one_is_denied() {
    let server = RcloneSftp::start("right secret");
    fs::create_dir(server.files().join("repository")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let askpass = askpass(folder.path());
    let with = |password: &str| SftpSettings {
        login: SftpLogin::Password(password.to_owned().into()),
        askpass: askpass.clone(),
        ..rclone_settings(&server)
    };
    let store = SftpStore::connect(with("right secret"), SftpProbe::default()).await.unwrap();
    store.put("config", Bytes::from_static(b"x")).await.unwrap();
    let error = SftpStore::connect(with("wrong secret"), SftpProbe::default()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied);
    assert!(error.to_string().ends_with("refuses access: the server does not accept the password"), "{error}");
    assert!(!format!("{:?} {error:?}", with("wrong secret")).contains("wrong secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_logs_in_if_it_has_the_key() {
    let Some(server) = Sshd::start("logins by an agent") else { return };
    fs::create_dir(server.files().join("repository")).unwrap();
    let by =
        |agent: &Agent| SftpSettings { login: SftpLogin::Agent(agent.socket()), ..settings(&server, "repository") };
    let (good, wrong) = (Agent::with_key(&server.key()), Agent::with_key(&server.wrong_key()));
    let store = SftpStore::connect(by(&good), SftpProbe::default()).await.unwrap();
    store.put("config", Bytes::from_static(b"x")).await.unwrap();
    let error = SftpStore::connect(by(&wrong), SftpProbe::default()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_why() {
    let Some(server) = Sshd::start("refused logins") else { return };
    let refused = async |settings: SftpSettings| {
        let error = SftpStore::connect(settings, SftpProbe::default()).await.unwrap_err();
        (error.kind, error.to_string())
    };
    let good = || settings(&server, "");
    let known = |file| HostKey::Known(Some(file));

    let (kind, text) = refused(SftpSettings { login: SftpLogin::Key(server.wrong_key()), ..good() }).await;
    assert!(kind == StoreErrorKind::Denied && text.contains("does not accept the key"), "{text}");
    let (kind, text) = refused(SftpSettings { login: SftpLogin::Key("/nowhere".into()), ..good() }).await;
    assert!(kind == StoreErrorKind::Denied && text.contains("the key /nowhere (No such file"), "{text}");
    let (kind, text) = refused(SftpSettings { host_key: known(server.empty_known_hosts()), ..good() }).await;
    assert!(kind == StoreErrorKind::Untrusted && text.contains("is not known: fetch it with ssh-keyscan"), "{text}");
    let (kind, text) = refused(SftpSettings { host_key: known(server.wrong_known_hosts()), ..good() }).await;
    assert!(
        kind == StoreErrorKind::Untrusted && text.contains("host key is not the known one, and is now SHA256:"),
        "{text}"
    );
    let (kind, text) = refused(SftpSettings { ssh: "/nowhere/ssh".into(), ..good() }).await;
    assert!(kind == StoreErrorKind::Denied && text.contains("install openssh-client"), "{text}");
    let nobody = "sftp://127.0.0.1:1/srv".parse().unwrap();
    let (kind, text) = refused(SftpSettings { location: nobody, ..good() }).await;
    assert!(kind == StoreErrorKind::Transient && text.contains("Connection refused"), "{text}");

    fs::create_dir(server.files().join("repository")).unwrap();
    let insecure = SftpSettings { host_key: HostKey::Insecure, ..settings(&server, "repository") };
    SftpStore::connect(insecure, SftpProbe::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_ssh_is_replaced_once_for_all_who_need_it() {
    let Some(server) = Sshd::start("lost connections") else { return };
    let store = store(&server).await;
    store.put("config", Bytes::from_static(b"x")).await.unwrap();
    let (tries, before) = (store.link.tries(), server.connections());
    let connection = store.link.connection().await.unwrap();
    kill(&connection, Signal::KILL);
    let error = connection.call(connection.fs().metadata("/")).await.unwrap_err();
    assert!(matches!(error, Trouble::Lost(_)), "{error:?}");
    let all = join_all((0..20).map(|_| store.get("config"))).await;
    assert!(all.iter().all(|got| got.as_ref().unwrap() == "x"));
    assert_eq!((store.link.tries(), server.connections()), (tries + 1, before + 1));

    // The same if the other side goes.
    server.cut();
    // Unless it has been noticed before.
    if let Err(error) = store.get("config").await {
        assert_eq!(error.kind, StoreErrorKind::Transient, "{error}");
    }
    assert_eq!(store.get("config").await.unwrap(), "x");

    // And if it comes back as somebody else.
    server.change_host_key();
    server.cut();
    let _ = store.get("config").await;
    let all = join_all((0..20).map(|_| store.get("config"))).await;
    assert!(all.iter().all(|got| got.as_ref().unwrap_err().kind == StoreErrorKind::Untrusted));
    assert!(server.connections() <= before + 4, "one try for all who wait");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_peer_is_given_up() {
    let Some(server) = Sshd::start("silent connections") else { return };
    fs::create_dir(server.files().join("repository")).unwrap();
    let impatient = SftpSettings { stall: Duration::from_secs(2), ..settings(&server, "repository") };
    let store = SftpStore::connect(impatient, SftpProbe::default()).await.unwrap();
    store.put("config", Bytes::from_static(b"x")).await.unwrap();
    kill(&store.link.connection().await.unwrap(), Signal::STOP);
    let error = store.put("chunk/a", Bytes::from(vec![1; 1 << 20])).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Transient);
    assert!(error.to_string().contains("no answer for 2 seconds"), "{error}");
    assert_eq!(store.get("config").await.unwrap(), "x");

    server.freeze();
    assert_eq!(store.get("config").await.unwrap_err().kind, StoreErrorKind::Transient);
    let failed = store.list("").try_collect::<Vec<_>>().await;
    assert!(failed.is_ok(), "{failed:?}");
}

fn kill(connection: &Connection, signal: Signal) {
    kill_process(Pid::from_raw(connection.ssh_id().unwrap() as i32).unwrap(), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_come_back_whole_and_a_dropped_write_leaves_nothing() {
    let Some(server) = Sshd::start("large objects") else { return };
    let store = store(&server).await;
    let large: Vec<u8> = (0..20_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let large = Bytes::from(large);
    store.put("packs/a", large.clone()).await.unwrap();
    assert!(store.get("packs/a").await.unwrap() == large);
    assert!(store.get_range("packs/a", 261_119..9_000_001).await.unwrap() == large.slice(261_119..9_000_001));
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &large).unwrap();
    store.put_file("packs/b", file).await.unwrap();
    assert!(fs::read(server.files().join("repository/packs/b")).unwrap() == large);

    for _ in 0..5 {
        let mut put = store.put("packs/c", large.clone());
        // Polled a few times, and then given up.
        for _ in 0..3 {
            let _ = futures::poll!(&mut put);
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(store.get_range("packs/a", 0..1).await.unwrap().len(), 1);
    let gone = cloudstic_e2e::site::poll(|| leftovers(&server).is_empty().then_some(()));
    assert!(gone.is_some(), "{:?}", leftovers(&server));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_holder_of_a_guard_blocks_nobody_and_can_change_nothing_later() {
    let Some(server) = Sshd::start("broken guards") else { return };
    let store = store(&server).await;
    let connection = store.link.connection().await.unwrap();
    store.put("index/a", Bytes::from_static(b"old")).await.unwrap();
    let path = store.path("index/a").unwrap();
    let (_, version) = store.get_versioned("index/a").await.unwrap();
    // Two who hold the guard and are stopped before they do what they are about to do.
    for (change, mark) in [(Change::Remove, "dead.gone"), (Change::Replace(Content::Bytes(Bytes::new())), "dead")] {
        let guard = guard::guard_of(&path);
        fs::create_dir(&guard).unwrap();
        fs::write(format!("{guard}/{mark}"), "late").unwrap();
        let (_, current) = store.get_versioned("index/a").await.unwrap();
        assert!(store.put_if_unchanged("index/a", Bytes::from(format!("after {mark}")), &current).await.unwrap());
        // Now they go on.
        let late = match change {
            Change::Remove => connection.call(connection.fs().rename(&path, format!("{path}.{mark}{TEMPORARY}"))).await,
            Change::Replace(_) => connection.call(connection.fs().rename(format!("{guard}/{mark}"), &path)).await,
        };
        assert!(late.is_err());
        assert_eq!(store.get("index/a").await.unwrap(), format!("after {mark}"));
    }
    assert!(!store.put_if_unchanged("index/a", Bytes::new(), &version).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_of_dead_writers_are_not_listed_and_old_ones_are_swept_by_writers() {
    let Some(server) = Sshd::start("leftovers") else { return };
    let store = store(&server).await;
    let packs = server.files().join("repository/packs");
    fs::create_dir_all(packs.join("x.old.tmp")).unwrap();
    for (name, age) in [("x.old.tmp/mark", 48), ("old.tmp", 48), ("new.tmp", 0), ("x.old.tmp", 48), ("a", 48)] {
        let path = packs.join(name);
        let file = if path.is_dir() { File::open(path) } else { File::create(path) }.unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600 * age)).unwrap();
    }
    let names = async || store.list("").map(|stat| stat.unwrap().key).collect::<Vec<_>>().await;
    assert_eq!(names().await, ["packs/a"]);
    assert_eq!(leftovers(&server).len(), 3, "who only reads removes nothing");
    store.delete("packs/a").await.unwrap();
    store.put("packs/b", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(names().await, ["packs/b"]);
    assert_eq!(leftovers(&server), ["new.tmp"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_folder_is_told_from_a_missing_object_and_keys_stay_inside() {
    let Some(server) = Sshd::start("missing folders") else { return };
    let store = store(&server).await;
    assert_eq!(store.get("config").await.unwrap_err().kind, StoreErrorKind::NotFound);
    for key in ["../out", "a/../../out", "/etc/out", "a//b", "", "a/.", "a.tmp", "a.tmp/b"] {
        let error = store.put(key, Bytes::from_static(b"x")).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::InvalidKey, "{key}");
    }
    fs::rename(server.files().join("repository"), server.files().join("elsewhere")).unwrap();
    assert_eq!(store.get("config").await.unwrap_err().kind, StoreErrorKind::Gone);
    assert_eq!(store.put("chunk/a", Bytes::new()).await.unwrap_err().kind, StoreErrorKind::Gone);
    assert_eq!(
        store.put_if_unchanged("a", Bytes::new(), &Version::new("x")).await.unwrap_err().kind,
        StoreErrorKind::Gone
    );
    assert_eq!(store.list("chunk/").try_collect::<Vec<_>>().await.unwrap_err().kind, StoreErrorKind::Gone);
    assert!(!server.files().join("repository").exists());
}
