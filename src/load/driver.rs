//! Runs a plan: `concurrency` workers that each take a slot, wait until it is due, send, and count.
//!
//! A worker keeps one conversation at a time, since its next turn needs the answer to the last one; a failed turn ends
//! the conversation. Stopping never cuts a request: what was begun is finished, for at most the plan's timeout.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::CreationError;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::client::{Client, ClientError};
use super::conversation::Conversation;
use super::outcome::{FailureKind, Finished};
use super::pace::{Pace, Slot, is_stream};
use super::plan::{Plan, PlanError};
use super::prompt::Prompts;
use super::record::Record;
use super::report::{Report, Snapshot};
use super::tally::Tally;

/// How often [`run`] shows its progress.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);
/// How long a closed-loop worker waits after it could not connect; without it a stopped endpoint would be counted as
/// some ten thousand failures a second, and the driver would take the processor from whoever starts it again.
const PAUSE_WITHOUT_CONNECTION: Duration = Duration::from_millis(50);

/// Why a run could not be made or carried on. A request that fails is no such reason.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The plan is wrong.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// No client can be made for it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The record cannot be written.
    #[error("cannot write the record `{}`; is its directory there, and the disk not full?", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A histogram refuses its bounds.
    #[error("cannot set up the histograms")]
    Histogram(#[from] CreationError),
    /// A body did not serialize.
    #[error("cannot write a request body")]
    Body(#[from] serde_json::Error),
    /// A worker panicked.
    #[error("a worker broke down; please report it")]
    Worker(#[source] JoinError),
}

/// Is told of every finished request, by the worker that made it: it must not block.
pub struct Observer(Box<dyn Fn(&Finished) + Send + Sync>);

impl Observer {
    /// Wraps a function.
    pub fn new(function: impl Fn(&Finished) + Send + Sync + 'static) -> Self {
        Self(Box::new(function))
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

/// A run in progress. Dropping it drops its requests where they are.
#[derive(Debug)]
pub struct Run {
    shared: Arc<Shared>,
    workers: JoinSet<Result<(), LoadError>>,
}

#[derive(Debug)]
struct Shared {
    plan: Plan,
    prompts: Prompts,
    client: Client,
    pace: Pace,
    started: Instant,
    conversations: AtomicU64,
    in_flight: AtomicU64,
    tally: Mutex<Tally>,
    record: Option<Record>,
    observer: Option<Observer>,
    halt: watch::Sender<Option<Instant>>,
}

/// Begins to carry out `plan`. Call it within a tokio runtime.
///
/// # Errors
/// When the plan is wrong, or its record file or HTTP client cannot be made; nothing has been sent then.
pub fn start(plan: Plan) -> Result<Run, LoadError> {
    begin(plan, None)
}

/// The same, telling `observer` of each finished request: for figures that the report does not have.
///
/// # Errors
/// As [`start`].
pub fn start_observed(plan: Plan, observer: Observer) -> Result<Run, LoadError> {
    begin(plan, Some(observer))
}

fn begin(plan: Plan, observer: Option<Observer>) -> Result<Run, LoadError> {
    plan.check()?;
    let record = match &plan.record {
        None => None,
        Some(path) => Some(Record::create(path).map_err(|source| LoadError::Record {
            path: path.clone(),
            source,
        })?),
    };
    let prompts = Prompts::new(&plan.prompts);
    let client = Client::new(&plan.target, plan.timeout)?;
    let tally = Mutex::new(Tally::new()?);
    let started = Instant::now();
    let shared = Arc::new(Shared {
        pace: Pace::new(started, plan.rate, plan.extent),
        prompts,
        client,
        started,
        conversations: AtomicU64::new(plan.prompts.first_conversation),
        in_flight: AtomicU64::new(0),
        tally,
        record,
        observer,
        halt: watch::Sender::new(None),
        plan,
    });
    let mut workers = JoinSet::new();
    for _ in 0..shared.plan.concurrency.get() {
        workers.spawn(work(shared.clone()));
    }
    Ok(Run { shared, workers })
}

/// The body of the first request that a run of this plan sends, not streamed.
///
/// # Errors
/// None in practice: strings and numbers always serialize.
pub fn first_body(plan: &Plan) -> Result<Vec<u8>, LoadError> {
    let prompts = Prompts::new(&plan.prompts);
    let first = Conversation::new(&prompts, plan.prompts.first_conversation);
    Ok(first.body(&plan.target, &plan.prompts, false, Duration::ZERO)?)
}

/// Carries out `plan` to its end and calls `progress` a few times a second.
///
/// # Errors
/// As [`start`], and when the record can no longer be written.
pub async fn run(plan: Plan, mut progress: impl FnMut(&Snapshot)) -> Result<Report, LoadError> {
    let mut run = start(plan)?;
    let mut ticks = interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            ended = run.wait() => { ended?; break }
            _ = ticks.tick() => progress(&run.snapshot()),
        }
    }
    progress(&run.snapshot());
    run.finish().await
}

impl Run {
    /// What has been counted so far; take two for the interval between them ([`Snapshot::since`]).
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            elapsed: self.shared.started.elapsed(),
            in_flight: self.shared.in_flight.load(Ordering::Relaxed),
            counts: self.shared.tally.lock().counts.clone(),
        }
    }

    /// Begins no more requests; those in flight go on.
    pub fn halt(&self) {
        self.shared.halt();
    }

    /// Waits until the last request has ended. May be dropped and called again.
    ///
    /// # Errors
    /// When the record can no longer be written.
    pub async fn wait(&mut self) -> Result<(), LoadError> {
        while let Some(ended) = self.workers.join_next().await {
            let result = ended.map_err(LoadError::Worker).flatten();
            if result.is_err() {
                self.halt();
            }
            result?;
        }
        Ok(())
    }

    /// Waits for the plan's end and reports.
    ///
    /// # Errors
    /// As [`Run::wait`].
    pub async fn finish(mut self) -> Result<Report, LoadError> {
        self.wait().await?;
        let shared = &self.shared;
        let ended = shared.halt.borrow().unwrap_or_else(Instant::now);
        let tally = shared.tally.lock();
        let elapsed = tally
            .last_end()
            .map_or(Duration::ZERO, |last| last.saturating_duration_since(shared.started));
        Ok(tally.report(elapsed, shared.pace.unsent(ended)))
    }

    /// Begins no more requests, waits for those in flight and reports.
    ///
    /// # Errors
    /// As [`Run::wait`].
    pub async fn stop(self) -> Result<Report, LoadError> {
        self.halt();
        self.finish().await
    }
}

impl Shared {
    fn halt(&self) {
        self.halt.send_if_modified(|halted| {
            let first = halted.is_none();
            halted.get_or_insert_with(Instant::now);
            first
        });
    }

    fn count(&self, finished: &Finished) -> Result<(), LoadError> {
        if let (Some(record), Some(path)) = (&self.record, &self.plan.record) {
            record.write(finished).map_err(|source| LoadError::Record {
                path: path.clone(),
                source,
            })?;
        }
        self.tally.lock().add(finished, Instant::now());
        if let Some(Observer(observe)) = &self.observer {
            observe(finished);
        }
        if finished.failure.is_some() && self.plan.fail_fast {
            self.halt();
        }
        Ok(())
    }
}

async fn work(shared: Arc<Shared>) -> Result<(), LoadError> {
    let mut halted = shared.halt.subscribe();
    let mut conversation = None;
    while halted.borrow().is_none() {
        let Some(slot) = shared.pace.take(Instant::now()) else {
            break;
        };
        if let Some(due) = slot.due
            && !wait_until(due, &mut halted).await
        {
            break;
        }
        let talk = conversation.take().unwrap_or_else(|| {
            Conversation::new(&shared.prompts, shared.conversations.fetch_add(1, Ordering::Relaxed))
        });
        shared.in_flight.fetch_add(1, Ordering::Relaxed);
        let answered = ask(&shared, &slot, talk).await;
        shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        let unconnected;
        (conversation, unconnected) = answered?;
        if unconnected
            && slot.due.is_none()
            && !wait_until(Instant::now() + PAUSE_WITHOUT_CONNECTION, &mut halted).await
        {
            break;
        }
    }
    Ok(())
}

/// One turn of `talk`: what is left of the conversation, and whether no connection could be made.
async fn ask(shared: &Shared, slot: &Slot, talk: Conversation) -> Result<(Option<Conversation>, bool), LoadError> {
    let plan = &shared.plan;
    let streamed = is_stream(slot.number, plan.stream_share);
    let body = talk.body(&plan.target, &plan.prompts, streamed, shared.started.elapsed())?;
    let answer = shared
        .client
        .ask(body, streamed, Pace::intended(slot, Instant::now()))
        .await;
    shared.count(&answer.finished)?;
    let Some(failure) = answer.finished.failure else {
        return Ok((talk.next(&shared.prompts, &plan.prompts, answer.text), false));
    };
    Ok((
        None,
        matches!(failure.kind, FailureKind::Refused | FailureKind::Unreachable),
    ))
}

/// Whether `when` came before the run was halted.
async fn wait_until(when: Instant, halted: &mut watch::Receiver<Option<Instant>>) -> bool {
    tokio::select! {
        () = sleep_until(when) => true,
        // An error means that the run itself is gone.
        _ = halted.wait_for(Option::is_some) => false,
    }
}
