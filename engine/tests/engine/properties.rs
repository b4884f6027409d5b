//! Any tree comes back as it was: random trees, changed at random between two backups.

use proptest::prelude::*;

use crate::apply::apply;
use crate::state::{differences, state};
use crate::steps::step;
use crate::support::{Bench, platform_key};

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_come_back_from_both_of_two_backups(
        first in prop::collection::vec(step(), 0..80),
        then in prop::collection::vec(step(), 0..40),
        encrypted in any::<bool>(),
        cache in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut bench = Bench::new(if encrypted { vec![platform_key()] } else { Vec::new() }).await;
            bench.cache = bench.cache.filter(|_| cache);
            // Where every entry has mode 0, the format cannot tell that from modes that were not collected.
            bench.write("has a mode", b"");
            let mut states = Vec::new();
            for (round, steps) in [first, then].into_iter().enumerate() {
                for (index, step) in steps.iter().enumerate() {
                    apply(&bench.source(), step, (1000 * round + index) as u64);
                }
                let report = bench.backup().await;
                prop_assert_eq!(&report.warnings, &[]);
                states.push((report.snapshot.unwrap(), state(&bench.source())));
            }
            for (round, (snapshot, expected)) in states.into_iter().enumerate() {
                let target = bench.folder.path().join(format!("restored-{round}"));
                let report = bench.restore(&snapshot.key(), &target).await.unwrap();
                prop_assert_eq!(&report.warnings, &[]);
                let differences = differences(&expected, &state(&target));
                prop_assert!(differences.is_empty(), "snapshot {}:\n{}", round + 1, differences.join("\n"));
            }
            Ok(())
        })?;
    }
}
