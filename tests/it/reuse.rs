//! Upstream connections and their next request: which may be used again, and what a stale one costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::harness::{Setup, WHOLE, World};
use crate::wire::{Scripted, Step};

#[tokio::test(flavor = "multi_thread")]
async fn a_pooled_connection_that_was_closed_meanwhile_costs_nothing() {
    let told = Arc::new(Notify::new());
    let for_script = Arc::clone(&told);
    let upstream = Scripted::start(move |number| {
        let body = r#"{"choices":[]}"#;
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{body}");
        let mut steps = vec![Step::Send(answer.into_bytes())];
        if number == 0 {
            steps.extend([Step::Wait(Arc::clone(&for_script)), Step::Reset]);
        }
        steps
    })
    .await;
    let world = World::start(Setup {
        scripted: vec![("a", upstream.address)],
        ..Setup::default()
    })
    .await;
    assert_eq!(world.ask(WHOLE).await.status, 200);
    told.notify_one();
    let again = world.ask(WHOLE).await;
    assert_eq!((again.status.as_u16(), again.header("x-emberway-attempts")), (200, "1"));
    assert_eq!(upstream.seen(), 2);
}

/// Answers on the first connection when a part of the request has come, and from then on only listens; on others it answers
/// properly.
async fn answer_early(mut stream: TcpStream, number: usize) -> std::io::Result<()> {
    let mut received = Vec::new();
    let enough = if number == 0 { 300_000 } else { 1 };
    while received.len() < enough {
        stream.read_buf(&mut received).await?;
    }
    let (status, body) = if number == 0 {
        ("400 Bad Request", r#"{"error":{"code":"early"}}"#)
    } else {
        ("200 OK", r#"{"choices":[]}"#)
    };
    let length = body.len();
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await?;
    while stream.read_buf(&mut received).await? > 0 {
        received.clear();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_half_a_request_was_sent_gets_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    let upstream = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_early(stream, count.fetch_add(1, Ordering::AcqRel)));
        }
    });
    let world = World::start(Setup {
        scripted: vec![("a", address)],
        ..Setup::default()
    })
    .await;
    let long = WHOLE.replace("parcel", &"parcel ".repeat(2_000_000));
    let early = world.ask(long).await;
    assert_eq!((early.status.as_u16(), early.code().as_str()), (400, "early"));
    let next = world.ask(WHOLE).await;
    assert_eq!((next.status.as_u16(), next.header("x-emberway-attempts")), (200, "1"));
    assert_eq!(connections.load(Ordering::Acquire), 2);
    upstream.abort();
}
