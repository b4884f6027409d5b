//! Holes are passed over, and what is read instead is what is in the file.

use std::io::Read;
use std::os::unix::fs::FileExt;

use cloudstic_e2e::skip::skipped;
use proptest::prelude::*;

use super::*;
use crate::sparse::Run;

/// A file of `size` bytes that has data at these places only.
fn sparse(path: &Path, size: u64, data: &[(u64, usize)]) {
    let file = fs::File::create(path).unwrap();
    file.set_len(size).unwrap();
    for (at, length) in data {
        file.write_all_at(&vec![7; *length], *at).unwrap();
    }
}

/// What the runs of a file hold, and how much of that was read. The first bytes are read without asking for runs.
fn read_runs(root: &Path, first: u64) -> (Vec<u8>, u64) {
    let source = plain(root);
    let mut reader = source.open(&entries(&source)["file"]).unwrap();
    let mut bytes = Vec::new();
    (&mut *reader).take(first).read_to_end(&mut bytes).unwrap();
    let mut data = 0;
    loop {
        match reader.next_run().unwrap() {
            Run::Hole(length) => bytes.resize(bytes.len() + usize::try_from(length).unwrap(), 0),
            Run::Data(length) => {
                let read = (&mut *reader).take(length).read_to_end(&mut bytes).unwrap() as u64;
                data += read;
                if read < length {
                    break;
                }
            }
        }
    }
    assert!(reader.unchanged());
    (bytes, data)
}

#[test]
fn holes_are_not_read_wherever_they_are() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    sparse(&file, 50_000_000, &[(10_000_000, 1), (30_000_000, 5000)]);
    let (bytes, data) = read_runs(temp.path(), 0);
    assert!(bytes == fs::read(&file).unwrap());
    if data == 50_000_000 {
        return skipped("holes_are_not_read", &format!("the file system of {} tells no holes", file.display()));
    }
    assert!(data < 1_000_000, "{data}");
}

#[test]
fn a_file_that_shrinks_under_the_reader_does_not_end_in_zeros_that_were_never_there() {
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("file");
    sparse(&file, 10_000_000, &[]);
    let source = plain(temp.path());
    let mut reader = source.open(&entries(&source)["file"]).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_len(5000).unwrap();
    if let Run::Hole(length) = reader.next_run().unwrap() {
        assert_eq!(length, 5000);
    }
    assert!(read_all(&mut *reader).len() <= 5000);
    assert!(!reader.unchanged());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_runs_in_a_row_are_the_file(
        size in 0u64..3_000_000,
        data in prop::collection::vec((0u64..3_000_000, 1usize..100_000), 0..5),
        first in 0u64..3_000_000,
    ) {
        let temp = tempfile::tempdir().unwrap();
        sparse(&temp.path().join("file"), size, &data);
        let bytes = fs::read(temp.path().join("file")).unwrap();
        prop_assert!(read_runs(temp.path(), 0).0 == bytes);
        prop_assert!(read_runs(temp.path(), first).0 == bytes);
    }
}
