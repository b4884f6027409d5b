//! What moved.

use super::*;

#[test]
fn a_file_that_moved_is_known_by_its_bytes() {
    let (memory, [before, after]) = states(
        |m| files(m, &[("a", "one"), ("gone", "two"), ("empty", ""), ("x/n", "3"), ("y/n", "3"), ("twin", "4")]),
        |m| {
            files(
                m,
                &[("b", "one"), ("new", "other"), ("void", ""), ("x/m", "3"), ("y/k", "3"), ("tw1", "4"), ("tw2", "4")],
            )
        },
    );
    let expected = [
        "R a -> b [Path]",
        "D empty",
        "D gone",
        "A new",
        "A tw1",
        "A tw2",
        "D twin",
        "A void",
        "A x/m",
        "D x/n",
        "A y/k",
        "D y/n",
    ];
    assert_eq!(lines(&run(&memory, &before, &after)), expected);
    let flat = run_with(&memory, &before, &after, &DiffRequest { no_renames: true, ..request() }).unwrap();
    assert_eq!(lines(&flat)[..2], ["D a", "A b"]);
    assert_eq!(flat.totals.moved, Count::default());
}

#[test]
fn of_files_with_the_same_bytes_the_name_tells_which_moved() {
    let (memory, [before, after]) = states(
        |m| files(m, &[("1/a", "same"), ("1/b", "same"), ("keep", "k")]),
        |m| {
            files(m, &[("2/a", "same"), ("2/b", "same"), ("keep", "k")]);
            m.file(b"2/more", b"m");
        },
    );
    let report = run(&memory, &before, &after);
    assert_eq!(lines(&report), ["D 1", "A 2", "R 1/a -> 2/a [Path]", "R 1/b -> 2/b [Path]", "A 2/more"]);
    assert_eq!((report.totals.moved.files, report.totals.moved.bytes), (2, 8));
}

#[test]
fn a_folder_that_moved_with_all_that_is_in_it_is_one_change() {
    let tree = |m: &mut Memory, top: &str| {
        for (path, data) in [("sub/f", "data"), ("sub/empty", ""), ("g", "more")] {
            m.file(format!("{top}/{path}").as_bytes(), data.as_bytes());
        }
        m.folder(top.as_bytes(), 0o755);
        m.folder(format!("{top}/sub").as_bytes(), 0o700);
        m.symlink(format!("{top}/link").as_bytes(), "sub/f");
    };
    let (memory, [before, after]) = states(|m| tree(m, "old"), |m| tree(m, "new"));
    let report = run(&memory, &before, &after);
    assert_eq!(lines(&report), ["R old -> new [Path] (+5)"]);
    let Count { files, folders, others, bytes } = report.totals.moved;
    assert_eq!((files, folders, others, bytes), (3, 2, 1, 8));

    // With one thing changed it is not a move of the whole any more, but still of the part that is the same.
    let (memory, [before, after]) = states(
        |m| tree(m, "old"),
        |m| {
            tree(m, "new");
            m.file(b"new/extra", b"x");
        },
    );
    assert_eq!(
        lines(&run(&memory, &before, &after)),
        [
            "A new",
            "A new/extra",
            "R old/g -> new/g [Path]",
            "A new/link",
            "R old/sub -> new/sub [Path] (+2)",
            "D old",
            "D old/link"
        ]
    );
}
