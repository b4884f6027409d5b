//! rclone as a server that promises less than others: `rclone serve sftp` has no hard links, and its rename overwrites
//! whatever is there; `rclone serve s3` knows no conditions.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::{free_port, listens, make_key, of_python};

/// The only user.
const USER: &str = "backup";

/// A running rclone, with an empty folder.
#[derive(Debug)]
struct Rclone {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Rclone {
    /// Serves the folder `files`; `arguments` are made with a folder for what belongs to the server.
    fn start(protocol: &str, arguments: impl FnOnce(&mut Command, &TempDir)) -> Self {
        let folder = tempfile::Builder::new().prefix("cloudstic-rclone-").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("files")).unwrap();
        let (log, port) = (fs::File::create(path("log")).unwrap(), free_port());
        let mut command = of_python("rclone");
        // Of several renames at the same moment its cache dies: "fatal error: concurrent map writes".
        command.env("GOMAXPROCS", "1");
        command.args(["serve", protocol, "--config", "/dev/null", "--addr", &format!("127.0.0.1:{port}")]);
        // What was written is in the folder a second later.
        command.args(["--vfs-cache-mode", "writes", "--vfs-write-back", "1s", "--cache-dir"]).arg(path("cache"));
        arguments(&mut command, &folder);
        command.arg(path("files")).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut server = Self { folder, port, child: command.spawn().unwrap() };
        assert!(listens(&mut server.child, port), "rclone does not listen:\n{}", server.log());
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Rclone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- the log of rclone\n{}", self.log());
        }
    }
}

/// An SFTP server.
#[derive(Debug)]
pub struct RcloneSftp(Rclone);

impl RcloneSftp {
    /// Starts one that lets in whoever has the key or knows this password.
    pub fn start(password: &str) -> Self {
        Self(Rclone::start("sftp", |command, folder| {
            let path = |name: &str| folder.path().join(name);
            for key in ["host", "client"] {
                make_key(&path(key));
            }
            command.args(["--user", USER, "--pass", password]);
            command.arg("--authorized-keys").arg(path("client.pub")).arg("--key").arg(path("host"));
        }))
    }

    /// `sftp://…` of a folder below the one that is served.
    pub fn location(&self, folder: &str) -> String {
        self.location_by(self.0.port, folder)
    }

    /// The same by way of another port.
    pub fn location_by(&self, port: u16, folder: &str) -> String {
        format!("sftp://{USER}@127.0.0.1:{port}/{folder}")
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The folder that is served.
    pub fn files(&self) -> PathBuf {
        self.0.path("files")
    }

    /// The private key that logs in.
    pub fn key(&self) -> PathBuf {
        self.0.path("client")
    }

    /// A file with the server's host key.
    pub fn known_hosts(&self) -> PathBuf {
        self.known_hosts_by(self.0.port)
    }

    /// The same for whoever comes by way of another port.
    pub fn known_hosts_by(&self, port: u16) -> PathBuf {
        let public = fs::read_to_string(self.0.path("host.pub")).unwrap();
        let path = self.0.path(&format!("{port}.known"));
        fs::write(&path, format!("[127.0.0.1]:{port} {public}")).unwrap();
        path
    }
}

/// An S3 server. The folders in the one that it serves are its buckets.
#[derive(Debug)]
pub struct RcloneS3(Rclone);

impl RcloneS3 {
    /// Starts one that lets in whoever has this key, with an empty bucket.
    pub fn start(key_id: &str, secret: &str, bucket: &str) -> Self {
        Self(Rclone::start("s3", |command, folder| {
            fs::create_dir(folder.path().join("files").join(bucket)).unwrap();
            command.args(["--auth-key", &format!("{key_id},{secret}")]);
        }))
    }

    /// The same by TLS, with a certificate that nobody trusts yet: its file comes along.
    pub fn start_with_tls(key_id: &str, secret: &str, bucket: &str) -> (Self, PathBuf) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let server = Rclone::start("s3", |command, folder| {
            let (certificate, key) = (folder.path().join("certificate"), folder.path().join("key"));
            fs::write(&certificate, made.cert.pem()).unwrap();
            fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            fs::create_dir(folder.path().join("files").join(bucket)).unwrap();
            command.args(["--auth-key", &format!("{key_id},{secret}")]);
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        });
        let certificate = server.path("certificate");
        (Self(server), certificate)
    }

    /// Makes the folders of a repository at `place`, `bucket/prefix`. Of the first objects in a folder it loses some, if
    /// they come at the same time.
    pub fn make_folders(&self, place: &str) {
        for name in ["chunk", "content", "filemeta", "index/lock.shared", "keys", "node", "packs", "probe", "snapshot"]
        {
            fs::create_dir_all(self.0.path("files").join(place).join(name)).unwrap();
        }
    }

    /// Where it answers, unless that is by TLS.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0.port)
    }

    /// Where it answers by TLS.
    pub fn tls_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.0.port)
    }
}
