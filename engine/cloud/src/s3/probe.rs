//! What a service really does with conditions, found out by asking.
//!
//! A service that refuses one write after another may still let many of them through when they come at the same time, and
//! locks would then have many holders. So what is tried is tried by many clients at once, several times, and what lets two
//! win counts as a service without conditions. The first round opens the connections, those after it find them open.

use std::time::Duration;

use bytes::Bytes;
use cloudstic_engine::store::{ObjectStore, StoreError, StoreErrorKind, StoreResult, Version};
use futures::future::{join, join_all};
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::body::Body;
use super::write::{Answer, Condition};
use super::{Refusal, S3Store, Shared};

/// How many clients at once.
const CLIENTS: usize = 20;

/// How often.
const ROUNDS: usize = 3;

/// How many objects that takes.
const OBJECTS: usize = ROUNDS + 1;

/// How often all of it is begun where the service asks for fewer requests, and how long it is left alone in between.
const PROBES: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(10);

/// What a service honours. To be kept beside a repository's settings: finding it out costs some three hundred requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// `If-None-Match: *` on a write: of many at once one wins.
    pub create: bool,
    /// `If-Match` on a write: of many at once one wins.
    pub replace: bool,
    /// `If-Match` on a delete: of these and of writes, one wins.
    pub delete: bool,
    /// Both on the end of an upload in parts.
    pub parts: bool,
}

impl Conditions {
    /// None at all: always safe to believe.
    pub const NONE: Self = Self { create: false, replace: false, delete: false, parts: false };
}

impl S3Store {
    /// Tries what the service does with conditions, on objects below `probe/` with random names, and removes these.
    /// Fails, and has found out nothing, where the service does not answer, or takes longer than `patience`.
    pub async fn probe(&self, patience: Duration) -> StoreResult<Conditions> {
        self.shared.find_bucket("probe").await?;
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|cause| {
            self.shared.error("probe", StoreErrorKind::Other, format!("no random numbers can be had: {cause}"))
        })?;
        let name = format!("probe/{}", hex::encode(random));
        let keys: Vec<_> = (0..PROBES * OBJECTS).map(|number| format!("{name}-{number}")).collect();
        let found = timeout(patience, self.shared.find_conditions(&keys)).await.unwrap_or_else(|_| {
            let detail = format!("it did not answer within {} seconds", patience.as_secs());
            Err(self.shared.error("", StoreErrorKind::Transient, detail))
        });
        for error in self.delete_many(&keys).await.unwrap_or_else(|error| vec![error]) {
            tracing::warn!(%error, "what the store was tried with could not be removed");
        }
        let found = found?;
        tracing::info!(store = self.describe(), ?found, "the store was tried");
        Ok(found)
    }
}

impl Shared {
    /// Some services never take so many writes of one object at once, and of these it cannot be seen that they keep to
    /// conditions. Those that are only busy are asked again: two hosts must come to the same result.
    async fn find_conditions(&self, keys: &[String]) -> StoreResult<Conditions> {
        let mut wait = None;
        for keys in keys.chunks(OBJECTS) {
            if let Some(wait) = wait {
                sleep(wait).await;
            }
            match self.try_conditions(keys).await {
                Err(StoreError { kind: StoreErrorKind::Throttled { retry_after }, detail, .. }) => {
                    tracing::debug!(detail, "the store asks for fewer requests");
                    wait = Some(retry_after.unwrap_or(PAUSE).clamp(PAUSE, MOST));
                }
                found => return found,
            }
        }
        Ok(Conditions::NONE)
    }

    async fn try_conditions(&self, keys: &[String]) -> StoreResult<Conditions> {
        let mut found = Conditions { create: true, replace: true, delete: true, parts: true };
        let Some((for_parts, keys)) = keys.split_last() else { return Ok(Conditions::NONE) };
        for key in keys {
            let Some(first) = self.race(key, Condition::Absent, false).await? else { return Ok(Conditions::NONE) };
            let second = match found.replace {
                true => self.race(key, Condition::Unchanged(&first), false).await?,
                false => None,
            };
            match second {
                Some(second) => found.delete = found.delete && self.deletes_on_condition(key, &second).await?,
                None => (found.replace, found.delete) = (false, false),
            }
        }
        found.parts = found.replace && self.writes_parts_on_condition(for_parts).await?;
        Ok(found)
    }

    async fn writes_parts_on_condition(&self, key: &str) -> StoreResult<bool> {
        match self.race(key, Condition::Absent, true).await? {
            Some(first) => Ok(self.race(key, Condition::Unchanged(&first), true).await?.is_some()),
            None => Ok(false),
        }
    }

    /// Many write at once. The version that is there, if just one of them won and it is that one's.
    async fn race(&self, key: &str, condition: Condition<'_>, in_parts: bool) -> StoreResult<Option<Version>> {
        let name = self.name(key)?;
        let text = |client: usize| Bytes::from(format!("{client} {condition:?} {in_parts}"));
        let tries = (0..CLIENTS).map(|client| {
            let (body, name) = (Body::Bytes(text(client)), &name);
            async move {
                match in_parts {
                    true => self.put_in_parts(key, name, &body, Some(condition)).await,
                    false => self.put_once(key, name, &body, Some(condition)).await,
                }
            }
        });
        let mut winners = Vec::new();
        for (client, answer) in join_all(tries).await.into_iter().enumerate() {
            match answer {
                Ok(Answer::Won(_)) => winners.push(client),
                Ok(Answer::Lost | Answer::Conflict) => {}
                Err(refusal) => return self.undecided(key, refusal).map(|()| None),
            }
        }
        let [winner] = winners[..] else { return Ok(None) };
        match self.get(key).await {
            Ok((bytes, version)) => Ok((bytes == text(winner)).then_some(version)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a refusal other than that of the condition says: the service knows none, or nothing at all.
    fn undecided(&self, key: &str, refusal: Refusal) -> Result<(), StoreError> {
        if refusal.is_unknown_request() { Ok(()) } else { Err(self.refused(key, refusal)) }
    }

    async fn deletes_on_condition(&self, key: &str, version: &Version) -> StoreResult<bool> {
        let name = self.name(key)?;
        let decided = |answer: Result<bool, Refusal>| match answer {
            Ok(is_gone) => Ok(Some(is_gone)),
            Err(refusal) => self.undecided(key, refusal).map(|()| None),
        };
        let other = Version::new("\"00000000000000000000000000000000\"");
        if decided(self.try_delete(&name, &other).await)? != Some(false) {
            return Ok(false);
        }
        let deletes = join_all((0..CLIENTS / 2).map(|_| self.try_delete(&name, version)));
        let writes = join_all((0..CLIENTS / 2).map(|client| {
            let (body, name) = (Body::Bytes(Bytes::from(format!("{client} instead"))), &name);
            async move { self.put_once(key, name, &body, Some(Condition::Unchanged(version))).await }
        }));
        let (deletes, writes) = join(deletes, writes).await;
        let mut won = 0;
        for answer in deletes {
            match decided(answer)? {
                Some(is_gone) => won += usize::from(is_gone),
                None => return Ok(false),
            }
        }
        for answer in writes {
            match answer {
                Ok(answer) => won += usize::from(matches!(answer, Answer::Won(_))),
                Err(refusal) => return self.undecided(key, refusal).map(|()| false),
            }
        }
        // What is gone, or is another one by now, is not removed again.
        Ok(won == 1 && decided(self.try_delete(&name, version).await)? == Some(false))
    }
}
