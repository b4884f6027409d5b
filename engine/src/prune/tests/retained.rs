//! A store that keeps an object for as long as somebody has set.

use std::sync::Arc;

use super::bench::{Bench, prune_as, request};
use super::late::prune_until_it_deletes;
use crate::store::MemoryStore;
use crate::store::hooked::{HookedStore, Retaining};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_retained_is_a_warning_and_the_rest_goes() {
    for store in [MemoryStore::default, MemoryStore::not_atomic] {
        let (bench, _) = Bench::ours(store(), false).await;
        let needed = bench.whole().await;
        let going = prune_until_it_deletes(&bench, request()).await;
        let retained = going.iter().find(|key| key.starts_with("packs/")).unwrap();
        let report = prune_as(HookedStore::new(Arc::new(bench.client()), Retaining(vec![retained.clone()])), request())
            .await
            .unwrap();
        assert_eq!((report.warning_count, report.warnings[0].path.as_str()), (1, retained.as_str()));
        assert!(report.warnings[0].problem.contains("until next year"), "{:?}", report.warnings);
        assert!(going.len() > 1 && going.iter().all(|key| bench.object(key).is_some() == (key == retained)));
        assert_eq!(bench.whole().await, needed);
        bench.prune(request()).await.unwrap();
        assert!(bench.object(retained).is_none());
    }
}
