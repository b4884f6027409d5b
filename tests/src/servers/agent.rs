//! OpenSSH's agent, which logs in with keys that nobody else has.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::run;
use crate::site::poll;

/// An agent with one key, until it is dropped.
#[derive(Debug)]
pub struct Agent {
    folder: TempDir,
    child: Child,
}

impl Agent {
    /// Starts one, and gives it the private key in this file.
    pub fn with_key(key: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("cloudstic-agent-").tempdir().unwrap();
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(folder.path().join("socket"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let agent = Self { folder, child };
        assert!(poll(|| agent.socket().exists().then_some(())).is_some(), "ssh-agent does not start");
        run(Command::new("ssh-add").arg("-q").arg(key).env("SSH_AUTH_SOCK", agent.socket()));
        agent
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
