//! Whether a restore of a damaged repository ended as it should.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cloudstic_engine::source::Warning;

use super::kinds::{Damage, cannot_be_named, need_not_be_told};
use super::sound::Sound;
use crate::state::{State, differences, state};

/// Fails with all damages that were not dealt with as they should be.
pub(super) async fn judge_all(sound: Sound, damages: Vec<Damage>) {
    let folder = tempfile::tempdir().unwrap();
    let (sound, damages, next) = (Arc::new(sound), Arc::new(damages), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..2)
        .map(|worker| {
            let target = folder.path().join(worker.to_string());
            let (sound, damages, next) = (Arc::clone(&sound), Arc::clone(&damages), Arc::clone(&next));
            tokio::spawn(async move {
                let mut wrong = Vec::new();
                while let Some(damage) = damages.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(problem) = sound.judge(damage, &target).await {
                        wrong.push(format!("{damage:?}, {}: {problem}", sound.region(damage)));
                    }
                    let _ = std::fs::remove_dir_all(&target);
                }
                wrong
            })
        })
        .collect();
    let mut wrong = Vec::new();
    for worker in workers {
        wrong.extend(worker.await.unwrap());
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), damages.len(), wrong.join("\n"));
}

impl Sound {
    /// What is wrong with how a restore of damaged objects ended; `None` if it was as it should be.
    pub(super) async fn judge(&self, damage: &Damage, target: &Path) -> Option<String> {
        let result = self.restore(damage.apply(&self.objects), target).await;
        let found = if target.exists() { state(target) } else { State::new() };
        let names = self.names(&damage.key, damage.at());
        let is_named = |text: &str| names.iter().any(|name| text.contains(name.as_str()));
        match result {
            Err(error) if is_named(&error) || cannot_be_named(self, damage).is_some() => None,
            Err(error) => Some(format!("an error that names nothing of it: {error}")),
            Ok(report) => {
                // A content object is proven by its data alone: where it leads to another chunk, that is what is missed.
                let is_list = self.hit(damage).is_some_and(|(object, _)| object.starts_with("content/"));
                let is_missed = |w: &Warning| is_list && w.path == "large" && w.problem.ends_with("is missing");
                let told = report.warnings.iter().any(|w| is_named(&w.path) || is_named(&w.problem) || is_missed(w));
                if told && damage.key == self.latest {
                    None
                } else if report.snapshot.map(|snapshot| snapshot.key()).as_ref() != Some(&self.latest) {
                    Some("another snapshot is the latest".to_owned())
                } else if let Some(wrong) = self.wrong(&found, &report.warnings) {
                    Some(format!("{wrong}; warnings: {:?}", report.warnings))
                } else if !told && need_not_be_told(self, damage).is_none() {
                    Some(format!("it was not told; warnings: {:?}", report.warnings))
                } else {
                    None
                }
            }
        }
    }

    /// The first difference that no warning accounts for.
    pub(super) fn wrong(&self, found: &State, warnings: &[Warning]) -> Option<String> {
        let lost_node = warnings.iter().any(|warning| warning.path.starts_with("node/"));
        let is_warned = |path: &Path| warnings.iter().any(|warning| Path::new(&warning.path) == path);
        let is_told = |path: &Path| lost_node || path.ancestors().any(is_warned);
        let mut expected = self.state.clone();
        expected.retain(|path, entry| {
            let is_lost = !found.contains_key(path) && is_told(path);
            // A folder has to be there for what is in it, even if its attributes are lost.
            let is_bare = entry.text.starts_with("folder") && is_told(path);
            !is_lost && !is_bare
        });
        let mut found = found.clone();
        found.retain(|path, entry| expected.contains_key(path) || !(entry.text.starts_with("folder") && is_told(path)));
        differences(&expected, &found).into_iter().next()
    }
}
