//! How busy a backup and a restore keep a long line, beside the best that one loop of writes or reads gets out of it.
//!
//! A service for S3 in this process, and an `sshd`, lie behind a line with a delay and a bandwidth ([`line`]). What is
//! measured works in processes of its own ([`work`]), so that their memory and CPU time are theirs alone.
#![allow(clippy::print_stdout, reason = "it is a program for a terminal")]

mod data;
mod line;
mod servers;
mod work;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};

use line::Line;
use servers::Server;
use work::{Kind, Measured, Task};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures backup and restore over a long line, beside loops of writes and reads of 1 MiB.
#[derive(Debug, Parser)]
struct Arguments {
    /// Which store
    #[arg(long, value_enum)]
    store: Option<Store>,
    /// Megabytes to back up, in files of 4 KiB to 100 MB
    #[arg(long, default_value_t = 10_000)]
    megabytes: u64,
    /// How long there and back takes, in milliseconds
    #[arg(long, default_value_t = 50)]
    delay_ms: u64,
    /// What the line carries, in megabits a second, in each direction; 0 for all that goes
    #[arg(long, default_value_t = 400)]
    megabits: u64,
    /// How long each loop runs
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many requests are under way in the loops
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 8, 16, 32, 64])]
    in_flight: Vec<usize>,
    /// Where the data, what is restored and the S3 service's disk are; a temporary folder by default
    #[arg(long)]
    folder: Option<PathBuf>,
    /// What the data are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Do this, and tell what was measured
    #[arg(long, hide = true)]
    task: Option<String>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    S3,
    Sftp,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(task) = &arguments.task {
        let measured = runtime.block_on(work::work(serde_json::from_str(task)?))?;
        println!("{}", serde_json::to_string(&measured)?);
        return Ok(());
    }
    let temporary = tempfile::tempdir()?;
    let folder = arguments.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    for store in [Store::S3, Store::Sftp] {
        if arguments.store.is_none_or(|only| only == store) {
            runtime.block_on(measure(&arguments, store, &folder))?;
        }
    }
    Ok(())
}

async fn measure(arguments: &Arguments, store: Store, folder: &Path) -> anyhow::Result<()> {
    let delay = Duration::from_millis(arguments.delay_ms);
    let bandwidth = (arguments.megabits > 0).then_some(arguments.megabits * 1_000_000 / 8);
    let place = folder.join("served");
    let Some(server) = Server::start(store, &place).await? else { return Ok(()) };
    let line = Line::start(server.port(), delay, bandwidth).await?;
    let way = server.way(line.port());
    println!(
        "{store:?} over {} ms, {}",
        arguments.delay_ms,
        match arguments.megabits {
            0 => "as fast as it goes".to_owned(),
            megabits => format!("{megabits} Mbit/s"),
        }
    );

    let (source, target) = (folder.join("source"), folder.join("target"));
    let run = async |kind: Kind| {
        let (source, target, cache) = (source.clone(), target.clone(), folder.join("cache.redb"));
        run(Task { way: way.clone(), kind, source, target, cache }).await
    };
    let best_put =
        best(arguments, "puts", async |in_flight| run(Kind::Puts { in_flight, seconds: arguments.seconds }).await)
            .await?;
    let best_get =
        best(arguments, "gets", async |in_flight| run(Kind::Gets { in_flight, seconds: arguments.seconds }).await)
            .await?;

    let (seed, bytes) = (arguments.seed, arguments.megabytes * 1_000_000);
    let at = source.clone();
    let files = tokio::task::spawn_blocking(move || data::make(&at, seed, bytes)).await??;
    let backup = run(Kind::Backup).await?;
    tell("backup", &backup, best_put);
    // What is restored is proven by the hashes of its files, and there may not be room for both.
    std::fs::remove_dir_all(&source)?;
    let restore = run(Kind::Restore).await?;
    tell("restore", &restore, best_get);
    if (backup.files, restore.files, restore.bytes) != (files.count, files.count, files.bytes) {
        bail!("{files:?} were backed up and restored as {backup:?} and {restore:?}");
    }
    std::fs::remove_dir_all(&target)?;
    drop(server);
    if place.exists() {
        std::fs::remove_dir_all(&place)?;
    }
    Ok(())
}

/// The best rate of a loop, in bytes a second.
async fn best(
    arguments: &Arguments,
    what: &str,
    run: impl AsyncFn(usize) -> anyhow::Result<Measured>,
) -> anyhow::Result<f64> {
    let mut best: f64 = 0.0;
    for &in_flight in &arguments.in_flight {
        let measured = run(in_flight).await?;
        println!("  {what}, {in_flight:2} at once: {:6.1} MB/s", measured.rate() / 1e6);
        best = best.max(measured.rate());
    }
    Ok(best)
}

fn tell(what: &str, measured: &Measured, best: f64) {
    println!(
        "  {what} of {} files, {:.0} MB: {:.1} MB/s, {:.2} of the best loop; {:.2} of a core, {} MB at the most",
        measured.files,
        measured.bytes as f64 / 1e6,
        measured.rate() / 1e6,
        measured.rate() / best,
        measured.cpu_seconds / measured.seconds,
        measured.peak_kb / 1024
    );
}

/// Runs this in a process of its own.
async fn run(task: Task) -> anyhow::Result<Measured> {
    let output = tokio::process::Command::new(std::env::current_exe()?)
        .args(["--task", &serde_json::to_string(&task)?])
        .stderr(std::process::Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        bail!("{:?} ended with {}", task.kind, output.status);
    }
    serde_json::from_slice(&output.stdout).context("what was measured")
}
