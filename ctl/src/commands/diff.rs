//! `diff`: what changed from one snapshot to another, printed as it comes.

use std::fmt::Write;

use cloudstic_proto::v1::{Change, ChangeKind, DiffPart, DiffRequest, DiffTotals, EntryCount};

use super::{answer, path};
use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::human::{self, count};
use crate::output::json::{self, DiffLine};
use crate::output::{Output, escape, report};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Diff) -> Result<Exit, Error> {
    let request = DiffRequest {
        repository: args.repository,
        before: args.before,
        after: args.after,
        paths: path::bytes(args.paths),
        no_renames: args.no_renames,
    };
    let daemon = Daemon::connect(&global.socket).await?;
    let mut repositories = daemon.repositories();
    let mut warnings = 0;
    let mut is_whole = false;
    let taken = answer::take(global, repositories.diff(request), |part: DiffPart| {
        warnings = warnings.max(part.warning_count);
        is_whole |= part.totals.is_some();
        if out.json {
            json_lines(out, &part, args.stat)?;
        } else {
            if !args.stat {
                part.changes.iter().try_for_each(|change| out.text(line(change)))?;
            }
            if let Some(totals) = part.totals.as_ref().filter(|_| args.stat) {
                out.text(stat(totals))?;
            }
        }
        out.flush()?;
        out.warnings(&part.warnings);
        Ok(())
    });
    taken.await?;
    if !is_whole {
        return Err(Error::Incomplete("the list of changes"));
    }
    if warnings == 0 {
        return Ok(Exit::Success);
    }
    out.note(report::partial(warnings));
    Ok(Exit::Partial)
}

fn json_lines(out: &mut Output, part: &DiffPart, stat: bool) -> Result<(), Error> {
    if let (Some(before), Some(after)) = (&part.before, &part.after) {
        out.document(&DiffLine::snapshots(before, after))?;
    }
    for change in part.changes.iter().filter(|_| !stat) {
        out.document(&DiffLine::change(change))?;
    }
    for warning in &part.warnings {
        out.document(&DiffLine::Warning(json::Warning::from(warning)))?;
    }
    if let Some(totals) = &part.totals {
        out.document(&DiffLine::totals(totals, part.warning_count))?;
    }
    Ok(())
}

/// `M  docs/a.txt  [content,mtime]`
fn line(change: &Change) -> String {
    let letter = match change.kind() {
        ChangeKind::Removed => 'D',
        ChangeKind::Added => 'A',
        ChangeKind::Type | ChangeKind::Content | ChangeKind::Metadata => 'M',
        ChangeKind::Moved => 'R',
        ChangeKind::Unspecified => '?',
    };
    let mut line = format!("{letter}  ");
    if change.kind() == ChangeKind::Moved {
        line += &format!("{} -> ", escape::name(&change.from));
    }
    line += &escape::name(&change.path);
    // That what moved has another path is no news.
    let is_news = |field: &&String| change.kind() != ChangeKind::Moved || field.as_str() != "path";
    let fields: Vec<&str> = change.fields.iter().filter(is_news).map(String::as_str).collect();
    // Writing into a String cannot fail.
    if !fields.is_empty() {
        let _ = write!(line, "  [{}]", fields.join(","));
    }
    if let Some(below) = &change.below {
        let all = below.files + below.folders + below.others;
        let _ = write!(line, "  (with {} below it)", count(all, "entry", "entries"));
    }
    line.push('\n');
    line
}

fn stat(totals: &DiffTotals) -> String {
    let mut text = String::new();
    let rows = [
        ("added", &totals.added),
        ("removed", &totals.removed),
        ("modified", &totals.modified),
        ("metadata", &totals.metadata),
        ("moved", &totals.moved),
    ];
    for (word, row) in rows {
        let EntryCount { files, folders, others, bytes } = row.unwrap_or_default();
        let _ = write!(
            text,
            "{:<10}{}, {}, {} (links and special files), {}",
            format!("{word}:"),
            count(files, "file", "files"),
            count(folders, "folder", "folders"),
            count(others, "other", "others"),
            human::size(bytes),
        );
        if word == "modified" {
            let _ = write!(text, " (before: {})", human::size(totals.modified_bytes_before));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: ChangeKind, path: &[u8]) -> Change {
        Change { kind: kind.into(), path: path.to_vec(), ..Change::default() }
    }

    #[test]
    fn a_change_is_one_line_whatever_its_names() {
        let modified =
            Change { fields: vec!["content".into(), "mtime".into()], ..change(ChangeKind::Content, b"a\nb") };
        assert_eq!(line(&modified), "M  a\\nb  [content,mtime]\n");
        assert_eq!(line(&change(ChangeKind::Added, b"\xff")), "A  \\xff\n");
        let moved = Change {
            from: b"\x1b".to_vec(),
            fields: vec!["path".into()],
            below: Some(EntryCount { files: 2, ..EntryCount::default() }),
            ..change(ChangeKind::Moved, b"new")
        };
        assert_eq!(line(&moved), "R  \\x1b -> new  (with 2 entries below it)\n");
    }

    #[test]
    fn totals_tell_what_changed_from_what_is_only_around_it() {
        let files = |files| Some(EntryCount { files, bytes: 1024, ..EntryCount::default() });
        let totals =
            DiffTotals { modified: files(1), modified_bytes_before: 5, metadata: files(2), ..DiffTotals::default() };
        let text = stat(&totals);
        assert!(
            text.contains("modified: 1 file, 0 folders, 0 others (links and special files), 1.0 KiB (before: 5 B)\n"),
            "{text}"
        );
        assert!(text.contains("metadata: 2 files"), "{text}");
    }
}
