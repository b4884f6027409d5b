//! Starts the processes, and kills and stops them at random.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::Arguments;
use crate::slow::init;

/// How long the processes may take to end when they are asked to.
const PATIENCE: Duration = Duration::from_secs(120);

struct Process {
    number: u64,
    child: Child,
    /// When it goes on, if it is stopped.
    resume: Option<Instant>,
}

/// Lets them work for as long as the arguments say, and ends them in good order.
pub(crate) fn run(arguments: &Arguments, folder: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(init(arguments.store, folder))?;
    drop(runtime);

    fastrand::seed(arguments.seed);
    let mut processes =
        (1..=arguments.processes).map(|number| start(arguments, folder, number)).collect::<anyhow::Result<Vec<_>>>()?;
    let (mut kills, mut stops) = (0, 0);
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(fastrand::u64(50..400)));
        processes.iter_mut().try_for_each(Process::resume_if_due)?;
        let chosen = choose(&processes, folder);
        let process = &mut processes[chosen];
        if process.resume.is_some() {
            continue;
        }
        if fastrand::u32(0..100) < 40 {
            process.child.kill()?;
            process.child.wait()?;
            let _ = std::fs::remove_file(busy(folder, process.number));
            *process = start(arguments, folder, process.number)?;
            kills += 1;
        } else {
            process.signal(Signal::STOP)?;
            let slept = fastrand::u64(1..=arguments.ttl_ms * 2);
            process.resume = Some(Instant::now() + Duration::from_millis(slept));
            stops += 1;
        }
    }
    std::fs::write(folder.join("stop"), "")?;
    let deadline = Instant::now() + PATIENCE;
    for process in &mut processes {
        process.signal(Signal::CONT)?;
    }
    for process in &mut processes {
        while process.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "process {} does not end", process.number);
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    println!("{} processes, {kills} killed, {stops} stopped", processes.len());
    Ok(())
}

/// One of those that are at work, if there are any: in its sleep a process loses nothing.
fn choose(processes: &[Process], folder: &Path) -> usize {
    let at_work = |at: &usize| processes[*at].resume.is_none() && busy(folder, processes[*at].number).exists();
    let all: Vec<usize> = (0..processes.len()).filter(at_work).collect();
    fastrand::choice(all).unwrap_or_else(|| fastrand::usize(0..processes.len()))
}

/// What is there while a process works.
pub(crate) fn busy(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("busy-{number}"))
}

fn start(arguments: &Arguments, folder: &Path, number: u64) -> anyhow::Result<Process> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--folder").arg(folder).arg("--worker").arg(number.to_string());
    command.arg("--ttl-ms").arg(arguments.ttl_ms.to_string());
    command.arg("--store").arg(if arguments.store == crate::StoreKind::Plain { "plain" } else { "local" });
    command.args(arguments.without_locks.then_some("--without-locks"));
    let child = command.stdin(Stdio::null()).spawn().context("a process cannot be started")?;
    Ok(Process { number, child, resume: None })
}

impl Process {
    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    fn resume_if_due(&mut self) -> anyhow::Result<()> {
        if self.resume.is_some_and(|at| at <= Instant::now()) {
            self.resume = None;
            self.signal(Signal::CONT)?;
        }
        Ok(())
    }
}
