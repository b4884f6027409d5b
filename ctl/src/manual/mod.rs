//! The manual pages: one for the program and one for each command, as `git` has them.
//!
//! They come from the definitions of the command line; what is here is only what `--help` has no room for.

mod examples;

use std::io;

use clap::{Command, CommandFactory};
use cloudstic_man::{Section, page, see_also, visible};

use crate::cli::Cli;
use crate::{completion, exit};
use examples::EXAMPLES;

/// A page as a file.
pub(crate) struct Page {
    /// `cloudsticctl-backup.1`
    pub(crate) file: String,
    pub(crate) text: Vec<u8>,
}

/// All pages. `date` is shown at their foot.
pub(crate) fn pages(date: &str) -> io::Result<Vec<Page>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    write(&root, None, date, &mut pages)?;
    Ok(pages)
}

fn write(command: &Command, parent: Option<&Command>, date: &str, pages: &mut Vec<Page>) -> io::Result<()> {
    let mut more = Vec::new();
    let mut also: Vec<_> = parent.map(reference).into_iter().collect();
    if parent.is_none() {
        more.extend([exit_status(), environment(), files()]);
        also.push("cloudsticd(8)".to_owned());
    } else {
        more.push(Section::new("EXIT STATUS").paragraph("That of all commands: see cloudsticctl(1)."));
    }
    more.extend(examples(name(command)));
    more.push(see_also(&also));
    let text = page(command, "1", date, &more)?;
    pages.push(Page { file: format!("{}.1", name(command)), text });
    visible(command).try_for_each(|sub| write(sub, Some(command), date, pages))
}

/// `cloudsticctl-job-list`
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn reference(command: &Command) -> String {
    format!("{}(1)", name(command))
}

fn exit_status() -> Section {
    let section = Section::new("EXIT STATUS");
    exit::codes().into_iter().fold(section, |section, (code, meaning)| section.term(code.to_string(), meaning))
}

fn environment() -> Section {
    Section::new("ENVIRONMENT")
        .term("CLOUDSTIC_SOCKET", "The daemon's socket, unless --socket says otherwise.")
        .term(
            completion::PATIENCE,
            "How long the completion of a word in a shell waits for the daemon, as in 2s; without it 300ms.",
        )
        .term("TZ", "The time zone in which times are shown.")
}

fn files() -> Section {
    Section::new("FILES").term(cloudstic_proto::DEFAULT_SOCKET, "The daemon's socket, if nothing else is configured.")
}

/// What people come for, of the commands that need it.
fn examples(page: &str) -> Option<Section> {
    let examples = EXAMPLES.iter().filter(|(of, _, _)| *of == page);
    let section = |section: Option<Section>, (_, purpose, line): &(_, &str, &str)| {
        Some(section.unwrap_or_else(|| Section::new("EXAMPLES")).example(*purpose, *line))
    };
    examples.fold(None, section)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser;

    use super::*;

    fn text(page: &Page) -> String {
        String::from_utf8(page.text.clone()).unwrap()
    }

    /// Every visible command below, itself included.
    fn all(command: &Command) -> Vec<&Command> {
        [command].into_iter().chain(visible(command).flat_map(all)).collect()
    }

    #[test]
    fn every_command_has_a_page_and_every_option_a_description() {
        let mut root = Cli::command().disable_help_subcommand(true);
        root.build();
        let pages = pages("2000-01-01").unwrap();
        let commands = all(&root);
        assert_eq!(pages.len(), commands.len());
        for command in commands {
            let page = pages.iter().find(|page| page.file == format!("{}.1", name(command))).map(text).unwrap();
            assert!(command.get_about().is_some(), "{} says nothing of itself", name(command));
            if let Some(more) = command.get_long_about().map(ToString::to_string) {
                let (first, _) = more.split_once('\n').unwrap_or((&more, ""));
                assert_eq!(first, command.get_about().unwrap().to_string(), "{}", name(command));
            }
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let described = argument.get_help().is_some_and(|help| !help.to_string().trim().is_empty());
                assert!(described, "{}: {} is not described", name(command), argument.get_id());
                if let Some(long) = argument.get_long() {
                    assert!(
                        page.contains(&format!("\\-\\-{}", long.replace('-', "\\-"))),
                        "{}: --{long}",
                        name(command)
                    );
                }
            }
        }
    }

    #[test]
    fn the_page_of_the_program_lists_commands_codes_and_variables() {
        let page = text(&pages("2000-01-01").unwrap()[0]);
        for code in exit::codes() {
            assert!(page.contains(&format!("\\fB{}\\fR\n{}", code.0, code.1)), "{page}");
        }
        for expected in ["cloudsticctl\\-backup(1)", "CLOUDSTIC_SOCKET", "cloudsticd(8)", "2000-01-01"] {
            assert!(page.contains(expected), "no {expected} in {page}");
        }
        assert!(!page.contains("cloudsticctl\\-man("), "what is hidden is not for the manual");
    }

    #[test]
    fn examples_are_valid_command_lines_on_pages_that_exist() {
        let pages = pages("").unwrap();
        for (page, _, line) in EXAMPLES {
            assert!(pages.iter().any(|known| known.file == format!("{page}.1")), "there is no page {page}");
            // As the shell would take it.
            let command = line.split([';', '|', '>']).next().unwrap();
            let words = command.split_whitespace().map(|word| word.trim_matches('\''));
            let words = words.skip_while(|word| *word != "cloudsticctl");
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn every_page_has_examples_of_its_own_command() {
        for page in pages("").unwrap() {
            let name = page.file.trim_end_matches(".1");
            assert!(text(&page).contains(".SH EXAMPLES"), "{name} has no examples");
            let own = EXAMPLES.iter().filter(|(of, _, _)| *of == name).collect::<Vec<_>>();
            assert!((1..=4).contains(&own.len()), "{name} has {} examples", own.len());
            for (_, purpose, line) in own {
                assert!(line.contains(&name.replacen('-', " ", 1)) || line.contains(&spaced(name)), "{name}: {line}");
                assert!(purpose.ends_with(':'), "{purpose}");
            }
        }
    }

    /// `cloudsticctl job list` of `cloudsticctl-job-list`.
    fn spaced(page: &str) -> String {
        page.replacen('-', " ", 2)
    }
}
