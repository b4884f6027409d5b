//! The tests' own ground: the fixtures are complete, and the oracle can fail.

use std::fs;

use cloudstic_e2e::oracle::{assert_same_tree, manifest, oracle};
use cloudstic_e2e::{golden, tree};
use tempfile::tempdir;

#[test]
fn golden_copies_are_complete_and_sound() {
    let folder = tempdir().unwrap();
    for (name, credential) in
        [("plain", &[][..]), ("nopack", &[]), ("gzfiles", &[]), ("encrypted", &["--password", "golden-password"])]
    {
        let copy = folder.path().join(name);
        golden::copy(name, &copy);
        oracle([&["verify", copy.to_str().unwrap()], credential].concat()).ok();
    }
}

#[test]
fn golden_copies_hold_the_files_that_were_recorded() {
    let folder = tempdir().unwrap();
    for name in ["plain", "nopack"] {
        let copy = folder.path().join(name);
        golden::copy(name, &copy);
        for file in golden::expected(name, "physical-files.json").as_array().unwrap() {
            let path = copy.join(file["key"].as_str().unwrap());
            assert_eq!(fs::metadata(&path).unwrap().len(), file["size"].as_u64().unwrap(), "{}", path.display());
        }
    }
}

#[test]
fn the_oracle_finds_a_flipped_byte() {
    let folder = tempdir().unwrap();
    let copy = folder.path().join("plain");
    golden::copy("plain", &copy);
    let chunk = fs::read_dir(copy.join("chunk")).unwrap().next().unwrap().unwrap().path();
    let mut data = fs::read(&chunk).unwrap();
    data[1000] ^= 1;
    fs::write(&chunk, data).unwrap();
    let verdict = oracle(["verify", copy.to_str().unwrap()]).expect(1);
    assert!(verdict.text().contains(chunk.file_name().unwrap().to_str().unwrap()), "{}", verdict.text());
}

#[test]
#[should_panic(expected = "differ")]
fn a_changed_tree_is_not_the_same() {
    let folder = tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    tree::full(&one);
    tree::full(&other);
    assert_eq!(manifest(&one), manifest(&other));
    tree::change(&other);
    assert_same_tree(&one, &other);
}
