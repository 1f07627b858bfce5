//! The stream, over a journal and a state that the test moves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::BodyDataStream;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::admin::api::live::LISTENERS_MAX;
use crate::admin::history::{EventQueries, EventsAsked, HistoryError};
use crate::admin::testing::{send, sources, status};
use crate::admin::{Sources, Stop, serve};
use crate::telemetry::journal::{Event, EventKind, Severity};

/// Events whose ids are their places from 1.
struct Notes {
    newest: watch::Sender<u64>,
    read: Mutex<Vec<u64>>,
}

fn event(id: u64) -> Event {
    Event {
        id,
        at_ms: 0,
        severity: Severity::Info,
        kind: EventKind::Process,
        subject: None,
        text: format!("event {id}\nof two lines"),
        advice: None,
    }
}

#[async_trait]
impl EventQueries for Notes {
    async fn events(&self, _: &EventsAsked) -> Result<Vec<Event>, HistoryError> {
        panic!("nobody asks for it")
    }

    async fn events_after(&self, id: u64, most: usize) -> Result<Vec<Event>, HistoryError> {
        self.read.lock().push(id);
        let newest = *self.newest.borrow();
        if newest == 666 {
            return Err(HistoryError::Busy);
        }
        Ok((id + 1..=newest).take(most).map(event).collect())
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
}

/// A gateway that counts how often its status is asked for.
struct World {
    sources: Arc<Sources>,
    notes: Arc<Notes>,
    asked: Arc<AtomicU64>,
    generation: Arc<AtomicU64>,
    stop: watch::Sender<Stop>,
}

fn world(newest: u64) -> World {
    let (asked, generation) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let notes = Arc::new(Notes {
        newest: watch::Sender::new(newest),
        read: Mutex::default(),
    });
    let mut sources = sources();
    sources.api.events = Arc::clone(&notes) as Arc<dyn EventQueries>;
    let (counted, generations) = (Arc::clone(&asked), Arc::clone(&generation));
    sources.status = Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        status(generations.load(Ordering::Relaxed))
    });
    World {
        sources: Arc::new(sources),
        notes,
        asked,
        generation,
        stop: watch::Sender::new(Stop::No),
    }
}

impl World {
    async fn answer(&self, path: &str) -> Response {
        send(&self.sources, self.stop.subscribe(), ("GET", path), "").await
    }

    async fn listen(&self, query: &str) -> Frames {
        let response = self.answer(&format!("/api/v1/live{query}")).await;
        assert_eq!(response.status(), StatusCode::OK);
        Frames(response.into_body().into_data_stream())
    }
}

struct Frames(BodyDataStream);

impl Frames {
    /// The next frame that is no heartbeat, by its fields.
    async fn next(&mut self) -> Option<BTreeMap<String, String>> {
        loop {
            let bytes = self.0.next().await?.expect("in order");
            let text = String::from_utf8(bytes.to_vec()).expect("text");
            assert!(text.ends_with("\n\n"), "{text:?}");
            if text != ":\n\n" {
                let fields = text
                    .trim_end()
                    .lines()
                    .map(|line| line.split_once(": ").expect("a field"));
                return Some(
                    fields
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                );
            }
        }
    }

    async fn next_of(&mut self, wanted: &str) -> BTreeMap<String, String> {
        loop {
            let frame = self.next().await.expect("it goes on");
            if frame["event"] == wanted {
                return frame;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pictures_are_made_once_for_all_and_only_while_somebody_listens() {
    let world = world(0);
    let (mut one, mut two) = (world.listen("").await, world.listen("").await);
    for made in 1..=3 {
        let (first, second) = (one.next_of("tick").await, two.next_of("tick").await);
        assert_eq!(first, second);
        let data: Value = serde_json::from_str(&first["data"]).expect("JSON");
        assert_eq!(data["status"]["requests_running"], 3, "{data}");
        assert_eq!(world.asked.load(Ordering::Relaxed), made);
    }
    drop((one, two));
    // The clock is paused, so these minutes pass at once, and every look that were due in them would be made.
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(world.asked.load(Ordering::Relaxed), 3, "nobody looks");
    world.listen("").await.next_of("tick").await;
    assert_eq!(world.asked.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn another_configuration_is_told_beside_its_picture() {
    let world = world(0);
    let mut frames = world.listen("").await;
    frames.next_of("tick").await;
    world.generation.store(2, Ordering::Relaxed);
    let told = frames.next().await.expect("a frame");
    assert_eq!(
        (&*told["event"], &*told["data"]),
        ("config", r#"{"generation":2,"last_error":null}"#)
    );
    assert_eq!(frames.next().await.expect("a frame")["event"], "tick");
    assert_eq!(
        frames.next().await.expect("a frame")["event"],
        "tick",
        "it is told once"
    );
}

#[tokio::test(start_paused = true)]
async fn events_come_after_the_one_that_was_seen_each_once() {
    let world = world(450);
    let mut frames = world.listen("?after=10").await;
    for id in 11..=450 {
        let frame = frames.next_of("event").await;
        assert_eq!(frame["id"], id.to_string());
        let data: Event = serde_json::from_str(&frame["data"]).expect("JSON");
        assert_eq!(data, event(id));
    }
    world.notes.newest.send_replace(451);
    assert_eq!(frames.next_of("event").await["id"], "451");
    assert_eq!(*world.notes.read.lock(), [10, 210, 410, 450], "page by page");
    let mut new = world.listen("").await;
    world.notes.newest.send_replace(452);
    assert_eq!(
        new.next_of("event").await["id"],
        "452",
        "what was before is not asked for"
    );
    let mut ahead = world.listen("?after=9000").await;
    world.notes.newest.send_replace(453);
    assert_eq!(ahead.next_of("event").await["id"], "453", "an id of another store");
    world.notes.newest.send_replace(20_000);
    let mut behind = world.listen("?after=1").await;
    assert_eq!(
        behind.next_of("event").await["id"],
        "10001",
        "so far back and no farther"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_the_process_with_the_hour_and_where_events_cannot_be_read() {
    let world = world(1);
    let mut frames = world.listen("").await;
    world.notes.newest.send_replace(666);
    while frames.next().await.is_some() {}
    world.notes.newest.send_replace(667);
    let mut hour = world.listen("").await;
    let began = tokio::time::Instant::now();
    while hour.next().await.is_some() {}
    assert_eq!(began.elapsed().as_secs() / 60, 60);
    let mut last = world.listen("").await;
    world.stop.send_replace(Stop::Accepting);
    while last.next().await.is_some() {}
    assert_eq!(
        world.answer("/api/v1/live").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test(start_paused = true)]
async fn places_are_bounded_and_given_back() {
    let world = world(1);
    let mut all = Vec::new();
    for _ in 0..LISTENERS_MAX {
        all.push(world.listen("").await);
    }
    assert_eq!(
        world.answer("/api/v1/live").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    all.pop();
    world.listen("").await;
    for wrong in ["?after=-1", "?after=9007199254740992"] {
        let answer = world.answer(&format!("/api/v1/live{wrong}")).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
}

/// Whoever does not read keeps a place for as long as the kernel takes what is sent, and a while: then the next one gets it.
#[tokio::test(start_paused = true)]
async fn a_listener_that_does_not_read_loses_its_place() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut world = world(1);
    let sources = Arc::get_mut(&mut world.sources).expect("nobody else has it");
    let long = "x".repeat(1 << 20);
    sources.status = Box::new(move || {
        let mut status = status(1);
        status.config.last_error = Some(long.clone());
        status
    });
    tokio::spawn(serve(listener, Arc::clone(&world.sources), world.stop.subscribe()));
    let mut silent = TcpStream::connect(address).await.expect("a connection");
    let asked = b"GET /api/v1/live HTTP/1.1\r\nhost: localhost\r\n\r\n";
    silent.write_all(asked).await.expect("sent");
    silent.readable().await.expect("an answer has begun");
    let mut others = Vec::new();
    for _ in 1..LISTENERS_MAX {
        others.push(world.listen("").await);
    }
    assert_eq!(
        world.answer("/api/v1/live").await.status(),
        StatusCode::SERVICE_UNAVAILABLE
    );
    let began = tokio::time::Instant::now();
    while world.answer("/api/v1/live").await.status() != StatusCode::OK {
        // The clock is paused: a second of its time, in which pictures are made and sent.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(began.elapsed() < Duration::from_mins(30), "its place is kept");
    }
    assert!(began.elapsed() >= Duration::from_secs(30), "{:?}", began.elapsed());
}
