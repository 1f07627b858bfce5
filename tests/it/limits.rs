//! What a client may send, and how it learns that it sent too much, too slowly, or at a bad moment.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{KEY, Setup, V1, WHOLE, World, client, eventually, read, within};
use crate::wire::{Wire, head, request};

const LIMIT: usize = 64 * 1024;

fn limited() -> Setup {
    Setup {
        limits: "body_size: 64KiB, held_bodies: 96KiB",
        simulated: "capacity: 1000, context_tokens: 100000000",
        ..Setup::default()
    }
}

/// Reads one answer of known length.
async fn read_answer(wire: &mut Wire) -> (String, Value) {
    let head = wire.read_until("\r\n\r\n").await;
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .expect("a length");
    let body = wire.read_bytes(length).await;
    (head, serde_json::from_slice(&body).expect("JSON"))
}

fn body_of(size: usize) -> String {
    let filling = size - WHOLE.len();
    WHOLE.replace("parcel", &("parcel".to_owned() + &"l".repeat(filling)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_the_limit_passes_and_one_byte_more_does_not() {
    let world = World::start(limited()).await;
    assert_eq!(world.ask(body_of(LIMIT)).await.status, 200);
    let h2 = client(reqwest::ClientBuilder::http2_prior_knowledge);
    let url = format!("http://{}{V1}", world.address());
    for over in [LIMIT + 1, 3 * 1024 * 1024] {
        let body = body_of(over);
        // A client that does not wait: it writes all, then reads.
        for framing in [
            format!("content-length: {over}"),
            "transfer-encoding: chunked".to_owned(),
        ] {
            let mut wire = Wire::connect(world.address()).await;
            wire.send(head(KEY, &framing)).await;
            if framing.starts_with("content") {
                wire.send(&body).await;
            } else {
                wire.send(format!("{over:x}\r\n{body}\r\n0\r\n\r\n")).await;
            }
            let (head, error) = read_answer(&mut wire).await;
            assert!(head.starts_with("HTTP/1.1 413 "), "{framing}: {head}");
            assert_eq!(error["error"]["code"], "request_too_large", "{framing}");
            assert!(head.to_ascii_lowercase().contains("x-should-retry: false"), "{head}");
            let (_, in_order) = wire.read_to_end().await;
            assert!(in_order, "{framing}: the connection was reset under the answer");
        }
        let asked = h2
            .post(&url)
            .header("api-key", KEY)
            .body(body)
            .send()
            .await
            .expect("an answer");
        let answer = read(asked).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (413, "request_too_large")
        );
    }
    assert_eq!(world.requests().len(), 1);
    assert_eq!(world.metric("emberway_held_body_bytes").await, Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_leave_gets_it_at_once_and_keeps_its_connection() {
    let world = World::start(limited()).await;
    let mut wire = Wire::connect(world.address()).await;
    for _ in 0..2 {
        wire.send(head(
            KEY,
            &format!("expect: 100-continue\r\ncontent-length: {}", WHOLE.len()),
        ))
        .await;
        assert_eq!(wire.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
        wire.send(WHOLE).await;
        let (head, answer) = read_answer(&mut wire).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(answer["object"], "chat.completion");
    }
    // One that may not send hears that instead.
    wire.send(head(KEY, "expect: 100-continue\r\ncontent-length: 100000"))
        .await;
    let (head, _) = read_answer(&mut wire).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    wire.read_to_end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_is_given_up() {
    let world = World::start(Setup {
        limits: "body_time: 300ms",
        ..Setup::default()
    })
    .await;
    for framing in ["content-length: 1000", "transfer-encoding: chunked"] {
        let mut wire = Wire::connect(world.address()).await;
        wire.send(head(KEY, framing)).await;
        wire.send("5\r\n{\"mod").await;
        let (head, error) = read_answer(&mut wire).await;
        assert!(head.starts_with("HTTP/1.1 408 "), "{framing}: {head}");
        assert_eq!(error["error"]["code"], "request_timeout");
    }
    assert_eq!(world.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_no_http_is_refused_in_json_and_ends_the_connection() {
    let world = World::start(limited()).await;
    for head in [
        "this is no HTTP/1.1 request at all\r\n\r\n".to_owned(),
        format!("GET /v1/models HTTP/1.1\r\n{}\r\n", "x-much: 1\r\n".repeat(300)),
    ] {
        let mut wire = Wire::connect(world.address()).await;
        wire.send(head).await;
        let (answer, _) = wire.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.contains("\"code\":\"invalid_head\""), "{answer}");
        assert!(answer.contains("x-request-id: "), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_find_no_room_are_refused_and_told_to_come_back() {
    let world = World::start(limited()).await;
    let body = body_of(60 * 1024);
    let mut first = Wire::connect(world.address()).await;
    first.send(head(KEY, &format!("content-length: {}", body.len()))).await;
    first.send(&body[..1000]).await;
    eventually("a held body", || async {
        (world.metric("emberway_held_body_bytes").await == Some(body.len() as f64)).then_some(())
    })
    .await;
    let refused = world.ask(body.clone()).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (503, "gateway_busy")
    );
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(world.ask(WHOLE).await.status, 200, "a small one finds room");
    first.send(&body[1000..]).await;
    let (head, _) = read_answer(&mut first).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(world.ask(body.clone()).await.status, 200, "room was given back");

    // And so it is when the client leaves in the middle.
    let mut leaves = Wire::connect(world.address()).await;
    leaves.send(head_of(&body)).await;
    leaves.send(&body[..1000]).await;
    eventually("a held body", || async {
        (world.metric("emberway_held_body_bytes").await == Some(body.len() as f64)).then_some(())
    })
    .await;
    drop(leaves);
    eventually("room", || async {
        (world.metric("emberway_held_body_bytes").await == Some(0.0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_whose_chunks_make_no_sense_is_refused_and_ends_the_connection() {
    let world = World::start(limited()).await;
    for body in [
        "zz\r\n{}\r\n0\r\n\r\n".to_owned(),
        "5\r\n{\"mod\r\nnonsense\r\n".to_owned(),
        format!("5;{}", "x".repeat(20_000)),
        format!("0\r\n{}", "x".repeat(70_000)),
    ] {
        let mut wire = Wire::connect(world.address()).await;
        wire.send(head(KEY, "transfer-encoding: chunked") + &body).await;
        let (answer, error) = read_answer(&mut wire).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{body:.20}: {answer}");
        assert_eq!(error["error"]["code"], "invalid_body", "{body:.20}");
        let (rest, _) = wire.read_to_end().await;
        assert_eq!(rest, "", "{body:.20}");
    }
    assert_eq!(world.requests().len(), 0);
    assert_eq!(world.metric("emberway_held_body_bytes").await, Some(0.0));
    assert_eq!(
        world
            .metric("emberway_gateway_refusals_total{reason=\"invalid_body\"}")
            .await,
        Some(4.0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_a_coding_that_would_not_be_undone_is_refused() {
    let world = World::start(limited()).await;
    let chunks = format!("{:x}\r\n{WHOLE}\r\n0\r\n\r\n", WHOLE.len());
    for (coding, status) in [
        ("chunked", "200"),
        (" Chunked ", "200"),
        ("gzip, chunked", "400"),
        ("identity, chunked", "400"),
        ("identity\r\ntransfer-encoding: chunked", "400"),
    ] {
        let mut wire = Wire::connect(world.address()).await;
        wire.send(head(KEY, &format!("transfer-encoding: {coding}")) + &chunks)
            .await;
        let (answer, _) = read_answer(&mut wire).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{coding}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_trickles_in_is_given_up() {
    for (h2c, begun) in [
        (true, "P"),
        (true, "POST /v1/chat/completions HTTP/1.1\r\nx: "),
        (false, ""),
        (false, "POST"),
    ] {
        let world = World::start(Setup {
            limits: "head_time: 300ms",
            listener: format!("h2c: {h2c}"),
            ..Setup::default()
        })
        .await;
        let mut wire = Wire::connect(world.address()).await;
        let sending = async {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            let mut next = begun;
            // Ends when the gateway has closed the connection.
            while !next.is_empty() && wire.try_send(next).await.is_ok() {
                pace.tick().await;
                next = "x";
            }
        };
        within("the end of the connection", sending).await;
        let (answer, _) = wire.read_to_end().await;
        assert_eq!(answer, "", "{begun}");
        assert_eq!(world.ask(WHOLE).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_are_closed_at_once() {
    let world = World::start(Setup {
        limits: "connections: 2",
        ..Setup::default()
    })
    .await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut wire = Wire::connect(world.address()).await;
        wire.send(request(KEY, WHOLE)).await;
        read_answer(&mut wire).await;
        open.push(wire);
    }
    let mut over = Wire::connect(world.address()).await;
    assert_eq!(over.read_to_end().await.0, "");
    assert_eq!(world.metric("emberway_client_connections").await, Some(2.0));
    assert_eq!(
        world.metric("emberway_client_connections_refused_total").await,
        Some(1.0)
    );
    // Those that are open go on, and one that ends makes room.
    open[0].send(request(KEY, WHOLE)).await;
    let (head, _) = read_answer(&mut open[0]).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    open.pop();
    eventually("room", || async {
        (world.metric("emberway_client_connections").await == Some(1.0)).then_some(())
    })
    .await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
}

fn head_of(body: &str) -> String {
    head(KEY, &format!("content-length: {}", body.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends_is_not_read_for_ever() {
    let world = World::start(Setup::default()).await;
    let mut wire = Wire::connect(world.address()).await;
    wire.send("POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n")
        .await;
    let header = format!("x-filling: {}\r\n", "f".repeat(4_000));
    let sending = async {
        // Ends when the gateway has closed the connection.
        while wire.try_send(&header).await.is_ok() {}
    };
    within("the end of the connection", sending).await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
}
