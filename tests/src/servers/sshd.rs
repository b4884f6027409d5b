//! OpenSSH's server: an `sshd` of its own for each connection, as `inetd` would start it, so that there is no port to be
//! lost to somebody else, and single connections can be stopped and cut.

use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

use super::{make_key, program, run};
use crate::skip;

/// A running server, with an empty folder.
#[derive(Debug)]
pub struct Sshd {
    folder: TempDir,
    port: u16,
    shared: Arc<Shared>,
    listener: Option<JoinHandle<()>>,
    user: Option<User>,
}

#[derive(Debug, Default)]
struct Shared {
    ends: AtomicBool,
    accepted: AtomicUsize,
    children: Mutex<Vec<Child>>,
}

impl Sshd {
    /// Starts one, for this user's logins by key; `None` if OpenSSH's server is not installed, which is said.
    pub fn start(test: &str) -> Option<Self> {
        Some(Self::with(&installed(test)?, None))
    }

    /// Starts one with a user of its own who logs in by password; only root can do that.
    pub fn start_with_password(test: &str, password: &str) -> Option<Self> {
        if !skip::is_root() {
            skip::skipped(test, "only root can make a user with a password");
            return None;
        }
        let sshd = installed(test)?;
        let user = User::make(password);
        Some(Self::with(&sshd, Some(user)))
    }

    fn with(sshd: &Path, user: Option<User>) -> Self {
        let folder = tempfile::Builder::new().prefix("cloudstic-sshd-").tempdir().unwrap();
        for key in ["host", "other", "client"] {
            make_key(&folder.path().join(key));
        }
        fs::copy(folder.path().join("client.pub"), folder.path().join("authorized")).unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        if skip::is_root() {
            // Where the part of sshd that talks to strangers is locked into.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = Self { folder, port, shared: Arc::default(), listener: None, user };
        if let Some(user) = &server.user {
            fs::set_permissions(server.folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
            run(Command::new("chown").arg(&user.name).arg(server.files()));
        }
        server.configure("host");
        let (shared, sshd, config) = (Arc::clone(&server.shared), sshd.to_owned(), server.path("config"));
        let log = server.path("log");
        server.listener = Some(std::thread::spawn(move || serve(&listener, &shared, &sshd, &config, &log)));
        server
    }

    fn configure(&self, host_key: &str) {
        let path = |name: &str| self.path(name).display().to_string();
        let mut config = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\nLogLevel VERBOSE\n\
             KbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n",
            path(host_key),
            path("authorized")
        );
        let password = if self.user.is_some() { "yes" } else { "no" };
        let _ = writeln!(config, "PasswordAuthentication {password}\nPermitRootLogin prohibit-password");
        fs::write(self.path("config"), config).unwrap();
    }

    /// `sftp://…` of a folder below the one that is served.
    pub fn location(&self, folder: &str) -> String {
        self.location_by(self.port, folder)
    }

    /// The same by way of another port.
    pub fn location_by(&self, port: u16, folder: &str) -> String {
        let files = self.files();
        let user = self.user.as_ref().map(|user| format!("{}@", user.name)).unwrap_or_default();
        format!("sftp://{user}127.0.0.1:{port}{}/{folder}", files.display())
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that is served.
    pub fn files(&self) -> PathBuf {
        self.path("files")
    }

    /// The private key that logs in.
    pub fn key(&self) -> PathBuf {
        self.path("client")
    }

    /// A private key that does not.
    pub fn wrong_key(&self) -> PathBuf {
        self.path("other")
    }

    /// A file with the server's host key.
    pub fn known_hosts(&self) -> PathBuf {
        self.known_hosts_of("host", self.port)
    }

    /// The same for whoever comes by way of another port.
    pub fn known_hosts_by(&self, port: u16) -> PathBuf {
        self.known_hosts_of("host", port)
    }

    /// A file with another host key under the server's name.
    pub fn wrong_known_hosts(&self) -> PathBuf {
        self.known_hosts_of("other", self.port)
    }

    /// A file with no key.
    pub fn empty_known_hosts(&self) -> PathBuf {
        let path = self.path("nobody.known");
        fs::write(&path, "").unwrap();
        path
    }

    fn known_hosts_of(&self, key: &str, port: u16) -> PathBuf {
        let public = fs::read_to_string(self.path(&format!("{key}.pub"))).unwrap();
        let path = self.path(&format!("{key}.{port}.known"));
        fs::write(&path, format!("[127.0.0.1]:{port} {public}")).unwrap();
        path
    }

    /// From now on it shows another host key.
    pub fn change_host_key(&self) {
        self.configure("other");
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Stops all connections where they are: nothing answers any more.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.signal(Signal::KILL);
    }

    /// What the server said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        for child in self.shared.children.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let _ = kill_process_group(Pid::from_child(child), signal);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Wakes up who accepts.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
        self.cut();
        for mut child in self.shared.children.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- the log of sshd\n{}", self.log());
        }
    }
}

/// The server, if it and the client are installed.
fn installed(test: &str) -> Option<PathBuf> {
    let found = program("sshd").filter(|_| program("ssh").is_some() && program("ssh-keygen").is_some());
    if found.is_none() {
        skip::skipped(test, "there is no sshd or ssh: make test as root installs them (Debian: openssh-server)");
    }
    found
}

fn serve(listener: &TcpListener, shared: &Shared, sshd: &Path, config: &Path, log: &Path) {
    loop {
        let stream = match listener.accept() {
            _ if shared.ends.load(Ordering::SeqCst) => return,
            Ok((stream, _)) => stream,
            Err(why) if why.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let both: OwnedFd = stream.into();
        let mut command = Command::new(sshd);
        command.arg("-i").arg("-e").arg("-f").arg(config);
        command.stdin(Stdio::from(both.try_clone().unwrap())).stdout(Stdio::from(both)).stderr(log);
        let child = command.process_group(0).spawn().unwrap();
        shared.children.lock().unwrap_or_else(PoisonError::into_inner).push(child);
    }
}

/// A user of this system who is there for one test.
#[derive(Debug)]
struct User {
    name: String,
}

impl User {
    fn make(password: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("cloudstic-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        run(Command::new("useradd").args(["--no-create-home", "--home-dir", "/", "--shell", "/bin/sh", &name]));
        let user = Self { name };
        let mut child = Command::new("chpasswd").stdin(Stdio::piped()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{}:{password}", user.name).unwrap();
        assert!(child.wait().unwrap().success(), "chpasswd");
        user
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = Command::new("userdel").arg(&self.name).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
