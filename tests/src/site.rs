//! A site of its own for a test: a folder with a configuration, the secrets, a state and a running daemon.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::binaries;
use crate::oracle::python;
use crate::ran::{Ran, limited, limited_as_nobody};
use crate::servers::free_port;

/// How long a daemon may take to listen, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// The id of the user and group `nobody`.
const NOBODY: u32 = 65534;

/// What opens a repository.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// Not encrypted.
    None,
    /// A password, given to the daemon in a file.
    Password(&'a str),
    /// 64 hex digits, given in a file.
    PlatformKey(&'a str),
    /// 24 words, given in a file.
    RecoveryWords(&'a str),
}

/// A folder for one test with the configuration of one daemon.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    config: String,
    environment: Vec<(String, String)>,
}

impl Site {
    /// A new site without repositories.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("cloudstic-").tempdir().expect("a temporary folder");
        let config = format!(
            "[daemon]\nsocket = {}\nstate_dir = {}\n",
            quoted(&folder.path().join("daemon.sock")),
            quoted(&folder.path().join("state"))
        );
        Self { folder, config, environment: Vec::new() }
    }

    /// A path inside the site; nothing is made.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Configures a repository in the folder `store`.
    pub fn repository(&mut self, name: &str, store: &Path, credential: Credential<'_>) -> &mut Self {
        self.repository_at(name, &format!("local:{}", store.display()), credential)
    }

    /// Configures a repository at `store`, as the configuration has it.
    pub fn repository_at(&mut self, name: &str, store: &str, credential: Credential<'_>) -> &mut Self {
        let _ = write!(self.config, "\n[repositories.{name}]\nstore = {}\n", quoted(Path::new(store)));
        let (key, secret) = match credential {
            Credential::None => return self,
            Credential::Password(secret) => ("password", secret),
            Credential::PlatformKey(secret) => ("platform_key", secret),
            Credential::RecoveryWords(secret) => ("recovery_words", secret),
        };
        let file = self.path(&format!("{name}.secret"));
        fs::write(&file, format!("{secret}\n")).unwrap();
        fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        let _ = writeln!(self.config, "{key} = {}", quoted(Path::new(&format!("file:{}", file.display()))));
        self
    }

    /// Adds a line to what was configured last.
    pub fn setting(&mut self, line: &str) -> &mut Self {
        let _ = writeln!(self.config, "{line}");
        self
    }

    /// Sets a variable in the daemon's environment.
    pub fn environment(&mut self, name: &str, value: &str) -> &mut Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets the daemon serve metrics, and gives the port.
    pub fn metrics(&mut self) -> u16 {
        let port = free_port();
        let _ = write!(self.config, "\n[http]\nlisten = \"127.0.0.1:{port}\"\n");
        port
    }

    /// Configures a profile; `more` are further lines of TOML.
    pub fn profile(&mut self, name: &str, repository: &str, source: &Path, more: &str) -> &mut Self {
        let source = quoted(source);
        let _ = write!(self.config, "\n[profiles.{name}]\nrepository = \"{repository}\"\nsource = {source}\n{more}\n");
        self
    }

    /// Writes the configuration and gives its path.
    pub fn config(&self) -> PathBuf {
        let path = self.path("config.toml");
        fs::write(&path, &self.config).unwrap();
        path
    }

    /// Starts the daemon and waits until it listens.
    pub fn start(&self) -> Daemon<'_> {
        Daemon::start(self, Command::new(binaries::daemon()))
    }

    /// Starts the daemon as the user `nobody`, who gets all of the site; only root can do that.
    pub fn start_as_nobody(&self) -> Daemon<'_> {
        let program = self.copied("cloudsticd", &binaries::daemon());
        self.config();
        give_away(self.folder.path());
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(program);
        Daemon::start(self, command)
    }

    /// Runs the client against this site's socket.
    pub fn ctl(&self, args: &[impl AsRef<OsStr>]) -> Ran {
        self.ctl_in(Path::new("/"), args)
    }

    /// The same from a folder.
    pub fn ctl_in(&self, folder: &Path, args: &[impl AsRef<OsStr>]) -> Ran {
        self.run(limited(binaries::client()), folder, args)
    }

    /// Runs the client as the user `nobody`; only root can do that.
    pub fn ctl_as_nobody(&self, args: &[&str]) -> Ran {
        fs::set_permissions(self.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        self.run(limited_as_nobody(&self.copied("cloudsticctl", &binaries::client())), Path::new("/"), args)
    }

    /// Runs the client with its standard output in a file and with a terminal, and gives what that shows.
    pub fn ctl_on_terminal(&self, args: &[&str], output: &Path) -> Ran {
        const SPAWN: &str = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
        let mut command = limited(python());
        command.args(["-c", SPAWN, "sh", "-c", r#"output=$1; shift; exec "$@" > "$output""#, "sh"]).arg(output);
        self.run(self.with_client(command), Path::new("/"), args)
    }

    /// Runs the client in a session of its own, which has no terminal.
    pub fn ctl_without_terminal(&self, args: &[&str]) -> Ran {
        let mut command = limited("setsid");
        command.arg("--wait");
        self.run(self.with_client(command), Path::new("/"), args)
    }

    fn with_client(&self, mut command: Command) -> Command {
        command.arg(binaries::client());
        command
    }

    fn run(&self, mut command: Command, folder: &Path, args: &[impl AsRef<OsStr>]) -> Ran {
        command.arg("--socket").arg(self.path("daemon.sock")).args(args).current_dir(folder);
        Ran::run(command)
    }

    /// The programs may lie where other users cannot go.
    fn copied(&self, name: &str, program: &Path) -> PathBuf {
        let copy = self.path(name);
        if !copy.exists() {
            fs::copy(program, &copy).unwrap();
        }
        copy
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

/// A running daemon, which ends at the latest with this value.
#[derive(Debug)]
pub struct Daemon<'a> {
    child: Child,
    log: PathBuf,
    site: &'a Site,
}

impl<'a> Daemon<'a> {
    fn start(site: &'a Site, mut command: Command) -> Self {
        let log = site.path("daemon.log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        command.arg("--config").arg(site.config()).current_dir("/");
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        // Whoever runs the tests may be somebody at Amazon.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"AWS_")) {
            command.env_remove(name);
        }
        command.envs(site.environment.iter().map(|(name, value)| (name, value)));
        let child = command.spawn().unwrap_or_else(|why| panic!("{command:?}: {why}"));
        let mut daemon = Self { child, log, site };
        daemon.wait_until_it_listens();
        daemon
    }

    fn wait_until_it_listens(&mut self) {
        let socket = self.site.path("daemon.sock");
        let listens = poll(|| match self.child.try_wait().unwrap() {
            Some(status) => panic!("the daemon ended on start ({status}):\n{}", self.log()),
            None => UnixStream::connect(&socket).ok(),
        });
        assert!(listens.is_some(), "the daemon does not listen:\n{}", self.log());
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the daemon logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Runs the client.
    pub fn ctl(&self, args: &[impl AsRef<OsStr>]) -> Ran {
        self.site.ctl(args)
    }

    /// Asks the daemon to stop, and waits until it has.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Kills the daemon as a crash would.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        poll(|| self.child.try_wait().unwrap()).unwrap_or_else(|| panic!("the daemon does not stop:\n{}", self.log()))
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = writeln!(std::io::stderr(), "--- the daemon's log\n{}", self.log());
        }
    }
}

/// Asks again and again until there is an answer, but not for ever.
pub fn poll<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// Gives a folder and all in it to `nobody`.
fn give_away(folder: &Path) {
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            give_away(&entry.path());
        } else if !entry.file_type().unwrap().is_symlink() {
            chown(entry.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    serde_json::to_string(path.to_str().expect("a path that is UTF-8")).unwrap()
}
