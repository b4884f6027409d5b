//! What a change comes to, and that it locks nobody out. Pure computation on what was read: for worker threads.

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

use super::slots::{self, Slots, StoredSlot};
use super::{DEFAULT_LABEL, KeyChange, KeyError, KeyReport};
use crate::crypto::{MasterKey, SlotError, make_recovery_slot, make_slot, open_slot};
use crate::object::{KeySlot, SlotType, json};
use crate::repository::{Credential, Repository, RepositoryError};

/// A change that may be carried out.
pub(super) struct Plan {
    pub(super) step: Step,
    report: KeyReport,
    /// The key and the bytes of a slot that is there afterwards.
    identity: Option<(String, Bytes)>,
}

/// The one write that a change is.
pub(super) enum Step {
    /// A slot comes in.
    Add(NewSlot),
    /// A slot is replaced.
    Replace(StoredSlot, NewSlot),
    /// A slot goes.
    Remove(StoredSlot),
}

/// A slot that is proven to open.
pub(super) struct NewSlot {
    pub(super) name: String,
    pub(super) bytes: Bytes,
}

impl Plan {
    pub(super) fn into_report(self) -> KeyReport {
        self.report
    }

    pub(super) fn identity(&self) -> Option<(String, Bytes)> {
        self.identity.clone()
    }
}

pub(super) fn plan(
    repository: &Repository,
    slots: &Slots,
    credentials: &[Credential],
    change: KeyChange,
    dry_run: bool,
) -> Result<Plan, KeyError> {
    let master = master_key(repository, slots, credentials)?;
    match change {
        KeyChange::SetPassword { label, password } => {
            let password = Credential::Password(not_empty(password)?);
            match password_slot(slots, label.as_deref())? {
                Some(old) => replace(slots, old, &master, &password, credentials),
                None => add(slots, DEFAULT_LABEL, &master, &password, credentials),
            }
        }
        KeyChange::AddPassword { label, password } => {
            add(slots, &label, &master, &Credential::Password(not_empty(password)?), credentials)
        }
        KeyChange::AddPlatformKey { label, key } => {
            add(slots, &label, &master, &Credential::PlatformKey(key), credentials)
        }
        KeyChange::AddRecovery { label } => {
            let (_, words) = make_recovery_slot(&master).map_err(unusable)?;
            let plan = add(slots, &label, &master, &Credential::RecoveryWords(words.clone()), credentials)?;
            // Words that open nothing must not be shown.
            let words = (!dry_run).then_some(words);
            Ok(Plan { report: KeyReport { words, ..plan.report }, ..plan })
        }
        KeyChange::Remove { slot, force } => remove(slots, &slot, force, &master, credentials),
    }
}

/// The key that every slot wraps, by the credentials.
fn master_key(repository: &Repository, slots: &Slots, credentials: &[Credential]) -> Result<MasterKey, KeyError> {
    let store = || repository.store().describe();
    if credentials.is_empty() {
        return Err(RepositoryError::NoCredential { store: store(), slots: slots.names() }.into());
    }
    match slots::open(&slots.sound(), credentials).map_err(RepositoryError::from)? {
        Some((_, master)) if repository.has_keys(&master.derive()) => Ok(master),
        Some((slot, _)) => {
            let problem = format!("{} opens, and holds another key", slot.key());
            Err(RepositoryError::NotTheSame { store: store(), problem }.into())
        }
        None => {
            let given: Vec<_> = credentials.iter().map(|credential| credential.slot_type().as_str()).collect();
            Err(RepositoryError::WrongCredential { store: store(), given: given.join(", ") }.into())
        }
    }
}

/// The password slot that is meant; `None` if there is none and none was named.
fn password_slot<'a>(slots: &'a Slots, label: Option<&str>) -> Result<Option<&'a StoredSlot>, KeyError> {
    if let Some(label) = label {
        let name = name(SlotType::Password, label);
        let found = slots.find(&name);
        return found.map(Some).ok_or_else(|| KeyError::NoSuchSlot { name, known: slots.names() });
    }
    let passwords: Vec<_> = slots.0.iter().filter(|slot| slot.is(SlotType::Password)).collect();
    match passwords.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => {
            let names: Vec<_> = several.iter().map(|slot| slot.name.as_str()).collect();
            Err(KeyError::Ambiguous { slots: names.join(", ") })
        }
    }
}

fn add(
    slots: &Slots,
    label: &str,
    master: &MasterKey,
    credential: &Credential,
    credentials: &[Credential],
) -> Result<Plan, KeyError> {
    check_label(label)?;
    let new = new_slot(&name(credential.slot_type(), label), label, master, credential)?;
    if slots.find(&new.name).is_some() {
        return Err(KeyError::SlotExists { name: new.name });
    }
    finish(&slots.sound(), Step::Add(new), master, credentials)
}

fn replace(
    slots: &Slots,
    old: &StoredSlot,
    master: &MasterKey,
    credential: &Credential,
    credentials: &[Credential],
) -> Result<Plan, KeyError> {
    // The part of the name after its type: a slot that cannot be read has no other label.
    let label = old.name.split_once('-').map_or(DEFAULT_LABEL, |(_, label)| label);
    let new = new_slot(&old.name, label, master, credential)?;
    finish(&slots.sound_but(&old.name), Step::Replace(old.clone(), new), master, credentials)
}

fn remove(
    slots: &Slots,
    name: &str,
    force: bool,
    master: &MasterKey,
    credentials: &[Credential],
) -> Result<Plan, KeyError> {
    let name = name.strip_prefix(slots::PREFIX).unwrap_or(name);
    let gone = slots.find(name);
    let gone = gone.ok_or_else(|| KeyError::NoSuchSlot { name: name.to_owned(), known: slots.names() })?;
    if gone.is(SlotType::KmsPlatform) {
        return Err(KeyError::Foreign { name: name.to_owned() });
    }
    let others = slots.sound_but(name);
    if others.is_empty() {
        return Err(KeyError::LastSlot { name: name.to_owned() });
    }
    let plan = finish(&others, Step::Remove(gone.clone()), master, credentials)?;
    if !plan.report.opens_with_given && !force {
        return Err(KeyError::LastConfigured { name: name.to_owned() });
    }
    Ok(plan)
}

/// Finds out what the credentials open when the step is done. `others` are the slots that it leaves as they are.
fn finish(
    others: &[&StoredSlot],
    step: Step,
    master: &MasterKey,
    credentials: &[Credential],
) -> Result<Plan, KeyError> {
    // A malformed credential opens nothing.
    let opens = slots::open(others, credentials).ok().flatten();
    let opens = opens.filter(|(_, found)| found.is_same(master)).map(|(slot, _)| slot);
    let (slot, new) = match &step {
        Step::Add(new) | Step::Replace(_, new) => (new.name.clone(), Some(new)),
        Step::Remove(old) => (old.name.clone(), None),
    };
    let opens_with_given = opens.is_some()
        || new
            .is_some_and(|new| credentials.iter().any(|credential| matches!(new.opens_with(credential), Ok(Some(_)))));
    let identity = match (opens, new) {
        (None, Some(new)) => Some((new.key(), new.bytes.clone())),
        (opens, _) => opens.or(others.first().copied()).map(|slot| (slot.key(), slot.bytes.clone())),
    };
    let replaced = !matches!(step, Step::Add(_));
    Ok(Plan { step, report: KeyReport { slot, replaced, opens_with_given, words: None }, identity })
}

/// Wraps the master key, and proves that it comes out again.
fn new_slot(name: &str, label: &str, master: &MasterKey, credential: &Credential) -> Result<NewSlot, KeyError> {
    let mut slot = make_slot(master, credential).map_err(unusable)?;
    label.clone_into(&mut slot.label);
    let new = NewSlot { name: name.to_owned(), bytes: json::encode(&slot).into() };
    match new.opens_with(credential).map_err(RepositoryError::from)? {
        Some(found) if found.is_same(master) => Ok(new),
        _ => Err(RepositoryError::System(format!("the new key slot {name} does not open")).into()),
    }
}

impl NewSlot {
    /// What comes out of it, read from the bytes that are to be stored.
    fn opens_with(&self, credential: &Credential) -> Result<Option<MasterKey>, SlotError> {
        let malformed = |problem: String| SlotError::Malformed { key: self.key(), problem };
        let slot: KeySlot = json::decode(&self.bytes).map_err(|why| malformed(why.to_string()))?;
        open_slot(&slot, credential)
    }

    pub(super) fn key(&self) -> String {
        format!("{}{}", slots::PREFIX, self.name)
    }
}

fn name(slot_type: SlotType, label: &str) -> String {
    format!("{}-{label}", slot_type.as_str())
}

fn check_label(label: &str) -> Result<(), KeyError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    // Names that end in `.tmp` are what dead writers left (format, section 1).
    let bad = label.is_empty() || label.len() > 64 || label.starts_with('.') || label.ends_with(".tmp");
    match !bad && label.bytes().all(allowed) {
        true => Ok(()),
        false => Err(KeyError::BadLabel { label: label.to_owned() }),
    }
}

fn not_empty(password: SecretString) -> Result<SecretString, KeyError> {
    match password.expose_secret().is_empty() {
        true => Err(KeyError::BadSecret("the new password is empty: give one")),
        false => Ok(password),
    }
}

/// A new credential that no slot can be made with is the caller's mistake, not a wrong credential.
fn unusable(error: SlotError) -> KeyError {
    match error {
        SlotError::BadCredential(problem) => KeyError::BadSecret(problem),
        other => RepositoryError::from(other).into(),
    }
}
