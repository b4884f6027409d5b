//! What is left out, and that nothing else is.

use cloudstic_e2e::mount::Mounted;

use super::*;

fn with(change: impl FnOnce(&mut LocalOptions)) -> LocalOptions {
    let mut options = LocalOptions::default();
    change(&mut options);
    options
}

#[test]
fn an_excluded_folder_is_not_entered_and_a_negation_does_not_bring_back_what_is_below() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["keep/a.log", "keep/b", "skip/important", "half/x", "half/y"]);
    let patterns = ["*.log", "skip/", "!skip/important", "half/*", "!half/y"];
    let source = source(temp.path(), with(|o| o.excludes = patterns.map(str::to_owned).to_vec()));
    assert_eq!(file_ids(&source), ["half", "half/y", "keep", "keep/b"]);
    let folders: Vec<_> = listings(&source).into_iter().map(|listing| listing.folder).collect();
    assert_eq!(folders, ["", "half", "keep"]);
    assert!(source.exclude_hash().is_some());
}

#[test]
fn a_name_that_is_left_out_is_not_the_first_name_of_a_hard_link() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["a/file"]);
    fs::hard_link(temp.path().join("a/file"), temp.path().join("b")).unwrap();
    let source = source(temp.path(), with(|o| o.excludes = vec!["/a".to_owned()]));
    assert_eq!(entries(&source)["b"].hardlink, None);
}

#[test]
fn a_cache_folder_keeps_its_tag_alone_and_a_false_tag_does_nothing() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["cache/x", "cache/deep/y", "false/x", "false/CACHEDIR.TAG", "odd/x", "odd/CACHEDIR.TAG/z"]);
    let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# made by a test\n";
    fs::write(temp.path().join("cache/CACHEDIR.TAG"), tag).unwrap();
    let all = file_ids(&plain(temp.path())).len();
    let source = source(temp.path(), with(|o| o.exclude_caches = true));
    let kept = file_ids(&source);
    assert_eq!(kept.iter().filter(|id| id.starts_with("cache")).collect::<Vec<_>>(), ["cache", "cache/CACHEDIR.TAG"]);
    assert_eq!(kept.len(), all - 3);
}

#[test]
fn a_folder_with_a_mark_keeps_the_mark_alone() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["a/.nobackup", "a/x", "a/deep/y", "b/.nobackup/z", "b/x"]);
    let source = source(temp.path(), with(|o| o.exclude_if_present = vec![".nobackup".to_owned()]));
    assert_eq!(file_ids(&source), ["a", "a/.nobackup", "b", "b/.nobackup", "b/.nobackup/z", "b/x"]);
    let hidden =
        with(|o| (o.exclude_if_present, o.excludes) = (vec![".nobackup".to_owned()], vec![".nobackup".to_owned()]));
    assert_eq!(file_ids(&self::source(temp.path(), hidden)), ["a", "b", "b/x"]);
    let bad = with(|o| o.exclude_if_present = vec!["a/b".to_owned()]);
    assert!(
        matches!(LocalSource::new(temp.path(), bad), Err(SourceError::BadPattern { pattern, .. }) if pattern == "a/b")
    );
}

#[test]
fn only_files_above_the_limit_are_left_out() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("at"), [0; 10]).unwrap();
    fs::write(temp.path().join("above"), [0; 11]).unwrap();
    fs::create_dir(temp.path().join("folder")).unwrap();
    let source = source(temp.path(), with(|o| o.max_file_size = Some(10)));
    assert_eq!(file_ids(&source), ["at", "folder"]);
}

#[test]
fn another_file_system_is_stored_but_not_entered() {
    let temp = tempfile::tempdir().unwrap();
    put(temp.path(), &["own/file"]);
    let test = "another_file_system_is_stored_but_not_entered";
    let Some(_mounted) = Mounted::new(test, "tmpfs", "size=1m", &temp.path().join("other")) else { return };
    put(temp.path(), &["other/file", "other/below/file"]);
    assert_eq!(
        file_ids(&plain(temp.path())),
        ["other", "other/below", "other/below/file", "other/file", "own", "own/file"]
    );
    let source = source(temp.path(), with(|o| o.one_file_system = true));
    assert_eq!(file_ids(&source), ["other", "own", "own/file"]);
    let other = listings(&source).into_iter().find(|listing| listing.folder == "other").unwrap();
    assert!(other.entries.is_empty() && other.warnings.is_empty());
    // The root itself may be a mount point.
    let root = self::source(&temp.path().join("other"), with(|o| o.one_file_system = true));
    assert_eq!(file_ids(&root), ["below", "below/file", "file"]);
}
