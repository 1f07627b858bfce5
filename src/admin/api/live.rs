//! What happens now, as a stream of events (`text/event-stream`) that goes on where it broke.
//!
//! One task computes a picture every two seconds, only while somebody listens, and writes it once: all listeners send the same bytes. That
//! is why the frames are made here and not by axum, which writes each event for each listener. A listener that reads slowly misses
//! pictures, never events: those come from the journal by their ids.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior};
use utoipa::ToSchema;

use crate::admin::api::answer::{Asked, ErrorBody, Refusal};
use crate::admin::history::EventQueries;
use crate::admin::status::{DeploymentStatus, Status};
use crate::admin::{Sources, Stop};
use crate::core::history::shown::Latest;
use crate::telemetry::journal::Event;

/// Most listeners: each holds a connection, and pages have one each.
pub const LISTENERS_MAX: usize = 64;
/// How often there is a new picture.
const TICK: Duration = Duration::from_secs(2);
/// How often a silent stream shows that it lives; whatever is between may cut off what is silent for longer.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a stream lasts: whoever listens must still be allowed to, which is asked at its beginning.
const LISTEN_MAX: Duration = Duration::from_hours(1);
/// Events that are read at a time.
const PAGE: usize = 200;
/// How far back a stream goes on: more is for `GET /events`.
const RESUMED_MAX: u64 = 10_000;
/// Largest id of an event: what comes from a browser is a double.
const ID_MAX: u64 = (1 << 53) - 1;

/// A picture of the gateway as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Tick {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The process.
    pub status: TickStatus,
    /// Each deployment, in the configuration's order.
    pub deployments: Vec<TickDeployment>,
    /// The last whole ten seconds.
    pub last: Latest,
}

/// The process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TickStatus {
    /// Whether new requests are welcome.
    pub ready: bool,
    /// Whether it is ending.
    pub draining: bool,
    /// Requests running.
    pub requests_running: usize,
    /// The configuration in use.
    pub config: TickConfig,
}

/// The configuration in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TickConfig {
    /// Counts configurations put to use.
    pub generation: u64,
    /// Why the file as it is now is not in use.
    pub last_error: Option<String>,
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TickDeployment {
    /// `resource/name`.
    pub name: String,
    /// Its circuit breaker.
    pub breaker: &'static str,
    /// Attempts running at it.
    pub in_flight: u64,
    /// Part of its limit that is used; none where the limit is not known.
    pub limit_used: Option<f64>,
    /// Whether an operator has taken it out.
    pub drained: bool,
    /// Why it is not there, by what the control plane says.
    pub absent: Option<&'static str>,
    /// Until when it rests after a 429, in milliseconds since the Unix epoch.
    pub cooling_until_ms: Option<i64>,
}

impl Tick {
    fn of(status: Status, last: Latest) -> Self {
        let deployment = |status: DeploymentStatus| TickDeployment {
            name: status.name,
            breaker: status.breaker,
            in_flight: status.in_flight,
            limit_used: status.limit_used,
            drained: status.drained,
            absent: status.absent,
            cooling_until_ms: status.cooling_until_ms,
        };
        Self {
            at_ms: status.at_ms,
            status: TickStatus {
                ready: status.ready,
                draining: status.draining,
                requests_running: status.requests_running,
                config: TickConfig {
                    generation: status.config.generation,
                    last_error: status.config.last_error,
                },
            },
            deployments: status.deployments.into_iter().map(deployment).collect(),
            last,
        }
    }
}

/// A picture, written.
#[derive(Debug)]
struct Picture {
    generation: u64,
    /// That the configuration is another.
    config: Bytes,
    tick: Bytes,
}

/// Who listens, and what they are shown.
#[derive(Debug)]
pub struct Listeners {
    places: Arc<Semaphore>,
    pictures: watch::Sender<Option<Arc<Picture>>>,
    /// Whether pictures are being made.
    is_painting: Mutex<bool>,
}

impl Default for Listeners {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(LISTENERS_MAX)),
            pictures: watch::Sender::new(None),
            is_painting: Mutex::new(false),
        }
    }
}

impl Listeners {
    /// Begins to look at pictures; the first who does has them made.
    fn join(&self, sources: &Arc<Sources>) -> watch::Receiver<Option<Arc<Picture>>> {
        let mut is_painting = self.is_painting.lock();
        if !*is_painting {
            *is_painting = true;
            // What the last listener saw is old.
            self.pictures.send_replace(None);
            tokio::spawn(paint(Arc::downgrade(sources)));
        }
        let mut pictures = self.pictures.subscribe();
        pictures.mark_changed();
        pictures
    }

    /// Whether nobody listens any more, in which case making pictures ends.
    fn are_gone(&self) -> bool {
        let mut is_painting = self.is_painting.lock();
        *is_painting = self.pictures.receiver_count() > 0;
        !*is_painting
    }
}

/// Makes pictures until nobody looks.
async fn paint(sources: Weak<Sources>) {
    let mut ticks = every(TICK);
    loop {
        ticks.tick().await;
        let Some(sources) = sources.upgrade() else { return };
        let listeners = &sources.api.live;
        if listeners.are_gone() {
            return;
        }
        let tick = Tick::of((sources.status)(), sources.api.history.latest());
        let generation = tick.status.config.generation;
        let picture = Picture {
            generation,
            config: frame("config", None, &tick.status.config),
            tick: frame("tick", None, &tick),
        };
        listeners.pictures.send_replace(Some(Arc::new(picture)));
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// An event of the stream. JSON has no line breaks outside its texts, and those are escaped.
fn frame(name: &str, id: Option<u64>, data: &impl Serialize) -> Bytes {
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    // Structs of strings and numbers always serialise.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {name}\n{id}data: {data}\n\n"))
}

/// From where a stream goes on.
#[derive(Debug, Clone, Copy, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LiveQuery {
    /// The id of the last event that was seen: those after it come first, at most 10,000. As the header `Last-Event-ID`, for those who
    /// cannot send one.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    after: Option<u64>,
}

/// What happens now, as a stream of events.
///
/// `tick` every two seconds: a picture of the gateway (`Tick`). `event` as it happens, with its id: what `GET /events` tells. `config`
/// when another configuration is in use: its generation. A comment every 15 seconds shows that the stream lives. It ends after an hour,
/// when nothing of it is read for half a minute, and when the process ends; whoever comes back with `Last-Event-ID` or `after` misses no
/// event. At most 64 may listen.
#[utoipa::path(
    get, path = "/live", tag = "events", params(LiveQuery),
    responses(
        (status = 200, content((String = "text/event-stream")), description = "The stream; it does not end by itself within an hour."),
        (status = 400, body = ErrorBody, description = "`after` or `Last-Event-ID` is no event's id."),
        (status = 503, body = ErrorBody, description = "So many listen already, or the process is ending."),
    )
)]
pub(super) async fn live(
    State(sources): State<Arc<Sources>>,
    Extension(stop): Extension<watch::Receiver<Stop>>,
    Asked(LiveQuery { after }): Asked<LiveQuery>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let after = after.map_or_else(|| last_event_id(&headers), |after| Ok(Some(after)))?;
    if after.is_some_and(|id| id > ID_MAX) {
        return Err(Refusal::bad_param("after", "`after` must be an event's id"));
    }
    if *stop.borrow() != Stop::No {
        let message = "the process is ending; connect again, to the one that follows it";
        return Err(Refusal::unavailable(message, "ending"));
    }
    let Ok(place) = Arc::clone(&sources.api.live.places).try_acquire_owned() else {
        let message = format!(
            "{LISTENERS_MAX} pages or programs listen already, which is as many as may; close one, or ask `GET /status` and `GET /events` now and then"
        );
        return Err(Refusal::unavailable(message, "too_many_listeners"));
    };
    let listener = Listener::new(&sources, stop, after, place);
    let frames = stream::unfold(listener, |mut listener| async move {
        let frame = listener.next().await?;
        Some((Ok::<_, Infallible>(frame), listener))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(frames)).into_response())
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let Some(sent) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let id = sent.to_str().ok().and_then(|id| id.parse().ok());
    id.map(Some)
        .ok_or_else(|| Refusal::bad_param("last-event-id", "`Last-Event-ID` must be an event's id"))
}

/// Waits for the listener to stop accepting.
async fn stopped(stop: &mut watch::Receiver<Stop>) {
    // An error means that the sender is gone, which is the end as well.
    let _ = stop.wait_for(|stop| *stop != Stop::No).await;
}

/// One who listens.
struct Listener {
    pictures: watch::Receiver<Option<Arc<Picture>>>,
    newest: watch::Receiver<u64>,
    events: Arc<dyn EventQueries>,
    stop: watch::Receiver<Stop>,
    heartbeat: Interval,
    ends: Instant,
    /// The id of the last event that was sent, or that is not to be.
    seen: u64,
    /// The configuration that was shown last.
    generation: Option<u64>,
    /// What is to be sent next: a page of events at most.
    ready: VecDeque<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    fn new(
        sources: &Arc<Sources>,
        stop: watch::Receiver<Stop>,
        after: Option<u64>,
        place: OwnedSemaphorePermit,
    ) -> Self {
        let newest = sources.api.events.newest();
        let last = *newest.borrow();
        Self {
            pictures: sources.api.live.join(sources),
            newest,
            events: Arc::clone(&sources.api.events),
            stop,
            heartbeat: every(HEARTBEAT),
            ends: Instant::now() + LISTEN_MAX,
            // An id that is yet to come is of another store.
            seen: after.unwrap_or(last).clamp(last.saturating_sub(RESUMED_MAX), last),
            generation: None,
            ready: VecDeque::new(),
            _place: place,
        }
    }

    /// The next bytes; none where the stream ends.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            if *self.newest.borrow_and_update() > self.seen {
                self.read_events().await?;
                continue;
            }
            tokio::select! {
                () = stopped(&mut self.stop) => return None,
                // Not a wait for something: the hour that a stream may last is over.
                () = tokio::time::sleep_until(self.ends) => return None,
                changed = self.newest.changed() => changed.ok()?,
                changed = self.pictures.changed() => {
                    changed.ok()?;
                    self.look();
                }
                _ = self.heartbeat.tick() => self.ready.push_back(Bytes::from_static(b":\n\n")),
            }
        }
    }

    /// Takes the events that follow. Where they cannot be read the stream ends: whoever comes back misses none.
    async fn read_events(&mut self) -> Option<()> {
        let newest = *self.newest.borrow();
        let events: Vec<Event> = self.events.events_after(self.seen, PAGE).await.ok()?;
        // What is not kept any more is not waited for.
        self.seen = events.last().map_or(newest, |event| event.id);
        let frames = events.iter().map(|event| frame("event", Some(event.id), event));
        self.ready.extend(frames);
        Some(())
    }

    /// Takes the picture that is there.
    fn look(&mut self) {
        let picture = self.pictures.borrow_and_update().clone();
        let Some(picture) = picture else { return };
        if self
            .generation
            .is_some_and(|generation| generation != picture.generation)
        {
            self.ready.push_back(picture.config.clone());
        }
        self.generation = Some(picture.generation);
        self.ready.push_back(picture.tick.clone());
    }
}
