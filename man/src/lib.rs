//! Manual pages: what the definitions of a command line say, and beside it what they cannot.
//!
//! The invariant: nothing that `--help` says is written a second time. A page's name, synopsis, description and options
//! come from the definitions; only exit codes, files, examples and the like are given as [`Section`]s.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// What a page says after its options.
#[derive(Debug, Clone)]
pub struct Section {
    heading: &'static str,
    items: Vec<Item>,
}

#[derive(Debug, Clone)]
enum Item {
    Paragraph(String),
    Term(String, String),
    Example(String, String),
}

impl Section {
    /// An empty one; the heading is in capitals by convention.
    pub fn new(heading: &'static str) -> Self {
        Self { heading, items: Vec::new() }
    }

    /// Adds a paragraph.
    #[must_use]
    pub fn paragraph(mut self, text: impl Into<String>) -> Self {
        self.items.push(Item::Paragraph(text.into()));
        self
    }

    /// Adds something and what it means: an exit code, a file, a variable.
    #[must_use]
    pub fn term(mut self, term: impl Into<String>, meaning: impl Into<String>) -> Self {
        self.items.push(Item::Term(term.into(), meaning.into()));
        self
    }

    /// Adds a command line, and before it what it is for.
    #[must_use]
    pub fn example(mut self, purpose: impl Into<String>, line: impl Into<String>) -> Self {
        self.items.push(Item::Example(purpose.into(), line.into()));
        self
    }

    fn render(&self, roff: &mut Roff) {
        roff.control("SH", [self.heading]);
        for (index, item) in self.items.iter().enumerate() {
            match item {
                Item::Paragraph(text) => {
                    // Right after a heading it would be an empty one.
                    if index > 0 {
                        roff.control("PP", []);
                    }
                    roff.text([roman(text)]);
                }
                Item::Term(term, meaning) => {
                    roff.control("TP", []);
                    roff.text([bold(term)]);
                    roff.text([roman(meaning)]);
                }
                Item::Example(purpose, line) => {
                    roff.control("TP", []);
                    roff.text([roman(purpose)]);
                    roff.text([bold(line)]);
                }
            }
        }
    }
}

/// The manual page of a command that was built, as a member of a section of the manual ("1" are commands, "8" is for
/// administrators).
///
/// `date` is shown below it, in the form `YYYY-MM-DD`; programs cannot know when their text was last changed.
pub fn page(command: &Command, section: &str, date: &str, more: &[Section]) -> io::Result<Vec<u8>> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let version = command.get_version().unwrap_or_default();
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .section(section)
        .date(date)
        .source(format!("cloudstic {version}"))
        .manual("Cloudstic");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut page)?;
    }
    if visible(command).next().is_some() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::new();
    for section in more {
        section.render(&mut roff);
    }
    roff.to_writer(&mut page)?;
    Ok(tidied(&page))
}

/// The commands of a command that its help shows.
pub fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

/// References to other pages, as a section.
pub fn see_also(pages: &[String]) -> Section {
    Section::new("SEE ALSO").paragraph(pages.join(", "))
}

/// What each part begins with; once is enough.
const PREAMBLE: [&[u8]; 2] = [b".ie \\n(.g .ds Aq \\(aq\n", b".el .ds Aq '\n"];

/// A page as it was rendered, less what is bad style in one. An empty line is what a help text of several paragraphs has:
/// it becomes a paragraph that does not end the option.
fn tidied(page: &[u8]) -> Vec<u8> {
    let mut out = PREAMBLE.concat();
    for line in page.split_inclusive(|byte| *byte == b'\n').filter(|line| !PREAMBLE.contains(line)) {
        out.extend(if line == b"\n" { b".IP" } else { line.trim_ascii_end() });
        out.push(b'\n');
    }
    out
}
