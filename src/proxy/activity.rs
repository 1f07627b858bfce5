//! How many requests are running, a way to wait until none is, and how far the gateway's end has come: what a drain works with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, watch};

/// How far the gateway's end has come, as clients' connections feel it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not begun.
    Serving,
    /// Answers say that their connection ends with them, so that clients go elsewhere of their own accord. Idle connections stay: to
    /// close one is to risk a request that is on its way.
    Leaving,
    /// Idle connections end.
    Closing,
}

/// Counts running requests, and tells them how far the end has come.
#[derive(Debug)]
pub struct Activity {
    running: AtomicUsize,
    none_left: Notify,
    phase: watch::Sender<Phase>,
    is_cut_off: watch::Sender<bool>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            running: AtomicUsize::new(0),
            none_left: Notify::new(),
            phase: watch::Sender::new(Phase::Serving),
            is_cut_off: watch::Sender::new(false),
        }
    }
}

/// A running request.
#[derive(Debug)]
pub struct Running(Arc<Activity>);

impl Activity {
    /// Counts a request until the guard is dropped.
    pub fn enter(self: &Arc<Self>) -> Running {
        self.running.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(self))
    }

    /// Requests running now.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }

    /// How far the end has come.
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Notes that the end has come so far.
    pub fn enter_phase(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Resolves when idle connections begin to end. Never where they do so already: such a connection was accepted at the last moment,
    /// its request is probably under way and will be its only one.
    pub async fn begins_to_close(&self) {
        let mut phase = self.phase.subscribe();
        if self.phase() == Phase::Closing {
            std::future::pending::<()>().await;
        }
        // The sender lives as long as this does, so waiting cannot fail.
        let _ = phase.wait_for(|phase| *phase == Phase::Closing).await;
    }

    /// Ends every running request, for when a drain's time is over.
    pub fn cut_off(&self) {
        self.is_cut_off.send_replace(true);
    }

    /// Resolves when running requests are to end.
    pub async fn is_cut_off(&self) {
        let mut cut_off = self.is_cut_off.subscribe();
        // The sender lives as long as this does, so waiting cannot fail.
        let _ = cut_off.wait_for(|is_cut_off| *is_cut_off).await;
    }

    /// Waits until no request is running.
    pub async fn none_running(&self) {
        loop {
            let woken = self.none_left.notified();
            tokio::pin!(woken);
            // Registered before looking, so that the last request's wake-up cannot fall between the two.
            woken.as_mut().enable();
            if self.running() == 0 {
                return;
            }
            woken.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_the_last() {
        let activity = Arc::new(Activity::default());
        activity.none_running().await;
        let (first, second) = (activity.enter(), activity.enter());
        let waiting = tokio::spawn({
            let activity = Arc::clone(&activity);
            async move { activity.none_running().await }
        });
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.expect("woken");
    }
}
