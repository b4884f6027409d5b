//! Ctrl-C and a polite kill, as something to wait for.
//!
//! Listening replaces what the system does by itself (ending the process), so only what must clean up listens.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;
use crate::output;

/// SIGINT and SIGTERM from the moment it is made.
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Starts to listen.
    pub(crate) fn listen() -> Result<Self, Error> {
        let listen = |kind| signal(kind).map_err(|source| Error::System { action: "listen for signals", source });
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// From now on an interrupt ends the process with this error, also while this thread waits for somebody to read what it
/// writes.
pub(crate) fn exit_from_now_on(error: Error, as_json: bool) -> Result<(), Error> {
    let failed = |source| Error::System { action: "listen for signals", source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
    // From this moment on, not only when the thread runs.
    let mut interrupts = {
        let _inside = runtime.enter();
        Interrupts::listen()?
    };
    std::thread::spawn(move || {
        runtime.block_on(interrupts.next());
        output::tell(&error, as_json);
        std::process::exit(error.exit().code().into());
    });
    Ok(())
}

/// Whatever says that the user leaves: these, and a terminal that is gone.
pub(crate) struct Leaving {
    interrupts: Interrupts,
    hangup: Signal,
}

impl Leaving {
    /// Starts to listen.
    pub(crate) fn listen() -> Result<Self, Error> {
        let listen = |source| Error::System { action: "listen for signals", source };
        Ok(Self { interrupts: Interrupts::listen()?, hangup: signal(SignalKind::hangup()).map_err(listen)? })
    }

    /// Waits for that.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            () = self.interrupts.next() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
