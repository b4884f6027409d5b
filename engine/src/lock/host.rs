//! What this host knows of a lock's holder: whether it ran here, and is dead.
//!
//! A holder is called dead only on proof. The names of hosts and their numbers of processes are no proof: two machines
//! may have one name, and a container counts its processes for itself. So a process counts as gone only if it ran under
//! this very kernel ([`Identity::boot_id`]) and was numbered as we number ([`Identity::pid_namespace`]); and a host
//! counts as started again only if it is this machine ([`Identity::host_id`]) and the lock was last written before that.

use std::fmt::Debug;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sha2::{Digest, Sha256};

use super::clock::{LockClock, SystemLockClock};
use super::decide::{Holder, Stale};
use super::record::LockRecord;

/// What a lock says of its holder's host and process. What the system does not tell is empty or 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// The host's name.
    pub(super) host: String,
    /// This machine, whatever its name.
    pub(super) host_id: String,
    /// This run of its kernel.
    pub(super) boot_id: String,
    /// Among which processes this one has its number.
    pub(super) pid_namespace: u64,
    /// The number of this process.
    pub(super) pid: u32,
    /// When it started, in clock ticks since boot.
    pub(super) pid_start: u64,
}

/// A host, and what it knows of its processes.
pub(super) trait Host: Send + Sync + Debug {
    /// The host, and this process.
    fn identity(&self) -> &Identity;

    /// Whether the process `pid` that started at `start` is certainly not there any more.
    fn is_gone(&self, pid: u32, start: u64) -> bool;

    /// How long ago this host was started.
    fn uptime(&self) -> Duration;
}

/// What `host` knows of the holder of `lock`, which lives for `ttl` after it was last written.
pub(super) fn holder(host: &dyn Host, lock: &LockRecord, ttl: Duration, now: DateTime<Utc>) -> Holder {
    let ours = host.identity();
    if lock.boot_id.is_empty() || ours.boot_id.is_empty() {
        return Holder::NotKnownDead;
    }
    if lock.boot_id == ours.boot_id {
        let is_numbered_as_here = lock.pid_namespace != 0 && lock.pid_namespace == ours.pid_namespace;
        let gone = |pid| is_numbered_as_here && lock.pid_start != 0 && host.is_gone(pid, lock.pid_start);
        return match lock.pid() {
            Some(pid) if gone(pid) => Holder::Dead(Stale::ProcessGone),
            _ => Holder::NotKnownDead,
        };
    }
    let is_this_machine = !lock.host_id.is_empty() && lock.host_id == ours.host_id && lock.host() == Some(&ours.host);
    let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    let written = lock.expires().and_then(|expires| expires.checked_sub_signed(delta(ttl)));
    let started = now.checked_sub_signed(delta(host.uptime()));
    match (written, started) {
        (Some(written), Some(started)) if is_this_machine && written < started => Holder::Dead(Stale::Rebooted),
        _ => Holder::NotKnownDead,
    }
}

/// The host that this runs on.
#[derive(Debug)]
pub(super) struct ThisHost(Identity);

impl ThisHost {
    pub(super) fn new() -> Self {
        Self(Identity {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            host_id: host_id(&line("/etc/machine-id")),
            boot_id: line("/proc/sys/kernel/random/boot_id"),
            pid_namespace: fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino()),
            pid: std::process::id(),
            pid_start: Process::read("self").map_or(0, |process| process.start),
        })
    }
}

impl Host for ThisHost {
    fn identity(&self) -> &Identity {
        &self.0
    }

    /// `/proc` may hide the processes of others, and then the kernel still tells whether there is one of that number.
    fn is_gone(&self, pid: u32, start: u64) -> bool {
        let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
        if test_kill_process(number) == Err(Errno::SRCH) {
            return true;
        }
        Process::read(&pid.to_string()).is_some_and(|process| process.start != start || process.is_dead)
    }

    fn uptime(&self) -> Duration {
        SystemLockClock.boottime()
    }
}

/// The machine's own id must not leave it, so this is one that is derived from it.
fn host_id(machine_id: &str) -> String {
    if machine_id.is_empty() {
        return String::new();
    }
    let digest = Sha256::new().chain_update("cloudstic lock holder ").chain_update(machine_id).finalize();
    hex::encode(digest.get(..16).unwrap_or_default())
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// What `/proc/<pid>/stat` tells.
struct Process {
    start: u64,
    /// It has ended, and waits for its parent to notice.
    is_dead: bool,
}

impl Process {
    fn read(pid: &str) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field, the program's name, may hold spaces and brackets: count from its end.
        let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let (state, threads, start) = (fields.first()?, fields.get(17)?, fields.get(19)?);
        let has_ended = matches!(*state, "Z" | "X") && threads.parse::<u64>().ok()? <= 1;
        Some(Self { start: start.parse().ok()?, is_dead: has_ended })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TTL: Duration = super::super::TTL;

    fn now() -> DateTime<Utc> {
        Utc::now()
    }

    fn ours() -> (ThisHost, LockRecord) {
        let host = ThisHost::new();
        let lock = LockRecord::new("backup", host.identity(), now(), TTL).unwrap();
        (host, lock)
    }

    #[test]
    fn this_process_is_not_dead() {
        let (host, lock) = ours();
        assert!(lock.pid_start > 0 && lock.pid_namespace > 0 && !lock.boot_id.is_empty());
        assert_eq!(holder(&host, &lock, TTL, now()), Holder::NotKnownDead);
    }

    #[test]
    fn a_process_that_ended_is_dead_and_so_is_one_whose_number_is_used_again() {
        let (host, mut lock) = ours();
        lock.pid_start -= 1;
        assert_eq!(holder(&host, &lock, TTL, now()), Holder::Dead(Stale::ProcessGone));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let name = host.identity().host.clone();
        lock.holder = format!("{name} (pid {})", child.id());
        assert_eq!(holder(&host, &lock, TTL, now()), Holder::Dead(Stale::ProcessGone));
    }

    #[test]
    fn a_process_that_is_numbered_elsewhere_is_not_called_dead() {
        for change in [
            |lock: &mut LockRecord| lock.pid_namespace += 1,
            |lock: &mut LockRecord| lock.pid_namespace = 0,
            |lock: &mut LockRecord| lock.boot_id.clear(),
        ] {
            let (host, mut lock) = ours();
            lock.pid_start -= 1;
            change(&mut lock);
            assert_eq!(holder(&host, &lock, TTL, now()), Holder::NotKnownDead, "{lock:?}");
        }
    }

    #[test]
    fn a_lock_from_before_a_restart_is_dead_and_one_of_a_host_of_the_same_name_is_not() {
        let mut host = ThisHost::new();
        host.0.host_id = "this machine".to_owned();
        let before_boot = now() - TimeDelta::from_std(host.uptime()).unwrap() - TimeDelta::seconds(5);
        let mut lock = LockRecord::new("prune", host.identity(), before_boot, TTL).unwrap();
        lock.boot_id = "an earlier one".to_owned();
        assert_eq!(holder(&host, &lock, TTL, now()), Holder::Dead(Stale::Rebooted));
        let mut another = lock.clone();
        another.host_id = "another machine".to_owned();
        assert_eq!(holder(&host, &another, TTL, now()), Holder::NotKnownDead);
        lock.extend(now(), TTL);
        assert_eq!(holder(&host, &lock, TTL, now()), Holder::NotKnownDead, "a clone of this machine writes it");
    }
}
