//! Signals that end a command before its time, for commands that must leave something in order.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP, caught from its making on.
pub(super) struct Interrupt {
    by_keyboard: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Interrupt {
    /// Begins to catch them.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub(super) fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            by_keyboard: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for one; at once where one has come before.
    pub(super) async fn come(&mut self) {
        tokio::select! {
            _ = self.by_keyboard.recv() => {}
            _ = self.terminate.recv() => {}
            // The terminal was closed.
            _ = self.hangup.recv() => {}
        }
    }

    /// Waits so long; true where a signal ended it, or has come before.
    pub(super) async fn within(&mut self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.come() => true,
            () = tokio::time::sleep(time) => false,
        }
    }
}
