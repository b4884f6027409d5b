//! The connection of a store, made anew when it is lost.
//!
//! The one invariant: however many callers find it lost, one of them connects and the others wait for what comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use super::connection::Connection;
use super::failure::Trouble;
use super::settings::SftpSettings;

/// What a store reaches its server by.
#[derive(Debug)]
pub(super) struct Link {
    settings: SftpSettings,
    current: Mutex<Option<Result<Arc<Connection>, Trouble>>>,
    /// How often it was tried to connect.
    tries: AtomicU64,
}

impl Link {
    /// Not connected yet.
    pub(super) fn new(settings: SftpSettings) -> Self {
        Self { settings, current: Mutex::default(), tries: AtomicU64::new(0) }
    }

    pub(super) fn settings(&self) -> &SftpSettings {
        &self.settings
    }

    /// A connection that works, as far as anybody knows.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, Trouble> {
        let seen = self.tries.load(Ordering::Acquire);
        let mut current = self.current.lock().await;
        match &*current {
            Some(Ok(connection)) if connection.is_alive() => return Ok(Arc::clone(connection)),
            // Somebody has tried while this one waited.
            Some(Err(trouble)) if self.tries.load(Ordering::Acquire) > seen => return Err(trouble.clone()),
            _ => {}
        }
        *current = None;
        let opened = Connection::open(&self.settings).await.map(Arc::new);
        if self.tries.fetch_add(1, Ordering::AcqRel) > 0 && opened.is_ok() {
            tracing::info!(store = %self.settings.location, "connected again");
        }
        current.insert(opened).clone()
    }

    /// How often it was tried to connect, for tests.
    #[cfg(test)]
    pub(super) fn tries(&self) -> u64 {
        self.tries.load(Ordering::Acquire)
    }
}
