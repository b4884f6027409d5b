//! Where in a service a repository lies: `<bucket>[/<prefix>]`.

use std::fmt;
use std::str::FromStr;

/// A bucket, and the prefix of all keys in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketLocation {
    bucket: String,
    prefix: String,
}

/// A text that names no bucket. It does not hold the text: there may be a password in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a bucket: write its name, and a prefix after a \"/\" if there is one, as in \"my-bucket/backups\"")]
pub struct BadLocation;

impl BucketLocation {
    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The name of an object in the bucket (format, section 1).
    pub(crate) fn name_of(&self, key: &str) -> String {
        if self.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.prefix) }
    }

    /// The key of an object of the bucket, if it is below the prefix.
    pub(crate) fn key_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        if self.prefix.is_empty() {
            return Some(name);
        }
        name.strip_prefix(self.prefix.as_str())?.strip_prefix('/')
    }
}

impl FromStr for BucketLocation {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        let prefix = prefix.trim_matches('/');
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let is_good = (1..=255).contains(&bucket.len())
            && bucket.chars().all(allowed)
            && bucket.starts_with(|c: char| c.is_ascii_alphanumeric())
            && prefix.split('/').all(|part| part != "." && part != ".." && (!part.is_empty() || prefix.is_empty()))
            && !prefix.chars().any(char::is_control);
        if !is_good {
            return Err(BadLocation);
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for BucketLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl BucketLocation {
    fn name(&self) -> String {
        if self.prefix.is_empty() { self.bucket.clone() } else { format!("{}/{}", self.bucket, self.prefix) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_trimmed_and_followed_by_one_slash() {
        for (text, name, shown) in [
            ("bucket", "packs/a", "bucket"),
            ("bucket/", "packs/a", "bucket"),
            ("bucket/one", "one/packs/a", "bucket/one"),
            ("bucket//one/two//", "one/two/packs/a", "bucket/one/two"),
        ] {
            let location: BucketLocation = text.parse().unwrap();
            assert_eq!((location.name_of("packs/a").as_str(), location.to_string().as_str()), (name, shown));
            assert_eq!(location.key_of(name), Some("packs/a"));
        }
        let location: BucketLocation = "bucket/one".parse().unwrap();
        assert_eq!((location.key_of("onetwo/packs/a"), location.key_of("packs/a")), (None, None));
    }

    #[test]
    fn what_is_no_bucket_is_refused_without_being_repeated() {
        for text in ["", "/a", "key:hunter2@bucket", "https://hunter2", "a b", "-a", "bucket/../x", "bucket/a//b"] {
            assert!(!text.parse::<BucketLocation>().unwrap_err().to_string().contains("hunter2"), "{text}");
        }
    }
}
