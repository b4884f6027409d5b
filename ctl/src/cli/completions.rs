//! `completions`.

use clap::{Args, ValueEnum};

/// Print the completion script of a shell
///
/// The script lets the shell ask this program, which asks the daemon for the names of repositories, profiles and
/// snapshots; without a daemon only commands and options are completed. `make install` and packages put it where the
/// shell looks; by hand:
///
/// bash: cloudsticctl completions bash > ~/.local/share/bash-completion/completions/cloudsticctl
///
/// zsh: cloudsticctl completions zsh > DIR/_cloudsticctl, where DIR is in $fpath
///
/// fish: cloudsticctl completions fish > ~/.config/fish/completions/cloudsticctl.fish
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Shell {
    /// bash 4.4 or later
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}
