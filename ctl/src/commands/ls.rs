//! `ls`: the entries of a snapshot, printed as they come: the listing is never held.

use std::borrow::Cow;

use cloudstic_proto::v1::{Entry, ListEntriesRequest};

use super::path;
use crate::cli::{self, Global};
use crate::connect::Daemon;
use crate::error::Error;
use crate::exit::Exit;
use crate::output::json::{self, ListingLine};
use crate::output::{Output, escape, human, report};

pub(crate) async fn run(global: &Global, out: &mut Output, args: cli::Ls) -> Result<Exit, Error> {
    // Here and not in the definitions, as those do not see a global option that stands before the command.
    if out.json && (args.raw || args.null) {
        return Err(Error::Arguments("--raw and --null do not go with --json: it has bytes as path_b64".to_owned()));
    }
    let style = Style { long: args.long, raw: args.raw || args.null, end: if args.null { 0 } else { b'\n' } };
    let request = ListEntriesRequest {
        repository: args.repository,
        snapshot: args.snapshot,
        paths: path::bytes(args.paths),
        shallow: args.shallow,
    };
    let daemon = Daemon::connect(&global.socket).await?;
    let mut listing = daemon.repositories().list_entries(request).await?.into_inner();
    let mut warnings = 0;
    loop {
        // What came before an error is shown before the error is.
        let message = match listing.message().await {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(status) => {
                out.flush()?;
                return Err(status.into());
            }
        };
        if out.json {
            if let Some(snapshot) = &message.snapshot {
                out.document(&ListingLine::Snapshot(json::Snapshot::from(snapshot)))?;
            }
            for entry in &message.entries {
                out.document(&ListingLine::Entry(json::Entry::from(entry)))?;
            }
            for warning in &message.warnings {
                out.document(&ListingLine::Warning(json::Warning::from(warning)))?;
            }
        } else {
            for entry in &message.entries {
                out.bytes(&style.line(entry))?;
            }
        }
        out.flush()?;
        out.warnings(&message.warnings);
        warnings += message.warnings.len() as u64;
    }
    if warnings == 0 {
        return Ok(Exit::Success);
    }
    out.note(report::partial(warnings));
    Ok(Exit::Partial)
}

/// How an entry becomes a line.
struct Style {
    long: bool,
    raw: bool,
    end: u8,
}

impl Style {
    fn line(&self, entry: &Entry) -> Vec<u8> {
        let mut line = Vec::new();
        if self.long {
            line.extend_from_slice(details(entry).as_bytes());
        }
        line.extend_from_slice(&self.name(&entry.path));
        if self.long && !entry.target.is_empty() {
            line.extend_from_slice(b" -> ");
            line.extend_from_slice(&self.name(&entry.target));
        }
        line.push(self.end);
        line
    }

    fn name<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.raw {
            return Cow::Borrowed(bytes);
        }
        match escape::name(bytes) {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }
    }
}

/// Mode, owner, group, size and time, each as wide as it usually needs to be: a stream cannot know its widest.
fn details(entry: &Entry) -> String {
    format!(
        "{} {:>5} {:>5} {:>12} {} ",
        human::mode(&entry.r#type, entry.mode),
        entry.uid,
        entry.gid,
        entry.size,
        human::time(entry.mtime.as_ref()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Entry {
        Entry {
            path: b"a\nb\xff".to_vec(),
            r#type: "symlink".to_owned(),
            mode: 0o777,
            target: b"\x1b".to_vec(),
            ..Entry::default()
        }
    }

    #[test]
    fn an_entry_is_one_line_unless_raw() {
        let plain = Style { long: false, raw: false, end: b'\n' };
        assert_eq!(plain.line(&link()), b"a\\nb\\xff\n");
        let raw = Style { long: false, raw: true, end: 0 };
        assert_eq!(raw.line(&link()), b"a\nb\xff\0");
    }

    #[test]
    fn a_long_line_shows_where_a_link_points_safely() {
        let long = Style { long: true, raw: false, end: b'\n' };
        let line = String::from_utf8(long.line(&link())).unwrap_or_default();
        assert_eq!(line, "lrwxrwxrwx     0     0            0 - a\\nb\\xff -> \\x1b\n");
    }
}
