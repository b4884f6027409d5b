//! What must hold in the end: nothing went wrong that may not, every snapshot that was said to be stored is there and
//! restores, and a reader that shares no code with us finds the repository sound.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use cloudstic_e2e::oracle::oracle;
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::restore::{self, Overwrite, RestoreRequest};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::slow::{open, oracle_credentials};
use crate::worker::{last_backup, word};
use crate::{Arguments, tree};

/// Judges what the processes left.
pub(crate) fn run(arguments: &Arguments, folder: &Path) -> anyhow::Result<()> {
    let (mut counts, mut stored, mut errors) = (BTreeMap::<String, u64>::new(), Vec::new(), Vec::new());
    let mut removed = BTreeSet::new();
    let mut swept = 0;
    for number in 1..=arguments.processes {
        let log = std::fs::read_to_string(folder.join(format!("log-{number}"))).unwrap_or_default();
        for line in log.lines() {
            let (first, rest) = line.split_once(' ').context("a line of a log that says nothing")?;
            *counts.entry(first.to_owned()).or_default() += 1;
            match first {
                word::STORED => {
                    let (snapshot, fingerprint) = rest.split_once(' ').context("no fingerprint")?;
                    stored.push((snapshot.to_owned(), fingerprint.to_owned()));
                }
                word::PRUNED => swept += rest.parse::<u64>()?,
                word::REMOVES => _ = removed.insert(rest.to_owned()),
                word::ERROR => errors.push(format!("process {number}: {rest}")),
                _ => {}
            }
        }
    }
    println!("{counts:?}, {swept} packs pruned");
    for error in &errors {
        println!("{error}");
    }
    ensure!(errors.is_empty(), "{} errors", errors.len());
    stored.retain(|(snapshot, _)| !removed.contains(snapshot));
    ensure!(!stored.is_empty(), "nothing was stored");
    // In a short run, no backup may have been killed between its packs and its snapshot.
    ensure!(swept > 0 || arguments.seconds < 30, "nothing was pruned");
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(restore_all(arguments, folder, &stored))?;
    runtime.block_on(last_backup(arguments, folder)).context("the last backup")?;
    verify(arguments, folder)?;
    println!("{} snapshots restored and verified", stored.len());
    Ok(())
}

/// Lets the reader that shares no code with us look at the repository. Gives how many objects no snapshot needs.
pub(crate) fn verify(arguments: &Arguments, folder: &Path) -> anyhow::Result<u64> {
    let repository = folder.join("repository");
    let words = [OsStr::new("verify"), OsStr::new("--json"), repository.as_os_str()];
    let credentials = oracle_credentials(arguments.store).iter().map(OsStr::new);
    let verdict = oracle(words.into_iter().chain(credentials));
    let told: Value = serde_json::from_str(&verdict.text()).with_context(|| verdict.text())?;
    ensure!(verdict.code == 0, "the oracle: {}", told["errors"]);
    let unreferenced = told["unreferenced"].as_object().context("no unreferenced objects told")?;
    Ok(unreferenced.values().filter_map(Value::as_u64).sum())
}

/// Restores snapshots, and compares each with the fingerprint of what was backed up.
pub(crate) async fn restore_all(
    arguments: &Arguments,
    folder: &Path,
    stored: &[(String, String)],
) -> anyhow::Result<()> {
    let repository = open(arguments.store, folder).await?;
    let target = folder.join("restored");
    for (snapshot, fingerprint) in stored {
        let request = RestoreRequest {
            snapshot: snapshot.trim_start_matches("snapshot/").to_owned(),
            paths: Vec::new(),
            target: target.clone(),
            overwrite: Overwrite::Always,
            dry_run: false,
            identity: None,
            lease: LeaseWatch::not_needed(),
        };
        let done = restore::restore(repository.clone(), request, Arc::new(Silent), CancellationToken::new()).await;
        let report = done.with_context(|| format!("{snapshot} cannot be restored"))?;
        if report.warning_count > 0 {
            bail!("{snapshot}: {:?}", report.warnings);
        }
        ensure!(tree::fingerprint(&target)?.to_string() == *fingerprint, "{snapshot} is not what was backed up");
        std::fs::remove_dir_all(&target)?;
    }
    Ok(())
}
