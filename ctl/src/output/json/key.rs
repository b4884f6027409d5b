//! Key slots.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cloudstic_proto::v1;
use serde::Serialize;

use super::{filled, not_utf8};

/// `key list`
#[derive(Serialize)]
pub(crate) struct Keys<'a> {
    repository: &'a str,
    encrypted: bool,
    slots: Vec<Slot<'a>>,
}

#[derive(Serialize)]
struct Slot<'a> {
    name: &'a str,
    r#type: Option<&'a str>,
    label: Option<&'a str>,
    kdf: Option<Kdf<'a>>,
    in_use: bool,
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct Kdf<'a> {
    algorithm: &'a str,
    time: u32,
    memory: u32,
    threads: u32,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(repository: &'a str, listed: &'a v1::ListKeysResponse) -> Self {
        Self { repository, encrypted: listed.encrypted, slots: listed.slots.iter().map(Slot::from).collect() }
    }
}

impl<'a> From<&'a v1::KeySlot> for Slot<'a> {
    fn from(slot: &'a v1::KeySlot) -> Self {
        let kdf = |kdf: &'a v1::KeyDerivation| Kdf {
            algorithm: &kdf.algorithm,
            time: kdf.time,
            memory: kdf.memory,
            threads: kdf.threads,
        };
        Self {
            name: &slot.name,
            r#type: filled(&slot.r#type),
            label: filled(&slot.label),
            kdf: slot.kdf.as_ref().map(kdf),
            in_use: slot.in_use,
            problem: filled(&slot.problem),
        }
    }
}

/// `key passwd`, `key add-recovery`, `key add-platform`, `key remove`
#[derive(Serialize)]
pub(crate) struct ChangedKey<'a> {
    repository: &'a str,
    slot: &'a str,
    replaced: bool,
    configured_opens: bool,
    key_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_file_b64: Option<String>,
    dry_run: bool,
}

impl<'a> ChangedKey<'a> {
    /// A change that was made; `key_file` is where a new platform key was written.
    pub(crate) fn new(
        repository: &'a str,
        done: &'a v1::ChangeKeysResponse,
        key_file: Option<&Path>,
        dry_run: bool,
    ) -> Self {
        Self {
            repository,
            slot: &done.slot,
            replaced: done.replaced,
            configured_opens: done.configured_opens,
            key_file: key_file.map(|path| path.to_string_lossy().into_owned()),
            key_file_b64: key_file.and_then(|path| not_utf8(path.as_os_str().as_bytes())),
            dry_run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    #[test]
    fn keys_have_their_documented_shape() {
        let kdf = v1::KeyDerivation { algorithm: "argon2id".into(), time: 3, memory: 65_536, threads: 4 };
        let slot = v1::KeySlot {
            name: "password-default".into(),
            r#type: "password".into(),
            label: "default".into(),
            kdf: Some(kdf),
            in_use: true,
            problem: String::new(),
        };
        let listed = v1::ListKeysResponse { encrypted: true, slots: vec![slot] };
        assert_eq!(
            text(&Keys::new("home", &listed)),
            concat!(
                r#"{"repository":"home","encrypted":true,"slots":[{"name":"password-default","type":"password","#,
                r#""label":"default","kdf":{"algorithm":"argon2id","time":3,"memory":65536,"threads":4},"#,
                r#""in_use":true,"problem":null}]}"#
            )
        );
        let recovery_words = Some("abandon ability".into());
        let slot = "password-default".into();
        let done = v1::ChangeKeysResponse { slot, replaced: true, recovery_words, ..Default::default() };
        assert_eq!(
            text(&ChangedKey::new("home", &done, None, false)),
            concat!(
                r#"{"repository":"home","slot":"password-default","replaced":true,"configured_opens":false,"#,
                r#""key_file":null,"dry_run":false}"#
            )
        );
    }
}
