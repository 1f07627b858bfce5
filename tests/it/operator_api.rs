//! The API behind the operators' page, over a real gateway: state, figures, actions, and the stream that goes on where it broke.

use std::time::Duration;

use emberway::admin::api::live::LISTENERS_MAX;
use emberway::simulator::faults::Action;
use serde_json::{Value, json};

use crate::harness::{ADMIN_TOKEN, Answer, Setup, WHOLE, World, eventually, preset, read, respond, within};

/// Tokens and hours that cost something.
fn priced() -> Setup {
    Setup {
        deployment: "created_at: '2026-01-01T00:00:00Z', price: { input: 400, cached_input: 100, output: 1600, hour: 1.7 }",
        admin: "token: '${env:ADMIN_TOKEN}'",
        ..Setup::default()
    }
}

impl World {
    fn api(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.gateway.admin_address())
    }

    async fn api_get(&self, path: &str) -> Answer {
        self.admin(&format!("/api/v1/{path}")).await
    }

    async fn api_post(&self, path: &str, body: Value) -> Answer {
        let request = self.client.post(self.api(path)).bearer_auth(ADMIN_TOKEN);
        read(request.json(&body).send().await.expect("an answer")).await
    }

    async fn listen(&self, last_event_id: Option<u64>) -> Stream {
        let mut request = self.client.get(self.api("live")).bearer_auth(ADMIN_TOKEN);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Stream {
            response,
            text: String::new(),
        }
    }

    /// Has an event noted: a drain that is put back again, which makes two.
    async fn drain_and_undo(&self) {
        let began = self
            .api_post("drains", json!({ "kind": "deployment", "name": "b/ft" }))
            .await;
        assert_eq!(began.status, 200, "{began:?}");
        let undone = self.client.delete(self.api("drains?kind=deployment&name=b/ft"));
        let undone = read(undone.bearer_auth(ADMIN_TOKEN).send().await.expect("an answer")).await;
        assert_eq!(undone.json(), json!({ "drains": [] }));
    }
}

/// A stream of events as it is read.
struct Stream {
    response: reqwest::Response,
    text: String,
}

impl Stream {
    /// The next event that is no comment: name, id and data.
    async fn next(&mut self) -> Option<(String, Option<u64>, Value)> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::to_owned)
                };
                let Some(name) = field("event: ") else { continue };
                let data = serde_json::from_str(&field("data: ").expect("data")).expect("JSON");
                return Some((name, field("id: ").map(|id| id.parse().expect("a number")), data));
            }
            let chunk = within("the stream", self.response.chunk()).await.expect("in order")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }

    async fn next_of(&mut self, wanted: &str) -> (Option<u64>, Value) {
        loop {
            let (name, id, data) = self.next().await.expect("the stream goes on");
            if name == wanted {
                return (id, data);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_shows_in_fleet_routing_usage_and_costs() {
    let world = World::start(priced()).await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
    world.fault("a", preset("unavailable"));
    for _ in 0..4 {
        assert_eq!(world.ask(WHOLE).await.status, 200);
    }
    world.records_once(5).await;

    let fleet = world.api_get("fleet").await;
    assert_eq!(fleet.status, 200, "{fleet:?}");
    let fleet = fleet.json();
    let of = |name: &str| {
        let all = fleet["deployments"].as_array().expect("a list");
        all.iter().find(|one| one["name"] == name).expect("there").clone()
    };
    let (a, b) = (of("a/ft"), of("b/ft"));
    assert!(!a["last_failure"].is_null(), "{a}");
    assert_eq!((&a["resource"], &a["pools"]), (&json!("a"), &json!(["ft"])));
    assert_eq!((&a["tiers"]["ft"], &b["tiers"]["ft"]), (&json!(0), &json!(1)));
    assert_eq!(a["hosting_usd_per_hour"], 1.7);
    assert_eq!(a["actions"]["recreate"], false);
    assert!(
        a["actions"]["recreate_reason"]
            .as_str()
            .expect("a reason")
            .contains("`azure`"),
        "{a}"
    );
    assert_eq!(fleet["regions"].as_array().expect("a list").len(), 2);

    let routing = world.api_get("routing").await.json();
    assert_eq!(routing["routes"][0]["name"], "bot");
    assert_eq!(routing["pools"][0]["tiers"].as_array().map(Vec::len), Some(2));
    let explained = world
        .client
        .post(world.api("explain"))
        .bearer_auth(ADMIN_TOKEN)
        .body(WHOLE);
    let explained = read(explained.send().await.expect("an answer")).await;
    assert_eq!(explained.status, 200, "{explained:?}");
    assert_eq!(explained.json()["route"], "bot");

    let usage = world.api_get("usage?by=deployment").await.json();
    assert_eq!(usage["total"]["requests"], 5, "{usage}");
    assert!(usage["total"]["token_usd"].as_f64().expect("an amount") > 0.0);
    let sheet = world.api_get("usage?by=route&format=csv").await;
    assert!(
        sheet
            .header("content-disposition")
            .starts_with("attachment; filename=\"emberway-usage-")
    );
    let lines: Vec<String> = sheet.text().lines().map(str::to_owned).collect();
    assert!(
        lines[0].starts_with("route,requests,") && lines[1].starts_with("bot,5,"),
        "{lines:?}"
    );
    let costs = eventually("what is noted of deployments", || async {
        let costs = world.api_get("costs").await.json();
        (costs["rows"].as_array().map(Vec::len) == Some(4)).then_some(costs)
    })
    .await;
    assert_eq!(costs["total"]["requests"], 5, "{costs}");
    let cache = world.api_get("cache").await.json();
    assert_eq!(cache["requests"], 5, "{cache}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_an_operator_is_a_keepalive_and_making_again_is_refused_without_a_control_plane() {
    let world = World::start(priced()).await;
    world.fault_times(
        "b",
        1,
        respond(404, json!({ "error": { "message": "no such deployment" } }), &[]),
    );
    let called = world
        .api_post("deployments/ping", json!({ "deployment": "a/ft" }))
        .await;
    assert_eq!(called.status, 200, "{called:?}");
    let told = called.json();
    assert_eq!(
        (&told["outcome"], &told["status"]),
        (&json!("success"), &json!(200)),
        "{told}"
    );
    let records = world.records_once(1).await;
    assert_eq!((&*records[0].client, &*records[0].route), ("emberway", "keepalive"));
    let again = world
        .api_post("deployments/ping", json!({ "deployment": "a/ft" }))
        .await;
    assert_eq!((again.status.as_u16(), again.code()), (429, "ping_too_soon".to_owned()));
    let refused = world
        .api_post("deployments/ping", json!({ "deployment": "b/ft" }))
        .await
        .json();
    assert_eq!(
        (&refused["outcome"], &refused["status"]),
        (&json!("refused"), &json!(404)),
        "{refused}"
    );
    let unknown = world
        .api_post("deployments/ping", json!({ "deployment": "a/fr" }))
        .await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("did you mean `a/ft`?"), "{unknown:?}");

    let body = json!({ "deployment": "a/ft", "confirm": "a/ft" });
    let refused = world.api_post("deployments/recreate", body).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (409, "cannot_recreate".to_owned())
    );
    assert!(refused.text().contains("no control plane"), "{refused:?}");
    let audit = world.api_get("audit").await.json();
    let entries = audit["entries"].as_array().expect("a list");
    assert_eq!(entries[0]["text"], "make a/ft again", "{audit}");
    assert_eq!(entries[0]["result"], "409 cannot_recreate");
    assert_eq!(entries.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_broke_goes_on_with_nothing_lost_or_doubled() {
    let world = World::start(priced()).await;
    let mut first = world.listen(None).await;
    let (_, tick) = first.next_of("tick").await;
    assert_eq!(tick["status"]["ready"], true, "{tick}");
    assert_eq!(tick["deployments"].as_array().map(Vec::len), Some(4), "{tick}");
    world.drain_and_undo().await;
    let (id, event) = first.next_of("event").await;
    let seen = id.expect("an id");
    assert_eq!(
        (&event["id"], &event["kind"]),
        (&json!(seen), &json!("drain")),
        "{event}"
    );
    // The second event is on its way or not: whoever comes back says what it has.
    drop(first);
    world.drain_and_undo().await;
    let mut second = world.listen(Some(seen)).await;
    let mut ids = vec![seen];
    for _ in 0..3 {
        ids.push(second.next_of("event").await.0.expect("an id"));
    }
    let events = world.api_get("events?kind=drain").await.json();
    let mut stored: Vec<u64> = events["events"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| event["id"].as_u64().expect("an id"))
        .collect();
    stored.reverse();
    assert_eq!(ids, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_may_listen_and_the_end_of_the_process_ends_their_streams() {
    let world = World::start(priced()).await;
    let mut streams = Vec::new();
    for _ in 0..LISTENERS_MAX {
        streams.push(world.listen(None).await);
    }
    let refused = world.api_get("live").await;
    assert_eq!(
        (refused.status.as_u16(), refused.code()),
        (503, "too_many_listeners".to_owned())
    );
    drop(streams.pop());
    let mut last = eventually("a free place", || async {
        let request = world.client.get(world.api("live")).bearer_auth(ADMIN_TOKEN);
        let response = request.send().await.expect("an answer");
        (response.status() == 200).then_some(Stream {
            response,
            text: String::new(),
        })
    })
    .await;
    last.next_of("tick").await;
    let World { gateway, .. } = world;
    let ended = tokio::time::timeout(Duration::from_secs(10), gateway.drain()).await;
    ended.expect("open streams hold nothing up").expect("drained");
    while last.next().await.is_some() {}
}

#[tokio::test(flavor = "multi_thread")]
async fn history_tells_of_an_outage() {
    let world = World::start(priced()).await;
    world.fault_times("a", 2, Action::Delay { ms: 30 });
    for _ in 0..3 {
        assert_eq!(world.ask(WHOLE).await.status, 200);
    }
    let series = eventually("figures", || async {
        let series = world.api_get("series?by=deployment&points=60").await;
        assert_eq!(series.status, 200, "{series:?}");
        let series = series.json();
        let group = series["groups"]
            .as_array()?
            .iter()
            .find(|group| group["key"] == "a/ft")?
            .clone();
        (group["total"]["requests"] == 3).then_some((series, group))
    })
    .await;
    let (series, group) = series;
    let points = group["points"]["requests"].as_array().expect("a list");
    assert_eq!(points.len(), series["starts_ms"].as_array().expect("a list").len());
    assert_eq!(points.iter().filter_map(Value::as_u64).sum::<u64>(), 3);
    for path in ["summary", "heatmap?of=total", "flows", "requests/slowest?of=total"] {
        let answer = world.api_get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let fleet = world.api_get("fleet").await.json();
    let a = &fleet["deployments"][0];
    assert_eq!(
        (&a["name"], &a["recent"]["requests"]),
        (&json!("a/ft"), &json!(3)),
        "{a}"
    );
}
