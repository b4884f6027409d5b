//! Tests that need more than a plain user or a plain machine say so where the reader of the run sees it.

use std::io::Write;

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says that a test (or a part of one) is left out, and why.
///
/// It writes to the real standard error, which the test runner does not hold back as it does with `eprintln!`.
pub fn skipped(test: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
