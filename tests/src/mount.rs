//! A file system of its own for a test that needs one, where mounting is allowed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::skip::skipped;

/// A file system that is mounted until this value goes.
#[derive(Debug)]
pub struct Mounted(PathBuf);

impl Mounted {
    /// Mounts a `kind` (`tmpfs`, `ramfs`) on a folder, which is made if it is not there. `None`, and a visible word
    /// that `test` is left out, where that is not allowed.
    pub fn new(test: &str, kind: &str, options: &str, folder: &Path) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mount = Command::new("mount").args(["-t", kind, "-o", options, kind]).arg(folder).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder.to_owned()));
        }
        skipped(test, &format!("a {kind} cannot be mounted here"));
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
