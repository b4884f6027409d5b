//! What was asked of stores: counted where it is asked, and taken over when somebody wants to know.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cloudstic_engine::store::{Meter, StoreOperation};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Store {
    repository: String,
    backend: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Requests {
    repository: String,
    backend: &'static str,
    operation: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Retries {
    repository: String,
    backend: &'static str,
    operation: &'static str,
}

/// The families, and what is counted of each repository's store.
#[derive(Debug, Default)]
pub(super) struct Stores {
    requests: Family<Requests, Counter>,
    retries: Family<Retries, Counter>,
    sent: Family<Store, Counter>,
    received: Family<Store, Counter>,
    meters: Vec<(Store, Arc<Meter>)>,
}

impl Stores {
    /// Zeros for these repositories and the kinds of their stores.
    pub(super) fn new<'a>(repositories: impl Iterator<Item = (&'a str, &'static str)>) -> Self {
        let store = |(name, backend): (&str, _)| Store { repository: name.to_owned(), backend };
        Self { meters: repositories.map(|it| (store(it), Arc::default())).collect(), ..Self::default() }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Requests to stores, and what became of them; every try counts";
        registry.register("store_requests", help, self.requests.clone());
        registry.register("store_retries", "Requests that were tried again", self.retries.clone());
        registry.register_with_unit("store_sent", "Bytes sent to stores", Unit::Bytes, self.sent.clone());
        registry.register_with_unit("store_received", "Bytes received from stores", Unit::Bytes, self.received.clone());
    }

    pub(super) fn meter(&self, repository: &str) -> Arc<Meter> {
        let known = self.meters.iter().find(|(store, _)| store.repository == repository);
        known.map(|(_, meter)| Arc::clone(meter)).unwrap_or_default()
    }

    /// Takes over what was counted since.
    pub(super) fn update(&self) {
        let set = |counter: &Counter, value| counter.inner().store(value, Ordering::Relaxed);
        for (store, meter) in &self.meters {
            let Store { repository, backend } = store;
            for operation in StoreOperation::ALL {
                let (count, operation) = (meter.count(operation), operation.as_str());
                for (result, value) in [("ok", count.answered), ("error", count.failed)] {
                    let requests = Requests { repository: repository.clone(), backend, operation, result };
                    set(&self.requests.get_or_create(&requests), value);
                }
                let retries = Retries { repository: repository.clone(), backend, operation };
                set(&self.retries.get_or_create(&retries), count.retries);
            }
            set(&self.sent.get_or_create(store), meter.sent());
            set(&self.received.get_or_create(store), meter.received());
        }
    }
}
