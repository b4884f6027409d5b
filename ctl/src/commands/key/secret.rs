//! Secrets of the user: from the terminal or a file; and new ones into a file that only the user can read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::Error;

/// The largest secret that is read, in bytes.
const MAX_SECRET: usize = 64 << 10;

/// A secret that is wiped when it is dropped.
pub(super) type Secret = Zeroizing<String>;

/// From a file, or asked for twice.
pub(super) fn new_password(file: Option<&Path>) -> Result<Secret, Error> {
    let password = match file {
        Some(file) => from_file(file)?,
        None => {
            let first = ask("New password: ")?;
            if *ask("The same again: ")? != *first {
                return Err(Error::Arguments("the two passwords differ: nothing was changed".to_owned()));
            }
            first
        }
    };
    match password.is_empty() {
        true => Err(Error::Arguments("the new password is empty: nothing was changed".to_owned())),
        false => Ok(password),
    }
}

/// Asks on the terminal, without showing what is typed.
pub(super) fn ask(question: &str) -> Result<Secret, Error> {
    rpassword::prompt_password(question).map(Zeroizing::new).map_err(|_| {
        Error::Arguments("there is no terminal to ask for the secret: give a file that holds it".to_owned())
    })
}

/// The text of a file without the newline at its end, as the daemon reads its own secrets; `-` is standard input.
pub(super) fn from_file(path: &Path) -> Result<Secret, Error> {
    let unreadable = |problem: &dyn std::fmt::Display| {
        Error::Arguments(format!("the secret in {} cannot be read: {problem}", path.display()))
    };
    // All capacity at once: a growing vector would leave copies of the secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 1));
    let limit = MAX_SECRET as u64 + 1;
    let read = if path == Path::new("-") {
        io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|cause| unreadable(&cause))?;
    if bytes.len() > MAX_SECRET {
        return Err(unreadable(&"it is larger than any secret"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| unreadable(&"it is not UTF-8 text"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    Ok(Zeroizing::new(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

/// 64 hex digits.
pub(super) fn random_key() -> Result<Secret, Error> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut_slice())
        .map_err(|cause| Error::System { action: "make a random key", source: io::Error::other(cause.to_string()) })?;
    Ok(Zeroizing::new(hex::encode(key.as_slice())))
}

/// Writes a secret into a new file with mode 0600; it is on disk when this returns.
pub(super) fn write_new(path: &Path, secret: &Secret) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(Error::Arguments(format!(
                "{} exists already, and may hold a key that is in use: give another name",
                path.display()
            )));
        }
        opened => opened.map_err(failed)?,
    };
    let written = file.write_all(secret.as_bytes()).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    written.and_then(|()| File::open(folder)?.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_generated_key_is_for_its_owner_alone_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let key = random_key().unwrap();
        assert!(key.len() == 64 && *key != *random_key().unwrap());
        write_new(&path, &key).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(write_new(&path, &key), Err(Error::Arguments(_))));
        assert_eq!(*from_file(&path).unwrap(), *key);
    }
}
