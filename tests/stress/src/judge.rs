//! What must hold in the end: nothing went wrong that may not, every snapshot that was said to be stored is there and
//! restores, and a reader that shares no code with us finds the repository sound.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use cloudstic_e2e::oracle::oracle;
use cloudstic_engine::lock::LeaseWatch;
use cloudstic_engine::progress::Silent;
use cloudstic_engine::repository::Repository;
use cloudstic_engine::restore::{self, Overwrite, RestoreRequest};
use tokio_util::sync::CancellationToken;

use crate::slow::store;
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
    verify(folder)?;
    println!("{} snapshots restored and verified", stored.len());
    Ok(())
}

/// Lets the reader that shares no code with us look at the repository.
pub(crate) fn verify(folder: &Path) -> anyhow::Result<()> {
    let repository = folder.join("repository");
    let verdict = oracle([std::ffi::OsStr::new("verify"), repository.as_os_str()]);
    let text = verdict.text();
    let errors: Vec<&str> = text.lines().filter(|line| !line.starts_with("tree ")).collect();
    ensure!(verdict.code == 0, "the oracle: {}", errors.join("\n"));
    Ok(())
}

/// Restores snapshots, and compares each with the fingerprint of what was backed up.
pub(crate) async fn restore_all(
    arguments: &Arguments,
    folder: &Path,
    stored: &[(String, String)],
) -> anyhow::Result<()> {
    let repository = Arc::new(Repository::open(store(arguments.store, folder), Vec::new()).await?);
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
