//! The daemon's own log, on stderr.
//!
//! journald has the time and takes no colours, so both are left out when stderr is a stream to it.

use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts logging; call it once. Panics are logged too, instead of the standard library's text.
pub fn start(level: tracing::Level, format: LogFormat) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(level))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match (format, to_journald()) {
        (LogFormat::Json, _) => builder.json().flatten_event(true).init(),
        (LogFormat::Text, true) => builder.without_time().with_target(false).init(),
        (LogFormat::Text, false) => builder.with_target(false).init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let text = panic.payload_as_str().unwrap_or("a panic");
        tracing::error!(place, text, "a panic: this is a bug, please report it");
    }));
}

/// Our own crates at the configured level, all others at most at `warn`: theirs are not about backups.
fn filter(level: tracing::Level) -> EnvFilter {
    let others = LevelFilter::from_level(level).min(LevelFilter::WARN);
    EnvFilter::new(format!("{others},cloudsticd={level},cloudstic_engine={level},cloudstic_cloud={level}"))
}

/// Whether stderr is what systemd says is connected to the journal (`JOURNAL_STREAM` is device and inode).
fn to_journald() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stderr = std::fs::metadata("/dev/stderr");
    stderr.is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_daemon_keeps_its_libraries_quiet_too() {
        assert_eq!(filter(tracing::Level::DEBUG).max_level_hint(), Some(LevelFilter::DEBUG));
        assert_eq!(filter(tracing::Level::ERROR).max_level_hint(), Some(LevelFilter::ERROR));
    }
}
