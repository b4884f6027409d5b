//! Listing that survives failures in the middle: it begins anew, and leaves out what it has given already.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use futures::stream::{self, BoxStream, StreamExt};
use tokio::time::timeout;

use super::LimitedStore;
use super::tries::Tries;
use crate::store::{ObjectStat, StoreOperation, StoreResult};

/// One listing.
struct Listing<'a> {
    store: &'a LimitedStore,
    prefix: &'a str,
    listed: Option<BoxStream<'a, StoreResult<ObjectStat>>>,
    given: Given,
    tries: Tries,
    is_over: bool,
}

/// The keys that were given, by 128 bits of each: of a million keys, two agree with a chance of 1 to 10^26.
#[derive(Default)]
struct Given {
    hashers: [RandomState; 2],
    hashes: HashSet<u128>,
}

impl Given {
    /// Whether it is new.
    fn add(&mut self, key: &str) -> bool {
        let [one, two] = self.hashers.each_ref().map(|hasher| u128::from(hasher.hash_one(key)));
        self.hashes.insert(one << 64 | two)
    }
}

pub(super) fn list<'a>(store: &'a LimitedStore, prefix: &'a str) -> BoxStream<'a, StoreResult<ObjectStat>> {
    let listing = Listing {
        store,
        prefix,
        listed: None,
        given: Given::default(),
        tries: Tries::new(StoreOperation::List),
        is_over: false,
    };
    stream::unfold(listing, |mut listing| async move { listing.next().await.map(|next| (next, listing)) }).boxed()
}

impl Listing<'_> {
    async fn next(&mut self) -> Option<StoreResult<ObjectStat>> {
        while !self.is_over {
            match self.step().await {
                Ok(Some(stat)) if self.given.add(&stat.key) => {
                    self.tries.got_on();
                    return Some(Ok(stat));
                }
                // It was given before the listing began anew.
                Ok(Some(_)) => {}
                Ok(None) => self.is_over = true,
                Err(error) => {
                    self.listed = None;
                    if let Err(error) = self.store.endure(&mut self.tries, error).await {
                        self.is_over = true;
                        return Some(Err(error));
                    }
                }
            }
        }
        None
    }

    async fn step(&mut self) -> StoreResult<Option<ObjectStat>> {
        let store = self.store;
        let listed = match &mut self.listed {
            Some(listed) => listed,
            none => {
                store.health.admit()?;
                none.insert(store.inner.list(self.prefix))
            }
        };
        let limit = store.limits.request;
        let next = timeout(limit, listed.next()).await.map_err(|_| store.no_answer(self.prefix, limit))?;
        let next = next.transpose()?;
        store.health.answered(&store.name);
        Ok(next)
    }
}
