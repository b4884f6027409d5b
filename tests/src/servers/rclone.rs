//! `rclone serve sftp`: a server without hard links, whose rename overwrites whatever is there.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{make_key, program};
use crate::site::poll;
use crate::skip;

/// The only user.
const USER: &str = "backup";

/// A running server, with an empty folder.
#[derive(Debug)]
pub struct RcloneSftp {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl RcloneSftp {
    /// Starts one that lets in whoever has the key or knows this password; `None` if rclone is not installed, which is said.
    pub fn start(test: &str, password: &str) -> Option<Self> {
        let Some(rclone) = program("rclone") else {
            skip::skipped(test, "there is no rclone: make test as root installs it");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("cloudstic-rclone-").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("files")).unwrap();
        for key in ["host", "client"] {
            make_key(&path(key));
        }
        // Free a moment ago; rclone says so if it is not any more.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let log = fs::File::create(path("log")).unwrap();
        let mut command = Command::new(rclone);
        command.args(["serve", "sftp", "--config", "/dev/null", "--addr", &format!("127.0.0.1:{port}")]);
        command.args(["--user", USER, "--pass", password, "--vfs-cache-mode", "writes", "--dir-cache-time", "0s"]);
        command.arg("--authorized-keys").arg(path("client.pub"));
        command.arg("--key").arg(path("host")).arg("--cache-dir").arg(path("cache")).arg(path("files"));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = Self { folder, port, child: command.spawn().unwrap() };
        let listens = poll(|| match server.child.try_wait().unwrap() {
            Some(status) => panic!("rclone ended ({status}):\n{}", server.log()),
            None => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok(),
        });
        assert!(listens.is_some(), "rclone does not listen:\n{}", server.log());
        Some(server)
    }

    /// `sftp://…` of a folder below the one that is served.
    pub fn location(&self, folder: &str) -> String {
        format!("sftp://{USER}@127.0.0.1:{}/{folder}", self.port)
    }

    /// The folder that is served.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// The private key that logs in.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("client")
    }

    /// A file with the server's host key.
    pub fn known_hosts(&self) -> PathBuf {
        let public = fs::read_to_string(self.folder.path().join("host.pub")).unwrap();
        let path = self.folder.path().join("known_hosts");
        fs::write(&path, format!("[127.0.0.1]:{} {public}", self.port)).unwrap();
        path
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for RcloneSftp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
