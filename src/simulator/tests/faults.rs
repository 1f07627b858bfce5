//! Every fault as a client sees it on the wire.

use std::collections::BTreeMap;

use strum::VariantArray as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::simulator::faults::{Action, AppliesTo, Canned, Fault};
use crate::simulator::presets::Preset;

impl Bench {
    fn once(&self, action: Action) {
        self.control().add_fault(Fault::new(action).times(1)).unwrap();
    }
}

#[tokio::test]
async fn every_preset_has_its_status_and_then_the_service_is_back() {
    let bench = Bench::new().await;
    let mut by_status: BTreeMap<u16, u32> = BTreeMap::new();
    for preset in Preset::VARIANTS {
        bench.once(Action::Preset(*preset));
        let response = bench.ask("chat", &hello()).await;
        *by_status.entry(response.status().as_u16()).or_default() += 1;
        let html = header(&response, "content-type") == Some("text/html");
        let text = response.text().await.unwrap();
        assert_eq!(
            html,
            serde_json::from_str::<Value>(&text).is_err(),
            "{preset:?}: {text}"
        );
        assert_eq!(bench.ask("chat", &hello()).await.status(), 200, "after {preset:?}");
    }
    let expect = [400, 401, 403, 404, 408, 410, 423, 424, 429, 500, 502, 503, 504];
    assert_eq!(by_status.keys().copied().collect::<Vec<_>>(), expect);
}

#[tokio::test]
async fn a_response_can_be_given_word_for_word() {
    let bench = Bench::new().await;
    bench.once(Action::Respond(Canned {
        status: 429,
        body: Some(json!("plain words")),
        headers: [("retry-after".to_owned(), "86400".to_owned())].into(),
        delay_ms: 1,
        before_body: true,
    }));
    let response = bench.ask("chat", &hello()).await;
    assert_eq!(
        (response.status().as_u16(), header(&response, "retry-after")),
        (429, Some("86400"))
    );
    assert_eq!(response.text().await.unwrap(), "plain words");
}

#[tokio::test]
async fn an_answer_can_come_before_the_body() {
    let bench = Bench::new().await;
    bench.once(Action::Respond(Canned {
        status: 503,
        body: None,
        headers: BTreeMap::new(),
        delay_ms: 0,
        before_body: true,
    }));
    let mut socket = TcpStream::connect(bench.simulator.accounts()[0].address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\napi-key: key\r\ncontent-length: 1000000\r\n\r\n",
        classic("chat")
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut first))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&first, b"HTTP/1.1 503");
}

#[tokio::test]
async fn a_body_above_the_bound_is_refused_unread() {
    let bench = Bench::new().await;
    let mut socket = TcpStream::connect(bench.simulator.accounts()[0].address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\napi-key: key\r\ncontent-length: 99999999\r\n\r\n",
        classic("chat")
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    tokio::time::timeout(PATIENCE, socket.read_exact(&mut first))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&first, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let bench = Bench::new().await;
    bench.once(Action::Reset);
    let mut socket = TcpStream::connect(bench.simulator.accounts()[0].address).await.unwrap();
    let body = hello().to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: x\r\napi-key: key\r\ncontent-length: {}\r\n\r\n",
        classic("chat"),
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(body.as_bytes()).await.unwrap();
    let mut rest = Vec::new();
    let error = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(rest.is_empty());
    assert_eq!(bench.ended().await.outcome.ending, Ending::Faulted);
}

#[tokio::test]
async fn a_cut_stream_breaks_after_its_events() {
    let bench = Bench::new().await;
    bench.once(Action::Cut { after_chunks: 3 });
    let mut response = bench.ask("chat", &streamed()).await;
    let mut text = Vec::new();
    let error = loop {
        match response.chunk().await {
            Ok(Some(bytes)) => text.extend_from_slice(&bytes),
            Ok(None) => panic!("the stream ended properly"),
            Err(error) => break error,
        }
    };
    assert!(!error.is_timeout(), "{error:?}");
    assert_eq!(String::from_utf8(text).unwrap().matches("data: ").count(), 3);
    let outcome = bench.ended().await.outcome;
    assert_eq!((outcome.ending, outcome.events_sent), (Ending::Faulted, 3));
}

#[tokio::test]
async fn a_stream_can_carry_an_error_or_lack_its_marker() {
    let bench = Bench::new().await;
    for after_chunks in [0, 1, 5] {
        bench.once(Action::StreamError { after_chunks });
        let response = bench.ask("chat", &streamed()).await;
        assert_eq!(response.status(), 200);
        let text = response.text().await.unwrap();
        let events: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(events.len(), after_chunks as usize + 1);
        assert!(events.last().unwrap().starts_with(r#"data: {"error":"#));
    }
    bench.once(Action::OmitDone);
    let text = bench.ask("chat", &streamed()).await.text().await.unwrap();
    assert!(text.contains(r#""finish_reason":"stop""#) && !text.contains("[DONE]"));
}

#[tokio::test]
async fn whole_answers_can_be_cut_or_short() {
    let bench = Bench::new().await;
    for action in [Action::ShortBody { missing_bytes: 10 }, Action::Cut { after_chunks: 0 }] {
        bench.once(action.clone());
        let response = bench.ask("chat", &hello()).await;
        assert_eq!(response.status(), 200);
        let error = response.bytes().await.unwrap_err();
        assert!(!error.is_timeout(), "{action:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_hang_lasts_until_the_client_leaves() {
    let bench = Bench::new().await;
    bench.once(Action::Hang);
    let request = bench
        .post(&classic("chat"), &streamed())
        .timeout(Duration::from_millis(200));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(bench.ended().await.outcome.ending, Ending::Faulted);
}

#[tokio::test]
async fn a_stalled_stream_sends_its_events_and_then_nothing() {
    let bench = Bench::new().await;
    bench.once(Action::Stall { after_chunks: 2 });
    let mut response = bench.ask("chat", &streamed()).await;
    let mut text = String::new();
    while text.matches("\n\n").count() < 2 {
        text += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
    }
    let more = tokio::time::timeout(Duration::from_millis(100), response.chunk()).await;
    assert!(more.is_err(), "{more:?}");
    drop(response);
    let outcome = bench.ended().await.outcome;
    assert_eq!((outcome.ending, outcome.events_sent), (Ending::Faulted, 2));
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed() {
    let yaml = SCENARIO.replace("time_scale: 0", "time_scale: 1, decode_tokens_per_s: 0.5");
    let bench = Bench::of(&yaml).await;
    let mut response = bench.ask("chat", &streamed()).await;
    response.chunk().await.unwrap().unwrap();
    assert_eq!(
        bench.control().state().deployment("north", "chat").unwrap().in_flight,
        1
    );
    drop(response);
    assert_eq!(bench.ended().await.outcome.ending, Ending::Cancelled);
    let state = bench.control().state();
    let status = state.deployment("north", "chat").unwrap();
    assert_eq!((status.in_flight, status.counts.cancelled), (0, 1));
}

#[tokio::test]
async fn faults_are_added_listed_and_removed_over_http() {
    let bench = Bench::new().await;
    let url = format!("{}/control/faults", bench.simulator.control_url());
    let fault = json!({"deployment": "chat", "applies_to": "streams", "action": {"preset": "unavailable"}});
    let created = bench.client.post(&url).json(&fault).send().await.unwrap();
    assert_eq!(created.status(), 201);
    let id = created.json::<Value>().await.unwrap()["id"].as_u64().unwrap();
    assert_eq!(bench.ask("chat", &hello()).await.status(), 200);
    assert_eq!(bench.ask("old", &streamed()).await.status(), 200);
    assert_eq!(bench.ask("chat", &streamed()).await.status(), 503);
    let listed: Value = bench.client.get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!((&listed[0]["id"], &listed[0]["met"]), (&json!(id), &json!(1)));
    let one = format!("{url}/{id}");
    assert_eq!(bench.client.delete(&one).send().await.unwrap().status(), 204);
    assert_eq!(bench.client.delete(&one).send().await.unwrap().status(), 404);
    assert_eq!(bench.ask("chat", &streamed()).await.status(), 200);
    let wrong = bench
        .client
        .post(&url)
        .json(&json!({"account": "nowhere", "action": "reset"}));
    assert_eq!(wrong.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_limit_reduction_shows_in_the_headers() {
    let bench = Bench::new().await;
    bench
        .control()
        .add_fault(Fault::new(Action::ReduceLimit { ratio: 0.5 }).on_deployment("chat"))
        .unwrap();
    let response = bench.ask("chat", &hello()).await;
    assert_eq!(header(&response, "x-ratelimit-limit-tokens"), Some("500000"));
}

#[tokio::test]
async fn delays_and_drips_take_their_time() {
    let bench = Bench::new().await;
    let before = tokio::time::Instant::now();
    bench.once(Action::Delay { ms: 70 });
    assert_eq!(bench.ask("chat", &hello()).await.status(), 200);
    assert!(before.elapsed() >= Duration::from_millis(70));
    let before = tokio::time::Instant::now();
    bench.once(Action::SlowDrip { ms: 4 });
    let fault = Fault {
        applies_to: AppliesTo::WholeAnswers,
        ..Fault::new(Action::Reset)
    };
    bench.control().add_fault(fault).unwrap();
    bench.ask("chat", &streamed()).await.text().await.unwrap();
    // Prompt annotations, role, 20 words, finish, marker.
    assert!(before.elapsed() >= Duration::from_millis(24 * 4));
}
