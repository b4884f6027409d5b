//! `key`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::LockWait;

/// Look at and change what opens a repository: passwords, platform keys, recovery words
///
/// A repository is encrypted with one master key. Each key slot holds it, locked by a password, by a platform key (64 hex
/// digits), or by recovery words. Changing slots changes no data, and whoever has copied a slot before can still open
/// that copy with its old credential. Only root and the daemon's own user may look at keys and change them.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// List the key slots: what opens the repository
    List(KeyList),
    Passwd(KeyPasswd),
    AddRecovery(KeyAddRecovery),
    AddPlatform(KeyAddPlatform),
    /// Remove a key slot; never the last one
    Remove(KeyRemove),
    /// Say why the master key itself cannot be changed, and what to do instead
    RotateMaster(KeyList),
}

#[derive(Debug, Args)]
pub(crate) struct KeyList {
    /// The repository
    pub(crate) repository: String,
}

/// Change a password
///
/// The old password opens nothing any more when this has succeeded. Put the new one where the daemon's configuration
/// has the password of this repository: the daemon goes on with what it has open, but needs it to open the repository
/// again. Without --new-password-file it is asked for on the terminal, twice.
#[derive(Debug, Args)]
pub(crate) struct KeyPasswd {
    /// The repository
    pub(crate) repository: String,
    /// The label of the password slot, if there are several
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Add a password with this label beside those that there are, which go on opening the repository
    #[arg(long, requires = "label")]
    pub(crate) add: bool,
    /// Read the new password from a file ("-" is standard input), without the newline at its end
    #[arg(long, value_name = "FILE")]
    pub(crate) new_password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) change: Changing,
}

/// Make recovery words and show them, this once
///
/// The words are shown once, on the terminal, wherever standard output goes, and stored nowhere; without a terminal nothing
/// is made. With --json standard output has the slot, and not the words. If the words cannot be shown, or this is
/// interrupted before that, the slot is removed again.
#[derive(Debug, Args)]
pub(crate) struct KeyAddRecovery {
    /// The repository
    pub(crate) repository: String,
    /// The label of the new slot [default: default]
    #[arg(long)]
    pub(crate) label: Option<String>,
    #[command(flatten)]
    pub(crate) change: Changing,
}

/// Add a platform key: 64 hex digits
///
/// Without --key-file and --generate the key is asked for on the terminal.
#[derive(Debug, Args)]
pub(crate) struct KeyAddPlatform {
    /// The repository
    pub(crate) repository: String,
    /// The label of the new slot [default: default]
    #[arg(long)]
    pub(crate) label: Option<String>,
    /// Read the key from a file ("-" is standard input)
    #[arg(long, value_name = "FILE", conflicts_with = "generate")]
    pub(crate) key_file: Option<PathBuf>,
    /// Make a random key and write it to a new file that only you can read
    #[arg(long, value_name = "FILE")]
    pub(crate) generate: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) change: Changing,
}

#[derive(Debug, Args)]
pub(crate) struct KeyRemove {
    /// The repository
    pub(crate) repository: String,
    /// The slot, as `key list` names it: "password-default"
    pub(crate) slot: String,
    /// Even if the daemon's configured credentials open none of the others
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) change: Changing,
}

/// What every change of keys understands.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Changing {
    /// Check everything, but change nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) lock_wait: LockWait,
}
