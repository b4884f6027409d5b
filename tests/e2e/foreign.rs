//! Repositories that the Cloudstic CLI wrote: each opens with each of its credentials and gives what was backed up.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use cloudstic_e2e::golden;
use cloudstic_e2e::oracle::{manifest, python};
use cloudstic_e2e::ran::{Ran, limited};
use cloudstic_e2e::site::{Credential, Daemon, Site};
use cloudstic_e2e::skip::{is_root, skipped};
use serde_json::Value;

use crate::client::{entries, snapshots};

const PLATFORM_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn site_with(name: &str, credential: Credential<'_>) -> Site {
    let mut site = Site::new();
    let store = site.path("repository");
    golden::copy(name, &store);
    site.repository("golden", &store, credential);
    site
}

#[test]
fn an_unencrypted_repository_is_read_whole() {
    let site = site_with("plain", Credential::None);
    all_snapshots_agree(&site.start(), &site, "plain");
}

#[test]
fn a_repository_without_packs_is_read_whole() {
    let site = site_with("nopack", Credential::None);
    all_snapshots_agree(&site.start(), &site, "nopack");
}

#[test]
fn an_encrypted_repository_is_read_whole_with_its_password() {
    let site = site_with("encrypted", Credential::Password("golden-password"));
    all_snapshots_agree(&site.start(), &site, "encrypted");
}

#[test]
fn an_encrypted_repository_opens_with_its_platform_key() {
    let site = site_with("encrypted", Credential::PlatformKey(PLATFORM_KEY));
    all_snapshots_agree(&site.start(), &site, "encrypted");
}

#[test]
fn an_encrypted_repository_opens_with_its_recovery_words() {
    let keys = golden::expected("encrypted", "keys.json");
    let site = site_with("encrypted", Credential::RecoveryWords(keys["recovery_mnemonic"].as_str().unwrap()));
    all_snapshots_agree(&site.start(), &site, "encrypted");
}

#[test]
fn compressed_files_come_back_that_the_cli_itself_cannot_restore() {
    let site = site_with("gzfiles", Credential::None);
    let daemon = site.start();
    let target = site.path("restored");
    daemon.ctl(&["restore", "golden", "latest", "--to", target.to_str().unwrap()]).ok();

    let truth = fs::read_to_string(golden::folder("gzfiles").join("expected/true-sha256.txt")).unwrap();
    let restored = by_path(&manifest(&target));
    assert_eq!(truth.lines().count(), 4);
    for line in truth.lines() {
        let (hash, name) = line.split_once("  ").unwrap();
        assert_eq!(restored[name]["sha256"], hash, "{name}");
    }
}

#[test]
fn a_backup_into_a_repository_of_the_cli_leaves_it_sound_for_both() {
    let mut site = site_with("plain", Credential::None);
    let source = site.path("source");
    cloudstic_e2e::tree::plain(&source);
    site.profile("more", "golden", &source, "");
    let daemon = site.start();
    daemon.ctl(&["backup", "more"]).ok();

    assert_eq!(snapshots(&daemon, "golden").len(), 4);
    let store = site.path("repository");
    // Not strict: the CLI itself leaves behind what a careful writer would not.
    cloudstic_e2e::oracle::oracle([OsStr::new("verify"), store.as_os_str()]).ok();
    let as_the_cli = [OsStr::new("verify"), OsStr::new("--no-footers"), store.as_os_str()];
    cloudstic_e2e::oracle::oracle(as_the_cli).ok();
    tree_agrees(&daemon, &site, "plain", 1, &golden_refs("plain")[0]);
}

fn all_snapshots_agree(daemon: &Daemon<'_>, site: &Site, name: &str) {
    snapshots_agree(daemon, name);
    for (i, reference) in golden_refs(name).iter().enumerate() {
        listing_agrees(daemon, name, i + 1, reference);
        tree_agrees(daemon, site, name, i + 1, reference);
        archive_agrees(daemon, site, name, i + 1, reference);
    }
}

/// The snapshots' references, oldest first.
fn golden_refs(name: &str) -> Vec<String> {
    let facts = golden::expected(name, "facts.json");
    facts["snapshots"].as_array().unwrap().iter().map(|r| r.as_str().unwrap().to_owned()).collect()
}

fn snapshots_agree(daemon: &Daemon<'_>, name: &str) {
    let expected = golden::expected(name, "list.json");
    let listed = snapshots(daemon, "golden");
    assert_eq!(listed.len(), 3);
    for (ours, theirs) in listed.iter().zip(expected["Snapshots"].as_array().unwrap()) {
        assert_eq!(ours.reference, theirs["Ref"]);
        assert_eq!(ours.seq, theirs["Snap"]["seq"].as_u64().unwrap());
        assert_eq!(ours.root, theirs["Snap"]["root"]);
        assert_eq!(ours.value["created"], theirs["Created"]);
        for part in ["type", "account", "path"] {
            assert_eq!(ours.value["source"][part], theirs["Snap"]["source"][part], "{part} of {}", ours.reference);
        }
        let tags = theirs["Snap"]["tags"].as_array().into_iter().flatten();
        assert!(ours.tags.iter().eq(tags.map(|tag| tag.as_str().unwrap())), "{:?}", ours.tags);
    }
}

/// `ls` gives what the CLI's `ls` gave, entry for entry.
fn listing_agrees(daemon: &Daemon<'_>, name: &str, number: usize, reference: &str) {
    let expected = golden::expected(name, &format!("ls-{number}.json"));
    let metas = expected["RefToMeta"].as_object().expect("the CLI's listing");
    let listed = entries(daemon, "golden", reference);
    assert_eq!(listed.len(), metas.len(), "entries of snapshot {number}");
    for (meta_ref, meta) in metas {
        let path = meta["fileId"].as_str().unwrap();
        let entry = listed.get(path).unwrap_or_else(|| panic!("ls does not show {path:?}"));
        assert_eq!(entry["ref"], meta_ref.as_str(), "{path}");
        assert_eq!(entry["type"], meta["type"], "{path}");
        // The CLI leaves out what is zero or empty.
        for key in ["size", "mode", "uid", "gid"] {
            assert_eq!(entry[key].as_u64().unwrap_or(0), meta[key].as_u64().unwrap_or(0), "{key} of {path}");
        }
        let hash = |value: &Value| value["content_hash"].as_str().unwrap_or_default().to_owned();
        assert_eq!(hash(entry), hash(meta), "{path}");
        let mtime = chrono::DateTime::from_timestamp(meta["mtime"].as_i64().unwrap(), 0).unwrap();
        let ours: chrono::DateTime<chrono::Utc> = entry["mtime"].as_str().unwrap().parse().unwrap();
        assert_eq!(ours, mtime, "{path}");
    }
}

/// An archive has the names, sizes, bytes and times that the CLI's had.
fn archive_agrees(daemon: &Daemon<'_>, site: &Site, name: &str, number: usize, reference: &str) {
    const COMPARE: &str = r#"
import calendar, hashlib, json, sys, zipfile
archive, expected = zipfile.ZipFile(sys.argv[1]), json.load(open(sys.argv[2]))
found = {info.filename: info for info in archive.infolist()}
assert len(found) == len(archive.infolist()) == len(expected), (len(found), len(expected))
def mtime(extra):
    while extra:
        kind, size = extra[0] | extra[1] << 8, extra[2] | extra[3] << 8
        if kind == 0x5455: return int.from_bytes(extra[5:9], "little", signed=True)
        extra = extra[4 + size:]
for truth in expected:
    info = found[truth["name"]]
    assert mtime(info.extra) == mtime(bytes.fromhex(truth["extra"])), truth["name"]
    if truth["sha256"] is None: assert info.is_dir(), truth["name"]
    else: assert hashlib.sha256(archive.read(info)).hexdigest() == truth["sha256"], truth["name"]
"#;
    let archive = site.path(&format!("restored-{number}.zip"));
    daemon.ctl(&["restore", "golden", reference, "--zip", archive.to_str().unwrap()]).ok();
    let expected = golden::folder(name).join(format!("expected/restore-zip-{number}.json"));
    let mut command = limited(python());
    command.args(["-c", COMPARE]).arg(archive).arg(expected);
    Ran::run(command).ok();
}

/// What is restored is what the source was: bytes, modes, times, attributes, and as root owners.
fn tree_agrees(daemon: &Daemon<'_>, site: &Site, name: &str, number: usize, reference: &str) {
    let target = site.path(&format!("restored-{number}"));
    daemon.ctl(&["restore", "golden", reference, "--to", target.to_str().unwrap()]).ok();
    let restored = by_path(&manifest(&target));
    let source = golden::expected(name, &format!("source-{number}.json"));
    let source = source.as_array().unwrap();
    assert_eq!(restored.len(), source.len(), "entries of snapshot {number}");
    for truth in source {
        entry_agrees(&target, &restored, truth);
    }
    if !is_root() {
        skipped("foreign::tree_agrees", "owners can only be restored by root");
    }
}

fn entry_agrees(target: &Path, restored: &BTreeMap<String, Value>, truth: &Value) {
    let path = truth["path"].as_str().unwrap();
    let entry = restored.get(path).unwrap_or_else(|| panic!("{path:?} was not restored"));
    let kind = truth["type"].as_str().unwrap();
    // The CLI follows links: it stores them as files with the mode of the link.
    assert_eq!(entry["type"], if kind == "dir" { "folder" } else { "file" }, "{path}");
    let mode = truth["mode"].as_str().unwrap();
    assert_eq!(entry["mode"].as_str().unwrap(), format!("{mode:0>4}"), "{path}");
    assert_eq!(entry["mtime"], truth["mtime"], "{path}");
    let readable = is_root() || mode != "0";
    if kind != "dir" && readable {
        assert_eq!(entry["sha256"], truth["sha256"], "{path}");
    }
    assert_eq!(attributes(entry), attributes(truth), "xattrs of {path}");
    if is_root() {
        let metadata = fs::symlink_metadata(target.join(PathBuf::from(path))).unwrap();
        assert_eq!(u64::from(metadata.uid()), truth["uid"].as_u64().unwrap(), "{path}");
        assert_eq!(u64::from(metadata.gid()), truth["gid"].as_u64().unwrap(), "{path}");
        assert_eq!(metadata.permissions().mode() & 0o7777, u32::from_str_radix(mode, 8).unwrap(), "{path}");
    }
}

fn attributes(entry: &Value) -> BTreeMap<String, Value> {
    let all = entry["xattrs"].as_object().into_iter().flatten();
    all.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn by_path(manifest: &str) -> BTreeMap<String, Value> {
    let lines = manifest.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|entry| (entry["path"].as_str().unwrap().to_owned(), entry)).collect()
}
