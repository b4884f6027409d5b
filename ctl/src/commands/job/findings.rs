//! `job findings`: everything that a job found, of which its report has the first.

use cloudstic_proto::v1::finding::Finding;
use cloudstic_proto::v1::{FoundFault, JobFindingsRequest, Lost, Snapshot};

use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::json::{self, FindingLine};
use crate::output::{Output, escape, human, report};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::JobFindings) -> Result<Exit, Error> {
    let daemon = Daemon::connect(&global.socket).await?;
    let mut parts = daemon.jobs().findings(JobFindingsRequest { id: args.id.clone() }).await?.into_inner();
    let (mut snapshots, mut found) = (Vec::new(), 0);
    loop {
        let part = match parts.message().await {
            Ok(Some(part)) => part,
            // The last finding says that it is the last one.
            Ok(None) => return Err(Error::ConnectionLost("there were more findings to come".to_owned())),
            Err(status) => {
                out.flush()?;
                return Err(status.into());
            }
        };
        for finding in part.findings.into_iter().filter_map(|finding| finding.finding) {
            match finding {
                Finding::Snapshot(snapshot) => snapshots.push(snapshot),
                Finding::End(end) => return ended(out, found, &end.missing),
                finding => {
                    found += 1;
                    if out.json {
                        if let Some(line) = FindingLine::new(&finding, &snapshots, args.each) {
                            out.document(&line)?;
                        }
                    } else {
                        out.text(text(&finding, &snapshots, args.each))?;
                    }
                }
            }
        }
        out.flush()?;
    }
}

fn ended(out: &mut Output, found: u64, missing: &str) -> Result<Exit, Error> {
    if out.json {
        out.document(&FindingLine::End { count: found, missing: json::filled(missing) })?;
    } else if found == 0 && missing.is_empty() && !out.quiet {
        out.text("nothing was found\n")?;
    }
    out.flush()?;
    if missing.is_empty() {
        return Ok(Exit::Success);
    }
    out.note(format_args!("PARTIAL: this may not be all that was found: {missing}"));
    Ok(Exit::Partial)
}

fn text(finding: &Finding, snapshots: &[Snapshot], each: bool) -> String {
    let line = match finding {
        Finding::Warning(warning) => report::warning(warning),
        Finding::Fault(FoundFault { object, pack, problem, .. }) if pack.is_empty() => {
            format!("fault: {object} {problem}")
        }
        Finding::Fault(FoundFault { object, pack, problem, .. }) => format!("fault: {object} (in {pack}) {problem}"),
        Finding::Remark(remark) => format!("remark: {} {}", remark.object, remark.text),
        Finding::Lost(lost) => return lost_text(lost, lost_of(lost, snapshots), each),
        Finding::Snapshot(_) | Finding::End(_) => return String::new(),
    };
    escape::text(&line).into_owned() + "\n"
}

fn lost_text(lost: &Lost, snapshots: &[Snapshot], each: bool) -> String {
    let path = if lost.path.is_empty() { "entries of which nothing is known" } else { &lost.path };
    let name = |snapshot: &Snapshot| human::short_hash(&snapshot.r#ref).to_owned();
    let of = match snapshots {
        [] => "no snapshot".to_owned(),
        [only] => format!("snapshot {}", name(only)),
        [newest, .., oldest] => format!("{} snapshots, {} to {}", snapshots.len(), name(newest), name(oldest)),
    };
    let mut text =
        format!("lost: {} (by {}) of {}\n", escape::text(path), escape::text(&lost.object), escape::text(&of));
    for snapshot in snapshots.iter().filter(|_| each) {
        let reference = escape::text(&snapshot.r#ref);
        text += &format!("    {reference}  {}\n", human::time(snapshot.created.as_ref()));
    }
    text
}

/// The snapshots that something is lost of, the newest first.
pub(crate) fn lost_of<'a>(lost: &Lost, snapshots: &'a [Snapshot]) -> &'a [Snapshot] {
    let run = lost.snapshots.unwrap_or_default();
    snapshots.get(run.start as usize..run.end as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use cloudstic_proto::v1::SnapshotRun;

    use super::*;

    #[test]
    fn a_lost_path_is_one_line_with_its_snapshots() {
        let snapshot =
            |n: u8| Snapshot { r#ref: format!("snapshot/{}", n.to_string().repeat(64)), ..Snapshot::default() };
        let snapshots: Vec<Snapshot> = (1..=4).map(snapshot).collect();
        let lost = |path: &str, start, end| {
            let snapshots = Some(SnapshotRun { start, end });
            Finding::Lost(Lost { path: path.to_owned(), object: "packs/ab".to_owned(), snapshots })
        };
        assert_eq!(
            text(&lost("a\nb\u{1b}", 1, 4), &snapshots, false),
            "lost: a\\nb\\x1b (by packs/ab) of 3 snapshots, 222222222222 to 444444444444\n"
        );
        assert_eq!(
            text(&lost("", 0, 1), &snapshots, false),
            "lost: entries of which nothing is known (by packs/ab) of snapshot 111111111111\n"
        );
        assert_eq!(text(&lost("a", 0, 3), &snapshots, true).lines().count(), 4);
        assert!(text(&lost("a", 3, 9), &snapshots, true).contains("no snapshot"));
    }
}
