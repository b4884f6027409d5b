//! The marker and the key slots: that each can be parsed and could open, without a credential.

use base64::prelude::{BASE64_STANDARD, Engine};
use futures::stream::TryStreamExt;

use super::faults::{Findings, problem_of};
use super::report::Problem;
use crate::object::{KeySlot, RepositoryMarker, SlotType, json};
use crate::repository::{MARKER_KEY, Repository, RepositoryError};

/// Bytes of a wrapped master key: version, nonce, 32 bytes, tag.
const WRAPPED: usize = 61;
/// Bytes of a salt.
const SALT: usize = 32;

/// Reads the marker and every slot again.
pub(super) async fn check_slots(repository: &Repository, findings: &mut Findings) -> Result<(), RepositoryError> {
    let store = repository.store();
    match store.get(MARKER_KEY).await {
        Ok(bytes) => match json::decode::<RepositoryMarker>(&bytes) {
            Err(why) => _ = findings.fault(MARKER_KEY, Problem::Damaged(why.to_string())),
            Ok(marker) if marker != *repository.marker() => {
                findings.fault(MARKER_KEY, Problem::Damaged("it is not what it was when it was read first".to_owned()));
            }
            Ok(marker) if marker.created.moment().is_none() => {
                findings.fault(MARKER_KEY, Problem::Damaged("its time of creation is none".to_owned()));
            }
            Ok(_) => {}
        },
        Err(error) => _ = findings.fault(MARKER_KEY, problem_of(error.into())?),
    }
    let mut keys: Vec<String> = store.list("keys/").map_ok(|stat| stat.key).try_collect().await?;
    keys.sort();
    for key in &keys {
        let problem = match store.get(key).await {
            Ok(bytes) => slot_problem(key, &bytes).map(Problem::Damaged),
            Err(error) => Some(problem_of(error.into())?),
        };
        if let Some(problem) = problem {
            findings.fault(key, problem);
        }
    }
    if repository.marker().encrypted && keys.is_empty() {
        findings.fault("keys/", Problem::Missing);
    }
    Ok(())
}

/// Why a slot cannot open.
fn slot_problem(key: &str, bytes: &[u8]) -> Option<String> {
    let slot: KeySlot = match json::decode(bytes) {
        Ok(slot) => slot,
        Err(why) => return Some(why.to_string()),
    };
    if slot.key() != key {
        return Some(format!("it is the slot {}", slot.key()));
    }
    let Ok(wrapped) = BASE64_STANDARD.decode(&slot.wrapped_key) else {
        return Some("its wrapped key is not base64".to_owned());
    };
    if slot.slot_type != SlotType::KmsPlatform && (wrapped.len() != WRAPPED || wrapped[0] != 1) {
        return Some("its wrapped key has not the form of one".to_owned());
    }
    if slot.slot_type != SlotType::Password {
        return None;
    }
    let Some(kdf) = &slot.kdf_params else { return Some("it does not say how to derive its key".to_owned()) };
    let is_sane = kdf.algorithm == "argon2id"
        && BASE64_STANDARD.decode(&kdf.salt).is_ok_and(|salt| salt.len() == SALT)
        && kdf.time > 0
        && kdf.threads > 0
        && kdf.memory >= 8 * kdf.threads;
    (!is_sane).then(|| "the parameters of its key derivation make no sense".to_owned())
}
