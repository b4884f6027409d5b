//! `find`: entries in some or all snapshots.

use cloudstic_proto::v1::{FindPart, FindRequest, Found, Snapshot};

use super::answer;
use super::filter::snapshot_filter;
use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::json::{self, FindLine};
use crate::output::{Output, escape, human, report};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Find) -> Result<Exit, Error> {
    let each = args.each;
    let request = FindRequest {
        repository: args.repository,
        snapshots: args.snapshot,
        patterns: args.patterns,
        regex: args.regex,
        ignore_case: args.ignore_case,
        larger: args.larger,
        smaller: args.smaller,
        newer: args.newer,
        older: args.older,
        hash: args.hash.unwrap_or_default(),
        filter: snapshot_filter(args.filter)?,
        types: args.types.into_iter().map(|kind| kind.word().to_owned()).collect(),
    };
    let daemon = Daemon::connect(&global.socket).await?;
    let mut repositories = daemon.repositories();
    let (mut snapshots, mut warnings, mut found) = (Vec::new(), 0, 0_u64);
    let taken = answer::take(global, repositories.find(request), |part: FindPart| {
        snapshots.extend(part.snapshots);
        warnings = warnings.max(part.warning_count);
        for entry in &part.found {
            if out.json {
                out.document(&FindLine::entry(entry, &snapshots, each))?;
                continue;
            }
            if found == 0 && !out.quiet {
                out.text(HEADING)?;
            }
            out.text(lines(entry, &snapshots, each))?;
            found += 1;
        }
        if out.json {
            for warning in &part.warnings {
                out.document(&FindLine::Warning(json::Warning::from(warning)))?;
            }
        }
        out.flush()?;
        out.warnings(&part.warnings);
        Ok(())
    });
    taken.await?;
    if !out.json && !out.quiet {
        let entries = human::count(found, "entry", "entries");
        out.text(format_args!("{entries} in {}\n", human::count(snapshots.len() as u64, "snapshot", "snapshots")))?;
    }
    if warnings == 0 {
        return Ok(Exit::Success);
    }
    out.note(report::partial(warnings));
    Ok(Exit::Partial)
}

const HEADING: &str = "NEWEST        OLDEST           IN  MODE                SIZE  MODIFIED                   PATH\n";

/// An entry, and if asked for each snapshot that has it.
fn lines(found: &Found, snapshots: &[Snapshot], each: bool) -> String {
    let Some(entry) = &found.entry else { return String::new() };
    let having = having(found, snapshots);
    let short = |snapshot: Option<&&Snapshot>| {
        snapshot.map_or(human::NOTHING, |snapshot| human::short_hash(&snapshot.r#ref)).to_owned()
    };
    let mut text = format!(
        "{:<12}  {:<12}  {:>5}  {}  {:>12}  {:<25}  {}",
        short(having.first()),
        short(having.last()),
        having.len(),
        human::mode(&entry.r#type, entry.mode),
        entry.size,
        human::time(entry.mtime.as_ref()),
        escape::name(&entry.path),
    );
    if !entry.target.is_empty() {
        text += &format!(" -> {}", escape::name(&entry.target));
    }
    text.push('\n');
    for snapshot in having.iter().filter(|_| each) {
        let reference = escape::text(&snapshot.r#ref).into_owned();
        text += &format!("    {reference}  {}\n", human::time(snapshot.created.as_ref()));
    }
    text
}

/// The snapshots that have an entry, the newest first.
pub(crate) fn having<'a>(found: &Found, snapshots: &'a [Snapshot]) -> Vec<&'a Snapshot> {
    let run = |run: &cloudstic_proto::v1::SnapshotRun| snapshots.get(run.start as usize..run.end as usize);
    found.runs.iter().filter_map(run).flatten().collect()
}

#[cfg(test)]
mod tests {
    use cloudstic_proto::v1::{Entry, SnapshotRun};

    use super::*;

    #[test]
    fn an_entry_names_the_newest_and_the_oldest_snapshot_that_has_it() {
        let snapshot =
            |n: u8| Snapshot { r#ref: format!("snapshot/{}", n.to_string().repeat(64)), ..Snapshot::default() };
        let snapshots: Vec<Snapshot> = (1..=4).map(snapshot).collect();
        let entry = Entry { path: b"a\n".to_vec(), r#type: "file".to_owned(), size: 5, ..Entry::default() };
        let found = Found {
            entry: Some(entry),
            runs: vec![
                SnapshotRun { start: 0, end: 1 },
                SnapshotRun { start: 2, end: 4 },
                SnapshotRun { start: 7, end: 9 },
            ],
        };
        let text = lines(&found, &snapshots, false);
        assert!(text.starts_with("111111111111  444444444444      3  ----------             5  -  "), "{text}");
        assert!(text.ends_with("  a\\n\n"), "{text}");
        assert_eq!(lines(&found, &snapshots, true).lines().count(), 4);
    }
}
