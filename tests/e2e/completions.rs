//! Completions in real shells, with and without a daemon that knows the names.

use std::fs;
use std::path::Path;
use std::process::Command;

use cloudstic_e2e::binaries;
use cloudstic_e2e::ran::{Ran, limited};
use cloudstic_e2e::site::{Credential, Site};
use cloudstic_e2e::skip::skipped;
use cloudstic_e2e::tree;

use crate::client::{backup, snapshots};

/// Completes the last word of a line in bash, with the script that the program prints: one candidate a line.
const BASH: &str = r#"
source <(cloudsticctl completions bash)
complete -p cloudsticctl >/dev/null || exit 9
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_cloudsticctl cloudsticctl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>&1
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// The same in zsh, by the function that the script registers, with the part that shows things replaced.
const ZSH: &str = r#"
autoload -Uz compinit && compinit -D -u 2>/dev/null
compdef() { : }
_describe() { shift 2; local array=$1; print -rl -- "${(@P)array}" }
source <(cloudsticctl completions zsh)
words=("$@") CURRENT=$#
_clap_dynamic_completer_cloudsticctl
"#;

const FISH: &str = r#"
cloudsticctl completions fish | source
complete --do-complete "$argv"
"#;

/// What a shell offers for the last of these words; `None` if it is not installed. A socket at which nobody listens is a
/// daemon that does not run.
fn offered(shell: &str, socket: &Path, words: &[&str]) -> Option<Vec<String>> {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", shell]).output().unwrap().status.success();
    if !found {
        skipped("completions", &format!("{shell} is not installed"));
        return None;
    }
    let mut command = limited(shell);
    match shell {
        "bash" => command.args(["--norc", "-c", BASH, "bash"]).args(words),
        "zsh" => command.args(["-f", "-c", ZSH, "zsh"]).args(words),
        _ => command.args(["--no-config", "-c", FISH]).arg(words.join(" ")),
    };
    let path = format!("{}:{}", binaries::folder().display(), std::env::var("PATH").unwrap());
    // Slow machines must not make a difference here.
    command.env("PATH", path).env("CLOUDSTIC_SOCKET", socket).env("CLOUDSTIC_COMPLETE_TIMEOUT", "60s").env("TZ", "UTC");
    let home = tempfile::tempdir().unwrap();
    command.env("HOME", home.path()).current_dir(home.path());
    let ran = Ran::run(command).ok();
    assert_eq!(ran.stderr, "", "{shell} says something while it completes {words:?}");
    Some(ran.text().lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Panics unless one of the candidates is `word`, alone or with a description behind it.
#[track_caller]
fn assert_offers(shell: &str, socket: &Path, words: &[&str], word: &str) {
    let Some(offered) = offered(shell, socket, words) else { return };
    let is = |line: &String| line.split([':', '\t']).next() == Some(word);
    assert!(offered.iter().any(is), "{shell} does not offer {word} for {words:?}: {offered:?}");
}

const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

#[test]
fn shells_complete_commands_and_options_without_a_daemon() {
    let nobody = Path::new("/nonexistent/socket");
    for shell in SHELLS {
        assert_offers(shell, nobody, &["cloudsticctl", "rest"], "restore");
        assert_offers(shell, nobody, &["cloudsticctl", "job", "wa"], "watch");
        assert_offers(shell, nobody, &["cloudsticctl", "restore", "home", "latest", "--overw"], "--overwrite");
        assert_offers(shell, nobody, &["cloudsticctl", "restore", "--overwrite", "if"], "if-changed");
        if let Some(offered) = offered(shell, nobody, &["cloudsticctl", "ls", ""]) {
            assert!(offered.iter().all(|word| word.starts_with('-')), "{shell} offers {offered:?}");
        }
    }
}

#[test]
fn shells_complete_names_that_the_daemon_knows() {
    let mut site = Site::new();
    let (store, source) = (site.path("repository"), site.path("source"));
    tree::write(&source, "file", b"contents");
    site.repository("away", &site.path("away"), Credential::None);
    site.repository("main", &store, Credential::None).profile("documents", "main", &source, "");
    let daemon = site.start();
    daemon.ctl(&["init", "main", "--unencrypted"]).ok();
    backup(&daemon, &["documents", "--tag", "a\u{1b}[2J\n$(reboot)"], 0);
    let hash = snapshots(&daemon, "main")[0].reference.replace("snapshot/", "");
    let short = &hash[..12];
    let socket = site.path("daemon.sock");

    for shell in SHELLS {
        assert_offers(shell, &socket, &["cloudsticctl", "ls", "m"], "main");
        assert_offers(shell, &socket, &["cloudsticctl", "backup", "doc"], "documents");
        assert_offers(shell, &socket, &["cloudsticctl", "copy", "m"], "main");
        assert_offers(shell, &socket, &["cloudsticctl", "copy", "main", "aw"], "away");
        assert_offers(shell, &socket, &["cloudsticctl", "copy", "main", "away", "la"], "latest");
        assert_offers(shell, &socket, &["cloudsticctl", "ls", "main", "la"], "latest");
        assert_offers(shell, &socket, &["cloudsticctl", "restore", "main", &short[..2]], short);
        assert_offers(shell, &socket, &["cloudsticctl", "ls", "main", &hash[..20]], &hash);
        if shell != "bash"
            && let Some(offered) = offered(shell, &socket, &["cloudsticctl", "ls", "main", &short[..2]])
        {
            let [line] = &offered[..] else { panic!("{shell} offers {offered:?}") };
            assert!(line.contains(source.to_str().unwrap()), "{shell} does not say what a snapshot is: {line}");
            assert!(!line.contains('\u{1b}'), "{shell} shows control characters: {line:?}");
        }
    }
    // The shell takes an option and its value apart.
    assert_offers("bash", &socket, &["cloudsticctl", "backup", "--repository", "=", "ma"], "main");
    assert_offers("bash", &socket, &["cloudsticctl", "backup", "--repository", "="], "main");
}

#[test]
fn bash_completes_files_itself_and_quotes_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("$(reboot)"), b"").unwrap();
    let words = ["cloudsticctl", "restore", "main", "latest", "--zip", folder.path().to_str().unwrap()];
    assert_eq!(offered("bash", Path::new("/nonexistent/socket"), &words), Some(Vec::new()));
}
