//! Prunes that are killed at random moments, one after another, on a repository that goes on being backed up to and
//! whose snapshots go: after each, all snapshots that there should be are there and restore, and the oracle finds the
//! repository sound. In the end a whole prune leaves nothing over.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::object::ObjectRef;
use futures::TryStreamExt;

use crate::slow::{init, open, store};
use crate::worker::{Kept, try_back_up, try_prune};
use crate::{Arguments, judge, tree};

/// Trees that are backed up in turn.
const TREES: u64 = 3;
/// Snapshots that are kept.
const SNAPSHOTS: usize = 5;

/// What is in the repository: a snapshot and the fingerprint of its tree.
type Stored = (String, String);

/// Is one of the prunes.
pub(crate) fn prune(arguments: &Arguments, folder: &Path) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(try_prune(arguments, folder, |_, _| async { Ok(()) }))??;
    std::fs::write(folder.join("pruned"), format!("{}", report.packs_rewritten))?;
    Ok(())
}

/// Kills so many of them, and judges after each.
pub(crate) fn run(arguments: &Arguments, folder: &Path, prunes: u64) -> anyhow::Result<()> {
    fastrand::seed(arguments.seed);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(init(arguments.store, folder))?;
    let mut stored = Vec::new();
    let (mut killed, mut rewritten, mut longest) = (0, 0, Duration::ZERO);
    while killed < prunes {
        for _ in 0..fastrand::u64(1..=2) {
            runtime.block_on(back_up(arguments, folder, &mut stored))?;
        }
        runtime.block_on(forget(arguments, folder, &mut stored))?;
        // The first one is not disturbed: it shows how long one takes.
        let patience = (longest > Duration::ZERO).then(|| longest.mul_f64(1.1 * fastrand::f64()));
        match prune_for(arguments, folder, patience)? {
            Some((took, packs)) => {
                longest = longest.max(took);
                rewritten += packs;
            }
            None => killed += 1,
        }
        let judging = judge::restore_all(arguments, folder, &stored);
        runtime.block_on(judging).with_context(|| format!("after {killed} prunes were killed"))?;
        runtime.block_on(no_others(arguments, folder, &stored))?;
        judge::verify(arguments, folder).with_context(|| format!("after {killed} prunes were killed"))?;
    }
    let strict = Arguments { max_waste: 0, ..arguments.clone() };
    let (_, packs) = prune_for(&strict, folder, None)?.context("the last prune")?;
    runtime.block_on(judge::restore_all(arguments, folder, &stored))?;
    let unreferenced = judge::verify(arguments, folder)?;
    ensure!(unreferenced == 0, "after the last prune, no snapshot needs {unreferenced} objects");
    println!(
        "{killed} prunes killed, the longest would have taken {} ms; {} packs rewritten by whole ones; {} snapshots \
         restored and verified after each",
        longest.as_millis(),
        rewritten + packs,
        stored.len()
    );
    Ok(())
}

async fn back_up(arguments: &Arguments, folder: &Path, stored: &mut Vec<Stored>) -> anyhow::Result<()> {
    let source = folder.join(format!("tree-{}", fastrand::u64(0..TREES)));
    let report = try_back_up(arguments, folder, &source, &mut Kept::default()).await??;
    let snapshot = report.snapshot.context("a backup without a snapshot")?;
    stored.push((snapshot.to_string(), tree::fingerprint(&source)?.to_string()));
    Ok(())
}

/// Removes the snapshots that are too many.
async fn forget(arguments: &Arguments, folder: &Path, stored: &mut Vec<Stored>) -> anyhow::Result<()> {
    let mut removed = BTreeSet::new();
    while stored.len() > SNAPSHOTS {
        let (snapshot, _) = stored.remove(fastrand::usize(0..stored.len()));
        removed.insert(snapshot.parse::<ObjectRef>()?);
    }
    let repository = open(arguments.store, folder).await?;
    repository.remove_snapshots(&removed, &LeaseWatch::not_needed()).await?;
    Ok(())
}

/// Neither is anything there that was removed, nor is anything lost.
async fn no_others(arguments: &Arguments, folder: &Path, stored: &[Stored]) -> anyhow::Result<()> {
    let found: BTreeSet<String> =
        store(arguments.store, folder).list("snapshot/").map_ok(|stat| stat.key).try_collect().await?;
    ensure!(found == stored.iter().map(|(snapshot, _)| snapshot.clone()).collect(), "other snapshots: {found:?}");
    Ok(())
}

/// Lets one prune for so long, or to its end. Gives how long it took and how many packs it rewrote, if it has ended.
fn prune_for(
    arguments: &Arguments,
    folder: &Path,
    patience: Option<Duration>,
) -> anyhow::Result<Option<(Duration, u64)>> {
    let result = folder.join("pruned");
    let _ = std::fs::remove_file(&result);
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--prune").arg("--folder").arg(folder).arg("--ttl-ms").arg(arguments.ttl_ms.to_string());
    command.arg("--max-waste").arg(arguments.max_waste.to_string());
    command.arg("--store").arg(if arguments.store == crate::StoreKind::Plain { "plain" } else { "local" });
    let mut child = command.stdin(Stdio::null()).spawn().context("a process cannot be started")?;
    let begun = Instant::now();
    if let Some(patience) = patience {
        std::thread::sleep(patience);
        child.kill()?;
    }
    let status = child.wait()?;
    let took = begun.elapsed();
    if !status.success() {
        ensure!(patience.is_some() && status.code().is_none(), "a prune failed: {status}");
        return Ok(None);
    }
    Ok(Some((took, std::fs::read_to_string(result)?.parse()?)))
}
