//! Responses: the rules of chats in another language, and where a response can be continued.

use std::collections::HashSet;
use std::sync::Arc;

use emberway::simulator::faults::Action;
use emberway::simulator::record::RequestRecord;
use http::HeaderMap;
use serde_json::{Value, json};

use crate::harness::{Answer, KEY, OTHER_KEY, Setup, World, preset, read, respond, within};
use crate::wire::{STREAM_HEAD, Scripted, Step, chunk};

mod pins;

/// Where clients ask, in the v1 family.
const PATH: &str = "/openai/v1/responses";
/// A question that is answered whole.
const ASKED: &str = r#"{"model":"bot","input":"Where is my parcel?"}"#;
/// The same as a stream.
const STREAMED: &str = r#"{"model":"bot","stream":true,"input":"Where is my parcel?"}"#;

/// A stream with oddities that must survive.
const ODD: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_odd\",\"status\":\"in_progress\",\"x\":1.50e+3}}\n\n",
    ": keep-alive\n\n",
    "event: response.output_text.delta\r\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"data: [DONE]\\n\\n \\\"usage\\\":{\"}\r\n\r\n",
    "event: response.of_tomorrow\ndata: {\"type\":\"response.of_tomorrow\",\"sequence_number\":2}\n\n",
    "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":3,\"response\":{\"id\":\"resp_odd\",\"usage\":{\"input_tokens\":2000,\"input_tokens_details\":{\"cached_tokens\":1024},\"output_tokens\":5,\"output_tokens_details\":{\"reasoning_tokens\":4},\"total_tokens\":2005}}}\n\n",
);

impl World {
    /// Asks for a response.
    async fn respond(&self, body: impl Into<reqwest::Body>) -> Answer {
        read(self.post(PATH, body).send().await.expect("an answer")).await
    }
}

/// The data of a stream's events.
fn events(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

/// A script that sends these pieces as a stream, and then ends it in order or by closing.
fn stream<'a>(pieces: impl IntoIterator<Item = &'a str>, is_whole: bool) -> Vec<Step> {
    let mut steps = vec![Step::Send(STREAM_HEAD.into())];
    steps.extend(pieces.into_iter().map(|piece| Step::Send(chunk(piece))));
    steps.push(if is_whole {
        Step::Send(b"0\r\n\r\n".to_vec())
    } else {
        Step::Close
    });
    steps
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_form_is_served_and_the_deployment_is_named_in_the_body() {
    for resource in ["", "api: v1"] {
        let world = World::start(Setup {
            resource,
            ..Setup::default()
        })
        .await;
        for path in [
            PATH,
            "/v1/responses",
            "/openai/responses?api-version=2025-04-01-preview",
        ] {
            for body in [ASKED, STREAMED] {
                let answer = read(world.post(path, body).send().await.expect("an answer")).await;
                assert_eq!(answer.status, 200, "{path}: {answer:?}");
                assert_eq!(answer.header("x-emberway-deployment"), "a/ft");
                let sent = world.requests().pop().expect("a request");
                assert_eq!(sent.path, PATH, "{path} {resource}");
                let expect = body.replace("\"bot\"", "\"ft\"");
                assert_eq!(sent.body.as_deref(), Some(expect.as_str()), "nothing else is changed");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_passed_on_byte_for_byte_and_its_usage_is_known() {
    let upstream = Scripted::start(|_| stream([ODD], true)).await;
    let world = World::start(Setup {
        scripted: vec![("a", upstream.address)],
        ..Setup::default()
    })
    .await;
    let answer = world.respond(STREAMED).await;
    assert_eq!(answer.text(), ODD);
    let row = world.record(&answer.headers).await;
    assert_eq!((row.outcome.as_str(), row.source.as_str()), ("success", "reported"));
    assert_eq!(
        (row.prompt_tokens, row.cached_tokens, row.completion_tokens),
        (2000, 1024, 5)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_hold_what_the_response_reports() {
    let world = World::start(Setup::default()).await;
    let long = "word ".repeat(2_000);
    for (body, is_cached) in [(ASKED, false), (STREAMED, true)] {
        let mut body: Value = serde_json::from_str(body).expect("JSON");
        body["instructions"] = long.as_str().into();
        let answer = world.respond(body.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let usage = if body["stream"] == true {
            events(&answer).pop().expect("a last event")["response"]["usage"].clone()
        } else {
            answer.json()["usage"].clone()
        };
        let row = world.record(&answer.headers).await;
        assert_eq!(usage["input_tokens"], row.prompt_tokens);
        assert_eq!(usage["input_tokens_details"]["cached_tokens"], row.cached_tokens);
        assert_eq!(usage["output_tokens"], row.completion_tokens);
        assert_eq!(
            (row.source.as_str(), row.cached_tokens > 1_000),
            ("reported", is_cached)
        );
    }
    // The prompt that both begin with is known to be warm where it was sent.
    let mut third: Value = serde_json::from_str(ASKED).expect("JSON");
    third["instructions"] = long.into();
    third["input"] = json!([{"role": "user", "content": "And mine?"}]);
    assert_eq!(
        world.respond(third.to_string()).await.header("x-emberway-reason"),
        "warm"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_before_any_output_goes_elsewhere() {
    for (what, action) in [
        ("a server's error", preset("server_error")),
        ("an error event before output", Action::StreamError { after_chunks: 2 }),
        ("a break before output", Action::Cut { after_chunks: 4 }),
        ("throttling", preset("token_limit")),
    ] {
        let world = World::start(Setup::default()).await;
        world.fault("a", action);
        let answer = world.respond(STREAMED).await;
        assert_eq!(answer.status, 200, "{what}: {answer:?}");
        assert_eq!(answer.header("x-emberway-deployment"), "b/ft", "{what}");
        let last = events(&answer).pop().expect("a last event");
        assert_eq!(last["type"], "response.completed", "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_response_that_failed_goes_elsewhere_unless_the_request_is_at_fault() {
    for (code, deployment) in [("server_error", "b/ft"), ("invalid_image_url", "a/ft")] {
        let world = World::start(Setup::default()).await;
        let error = json!({"code": code, "message": "m"});
        let failed = json!({"id": "resp_f", "object": "response", "status": "failed", "error": error, "output": []});
        world.fault("a", respond(200, failed, &[("content-type", "application/json")]));
        let answer = world.respond(ASKED).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-emberway-deployment")),
            (200, deployment),
            "{code}"
        );
        let health = world.deployment("a/ft").await;
        assert_eq!(health["breaker"], "closed", "{code}: {health}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_failed_before_output_goes_elsewhere() {
    const FAILED: &str = concat!(
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"r\"}}\n\n",
        "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":1,\"response\":{\"id\":\"r\",\"error\":{\"code\":\"server_error\",\"message\":\"m\"}}}\n\n",
    );
    let upstream = Scripted::start(|_| stream([FAILED], true)).await;
    let world = World::start(Setup {
        scripted: vec![("a", upstream.address)],
        ..Setup::default()
    })
    .await;
    let answer = world.respond(STREAMED).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-deployment")),
        (200, "b/ft")
    );
    assert_eq!(upstream.seen(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_after_output_ends_with_an_error_event_of_this_api() {
    let cut = ODD.find("event: response.of_tomorrow").expect("there");
    let begun = &ODD[..cut];
    let world_of = async |pieces: Vec<String>| {
        let pieces = Arc::new(pieces);
        let upstream = Scripted::start(move |_| stream(pieces.iter().map(String::as_str), false)).await;
        let world = World::start(Setup {
            scripted: vec![("a", upstream.address)],
            ..Setup::default()
        })
        .await;
        (upstream, world)
    };
    for inside in ["", "event: response.of"] {
        let (_upstream, world) = world_of(vec![begun.to_owned(), inside.to_owned()]).await;
        let answer = world.respond(STREAMED).await;
        let text = answer.text();
        let rest = text
            .strip_prefix(begun)
            .expect("what has come")
            .strip_prefix(inside)
            .expect("all of it");
        let (field, data) = rest.trim_start().split_once('\n').expect("an event");
        assert_eq!(field, "event: error");
        let error: Value = serde_json::from_str(data.trim_end().strip_prefix("data: ").expect("data")).expect("JSON");
        // A half event has no number, and the one that came last has 1.
        assert_eq!(
            (
                &error["type"],
                &error["code"],
                &error["param"],
                &error["sequence_number"]
            ),
            (&json!("error"), &json!("stream_broken"), &Value::Null, &json!(2)),
            "{inside:?}"
        );
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| message.contains("not the whole answer"))
        );
        let row = world.record(&answer.headers).await;
        assert_eq!((row.outcome.as_str(), row.source.as_str()), ("broken", "estimated"));
        assert!(row.prompt_tokens > 0 && row.completion_tokens > 0);
        assert_eq!(world.requests_to("b").len(), 0, "nothing is tried after output");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_response_and_a_call_are_whole_answers() {
    let world = World::start(Setup::default()).await;
    let body = json!({"model": "bot", "stream": true, "input": "x", "max_output_tokens": 2});
    let answer = world.respond(body.to_string()).await;
    assert_eq!(
        events(&answer).pop().expect("a last event")["type"],
        "response.incomplete"
    );
    let row = world.record(&answer.headers).await;
    assert_eq!((row.outcome.as_str(), row.completion_tokens), ("success", 2));
    let tools = json!([{"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}}]);
    let body = json!({"model": "bot", "stream": true, "input": "x", "tools": tools, "tool_choice": "required"});
    let answer = world.respond(body.to_string()).await;
    let output = &events(&answer).pop().expect("a last event")["response"]["output"][0];
    assert_eq!(
        (&output["type"], &output["name"]),
        (&json!("function_call"), &json!("find"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_before_the_answer_are_json_as_for_chats() {
    let world = World::start(Setup::default()).await;
    let refused = world.respond(r#"{"model":"nobody","input":"x"}"#).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (404, "model_not_found")
    );
    let filtered = world
        .respond(r#"{"model":"bot","input":"simulator:filter-hate"}"#)
        .await;
    assert_eq!(
        (filtered.status.as_u16(), filtered.code().as_str()),
        (400, "content_filter")
    );
    world.fault("a", preset("token_limit"));
    world.fault("b", preset("token_limit"));
    let throttled = world.respond(STREAMED).await;
    assert_eq!(throttled.status, 429);
    assert!(!throttled.header("retry-after").is_empty());
    // What names no response that exists says nothing of the deployment, whatever its status.
    let world = World::start(Setup::default()).await;
    let unknown = json!({"error": {"message": "Previous response with id 'resp_0' not found.", "code": null}});
    world.fault("a", respond(404, unknown, &[]));
    for _ in 0..2 {
        let answer = world.respond(ASKED).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-emberway-deployment")),
            (404, "a/ft")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_whose_times_are_known_is_given_up_before_any_output() {
    let world = World::start(Setup {
        failover: "first_token: { least: 300ms }",
        timeouts: "first_byte: 60s",
        ..Setup::default()
    })
    .await;
    for _ in 0..30 {
        assert_eq!(world.respond(STREAMED).await.header("x-emberway-deployment"), "a/ft");
    }
    // It says that the response has begun, and then nothing.
    world.fault_times("a", 1, Action::Stall { after_chunks: 2 });
    let answer = within("an answer", world.respond(STREAMED)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-emberway-deployment")),
        (200, "b/ft")
    );
    assert_eq!(answer.header("x-emberway-attempts"), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_head_is_given_keys() {
    let world = World::start(Setup {
        accounts: &["a"],
        deployment: "prompt_cache_key: always",
        ..Setup::default()
    })
    .await;
    let head = "You answer for a parcel service. ".repeat(200);
    for number in 0..40 {
        let opener = format!("Question {number}: {}", "where is it? ".repeat(200));
        let body = json!({"model": "bot", "instructions": head, "input": opener});
        assert_eq!(world.respond(body.to_string()).await.status, 200);
    }
    let key = |request: RequestRecord| {
        let body: Value = serde_json::from_str(&request.body.expect("a body")).expect("JSON");
        body["prompt_cache_key"].as_str().map(str::to_owned)
    };
    let keys: HashSet<_> = world.requests().into_iter().filter_map(key).collect();
    assert!(keys.len() > 1, "{keys:?}");
}
