//! History: the task that hands finished requests on once a second, the one that writes what they came to, and the answers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::app::ending::in_time;
use crate::app::history::answers::Answers;
use crate::app::money::Prices;
use crate::core::ledger::finished::Finished;
use crate::history::History;
use crate::history::counting::Counting;
use crate::history::writer::HistoryWriter;
use crate::proxy::Gateway;
use crate::storage::sqlite::SqliteStore;
use crate::telemetry::clock;
use crate::telemetry::events::process;
use crate::telemetry::finished::{self, FinishedConsumer, PIECE_MAX};

pub(super) mod answers;
mod hosting;

/// How often finished requests are handed on.
const EVERY: Duration = Duration::from_secs(1);

/// Hands finished requests on until it is told to stop, and writes history; what waits then is handed on and written first.
pub(super) struct RunningHistory {
    /// What can be asked.
    pub(super) answers: Arc<Answers>,
    stop_handing: watch::Sender<bool>,
    handing: JoinHandle<()>,
    stop_writing: watch::Sender<bool>,
    writing: JoinHandle<HistoryWriter>,
}

/// Starts keeping history, and handing finished requests on to others too.
///
/// # Errors
/// When the store cannot be read.
pub(super) async fn start(
    gateway: &Arc<Gateway>,
    store: &Arc<SqliteStore>,
    prices: &Arc<Prices>,
    others: Vec<Box<dyn FinishedConsumer>>,
) -> anyhow::Result<RunningHistory> {
    let journal = Arc::clone(gateway.metrics.journal());
    let history = Arc::new(History::new(Arc::clone(store), journal, clock::now_ms()));
    history
        .continue_journal()
        .await
        .context("cannot read the events of earlier processes from the usage store")?;
    process::ProcessChanged::Started.emit(history.journal());
    let book = {
        let prices = Arc::clone(prices);
        Box::new(move || prices.book())
    };
    let mut consumers: Vec<Box<dyn FinishedConsumer>> = vec![Box::new(Counting::new(Arc::clone(&history), book))];
    consumers.extend(others);
    let (stop_handing, handing_stopped) = watch::channel(false);
    let (stop_writing, writing_stopped) = watch::channel(false);
    let hands = HandsOn {
        gateway: Arc::clone(gateway),
        consumers,
        taken: Vec::new(),
    };
    let writer = HistoryWriter::new(Arc::clone(&history), clock::now_ms);
    Ok(RunningHistory {
        answers: Arc::new(Answers::new(history, gateway, prices)),
        stop_handing,
        handing: tokio::spawn(hands.run(handing_stopped)),
        stop_writing,
        writing: tokio::spawn(writer.run(writing_stopped)),
    })
}

impl RunningHistory {
    /// Hands on what waits, until then at most: nobody is handed anything any more.
    pub(super) async fn hand_on_last(self, until: Instant) -> Unwritten {
        self.stop_handing.send_replace(true);
        let abort = self.handing.abort_handle();
        let is_done = tokio::time::timeout_at(until, self.handing).await.is_ok();
        abort.abort();
        in_time("handing finished requests on", is_done);
        Unwritten {
            stop: self.stop_writing,
            writing: self.writing,
        }
    }
}

/// A history to which nothing is added any more.
pub(super) struct Unwritten {
    stop: watch::Sender<bool>,
    writing: JoinHandle<HistoryWriter>,
}

impl Unwritten {
    /// Writes all that there is, until then at most.
    pub(super) async fn write_last(self, until: Instant) {
        self.stop.send_replace(true);
        let abort = self.writing.abort_handle();
        let write = async {
            if let Ok(writer) = self.writing.await {
                writer.write_last().await;
            }
        };
        let is_done = tokio::time::timeout_at(until, write).await.is_ok();
        abort.abort();
        in_time("history", is_done);
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
        finished::forget(&mut self.taken);
        let now_ms = clock::now_ms();
        for consumer in &mut self.consumers {
            consumer.second(now_ms);
        }
    }
}
