//! The task that hands finished requests on, once a second, to everyone who keeps history of them or tells others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::core::ledger::finished::Finished;
use crate::proxy::Gateway;
use crate::telemetry::clock;
use crate::telemetry::finished::{FinishedConsumer, PIECE_MAX};

/// How often finished requests are handed on.
const EVERY: Duration = Duration::from_secs(1);

/// Hands finished requests on until it is told to stop; those that wait then are handed on first.
pub(super) struct RunningHistory {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Starts handing on to these.
pub(super) fn start(gateway: &Arc<Gateway>, consumers: Vec<Box<dyn FinishedConsumer>>) -> RunningHistory {
    let (stop, stopped) = watch::channel(false);
    let hands = HandsOn {
        gateway: Arc::clone(gateway),
        consumers,
        taken: Vec::new(),
    };
    RunningHistory {
        stop,
        task: tokio::spawn(hands.run(stopped)),
    }
}

impl RunningHistory {
    /// Hands on what waits, and ends; within `limit`, or not at all.
    pub(super) async fn end(self, limit: Duration) {
        self.stop.send_replace(true);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(limit, self.task).await.is_err() {
            abort.abort();
        }
    }
}

struct HandsOn {
    gateway: Arc<Gateway>,
    consumers: Vec<Box<dyn FinishedConsumer>>,
    /// Memory that is exchanged with the queue's.
    taken: Vec<Finished>,
}

impl HandsOn {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                biased;
                // Whoever could say so is gone: the gateway has ended.
                _ = stopped.wait_for(|stopped| *stopped) => true,
                _ = ticks.tick() => false,
            };
            self.hand_on().await;
            if is_last {
                return;
            }
        }
    }

    async fn hand_on(&mut self) {
        self.gateway.finished.take(&mut self.taken);
        for piece in self.taken.chunks(PIECE_MAX) {
            for consumer in &mut self.consumers {
                consumer.take(piece);
            }
            tokio::task::yield_now().await;
        }
        self.taken.clear();
        let now_ms = clock::now_ms();
        for consumer in &mut self.consumers {
            consumer.second(now_ms);
        }
    }
}
