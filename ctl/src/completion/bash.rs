//! bash: a script of our own, as the one of the library lets the shell expand `*` in what it is given, and inserts names
//! of files without quotes.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Command;
use clap_complete::env::EnvCompleter;

use super::line::INDEX;

/// Completes for bash.
pub(super) struct Bash;

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        "bash"
    }

    fn is(&self, name: &str) -> bool {
        name == "bash"
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        program: &str,
        completer: &str,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        // A word behind an equals sign has to come whole; else it ends where the cursor is.
        write!(
            out,
            r#"# What has no answer here, a file for example, bash completes itself.
_{name}() {{
    local words=("${{COMP_WORDS[@]:0:COMP_CWORD+1}}")
    [[ ${{words[COMP_CWORD]}} == '=' ]] || words[COMP_CWORD]=$2
    mapfile -t COMPREPLY < <({INDEX}=$COMP_CWORD {variable}=bash {completer} -- "${{words[@]}}" 2>/dev/null)
    [[ ${{#COMPREPLY[@]}} -ne 1 || ${{COMPREPLY[0]}} != *= ]] || compopt -o nospace
}}
complete -o bashdefault -o default -o nosort -F _{name} {program}
"#
        )
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        here: Option<&Path>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let words = joined(words);
        let index = words.len().saturating_sub(1);
        // Only what is behind the sign will be replaced.
        let kept = words.last().map_or(0, |word| prefix(word));
        for candidate in clap_complete::engine::complete(command, words, index, here)? {
            let value = candidate.get_value().as_bytes();
            if value.len() >= kept && !value.iter().any(u8::is_ascii_control) {
                out.write_all(&value[kept..])?;
                out.write_all(b"\n")?;
            }
        }
        Ok(())
    }
}

/// `--option`, `=`, `value` is one word again: bash takes them apart.
fn joined(words: Vec<OsString>) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::with_capacity(words.len());
    for word in words {
        match out.last_mut() {
            Some(option)
                if option.as_bytes().starts_with(b"--") && (word == "=" || option.as_bytes().ends_with(b"=")) =>
            {
                option.push(word);
            }
            _ => out.push(word),
        }
    }
    out
}

/// How much of an option with its value is the option.
fn prefix(word: &OsStr) -> usize {
    let word = word.as_bytes();
    if !word.starts_with(b"--") {
        return 0;
    }
    word.iter().position(|byte| *byte == b'=').map_or(0, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn options_and_their_values_are_put_together_again() {
        assert_eq!(joined(words(&["c", "--a", "=", "b", "d"])), words(&["c", "--a=b", "d"]));
        assert_eq!(joined(words(&["c", "--a", "="])), words(&["c", "--a="]));
        assert_eq!(joined(words(&["c", "x", "=", "b"])), words(&["c", "x", "=", "b"]));
        assert_eq!(joined(words(&["c", "--a", ""])), words(&["c", "--a", ""]));
    }

    #[test]
    fn only_the_value_is_replaced() {
        assert_eq!(prefix(OsStr::new("--repository=ho")), "--repository=".len());
        assert_eq!((prefix(OsStr::new("--repository")), prefix(OsStr::new("a=b"))), (0, 0));
    }
}
