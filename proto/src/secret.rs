//! Secrets in messages: debug output never shows them.

use crate::v1::Secret;

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec() }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use crate::v1::{self, change_keys_request::Change};

    #[test]
    fn a_request_does_not_show_its_secret() {
        let set = v1::SetPassword { label: "a".to_owned(), password: Some("hunter2".into()) };
        let request = v1::ChangeKeysRequest { change: Some(Change::SetPassword(set)), ..Default::default() };
        let shown = format!("{request:?}");
        let bytes = format!("{:?}", b"hunter2").trim_matches(['[', ']']).to_owned();
        assert!(shown.contains("Secret(…)") && !shown.contains("hunter2") && !shown.contains(&bytes), "{shown}");
    }
}
