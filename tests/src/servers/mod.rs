//! Real servers for tests: each listens on 127.0.0.1 only, keeps all it needs in a folder of its own, and ends with the
//! test, also when it panics.

pub mod agent;
pub mod answers;
pub mod ministack;
pub mod proxy;
pub mod rclone;
pub mod sshd;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::oracle::python;
use crate::site::poll;

/// A program of this name on the path, or where system programs are.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Runs a program that prepares something, and panics with what it said if it fails.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// Makes a pair of keys: the private one at this path, and the public one beside it.
fn make_key(path: &Path) {
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(path));
}

/// A program of the tests' Python environment.
fn of_python(name: &str) -> Command {
    let program = python().with_file_name(name);
    assert!(program.is_file(), "there is no {}: `make .venv` installs it, as `make test` does", program.display());
    Command::new(program)
}

/// A port for a program that cannot choose one itself. It is none of those that systems give away, so that nobody gets it
/// before that program does, and no two tests of a process get the same one.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let start = std::process::id().wrapping_mul(101);
    let ports = (0..COUNT).map(|_| FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT);
    ports.map(|port| port as u16).find(is_free).expect("a port that is free")
}

/// Waits until a server can be connected to; `false` if it ends, or takes too long.
fn listens(server: &mut Child, port: u16) -> bool {
    let started = poll(|| match server.try_wait().unwrap() {
        Some(_) => Some(false),
        None => TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok().map(|_| true),
    });
    started.unwrap_or(false)
}
