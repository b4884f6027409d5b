//! The programs under test, built once for each test run with the profile of the test itself.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder that holds `cloudsticd` and `cloudsticctl`.
///
/// `CLOUDSTIC_BIN_DIR` names another one, with programs that are not built here.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| match std::env::var_os("CLOUDSTIC_BIN_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => build(),
    })
}

/// The daemon.
pub fn daemon() -> PathBuf {
    folder().join("cloudsticd")
}

/// The client.
pub fn client() -> PathBuf {
    folder().join("cloudsticctl")
}

/// Cargo builds no programs for the tests of another package, so this asks for them; it takes no time when they are
/// up to date.
fn build() -> PathBuf {
    let test = std::env::current_exe().expect("the test knows its own path");
    let profile_folder = test.parent().and_then(Path::parent).expect("target/PROFILE/deps/TEST").to_path_buf();
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(crate::project())
        .args(["build", "--quiet", "--locked", "-p", "cloudsticd", "-p", "cloudsticctl", "--profile", profile])
        .arg("--target-dir")
        .arg(profile_folder.parent().expect("target/PROFILE"))
        .status()
        .expect("cargo runs");
    assert!(status.success(), "cargo could not build the programs under test");
    profile_folder
}
