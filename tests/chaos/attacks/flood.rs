//! Too much of everything over HTTP/1.1: headers, requests, bodies, connections.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{MEMORY_MB_MAX, Siege};
use crate::target::{Aim, Answered, HELD_BODIES_MB, head, question, read, request};
use crate::world::descriptors;

/// Idle connections that are opened, where descriptors allow it.
const IDLE: usize = 10_000;

/// The same beside other tests, which need descriptors too.
const IDLE_FEW: usize = 2_000;

/// What an idle connection may cost. pingora's task and buffers for one are some kilobytes.
const IDLE_BYTES_MAX: usize = 24 * 1024;

/// How long nothing comes before an answer is taken to be all.
const QUIET: Duration = Duration::from_millis(500);

pub(super) async fn all(siege: &mut Siege) {
    siege
        .attack("one header of 4 MiB", MEMORY_MB_MAX, |aim| {
            long_heads(aim, |_| "f".repeat(4 * 1024 * 1024))
        })
        .await;
    siege
        .attack("endless headers", MEMORY_MB_MAX, |aim| {
            long_heads(aim, |index| format!("x-{index}: 1\r\n").repeat(100_000))
        })
        .await;
    siege
        .attack("endless first line", MEMORY_MB_MAX, |aim| {
            endless(aim, "GET /".to_owned(), "f".repeat(64 * 1024))
        })
        .await;
    siege
        .attack("endless chunk extension", MEMORY_MB_MAX, |aim| {
            endless(
                aim,
                head("transfer-encoding: chunked\r\n") + "1;",
                "f".repeat(64 * 1024),
            )
        })
        .await;
    siege
        .attack("endless trailers", MEMORY_MB_MAX, |aim| {
            endless(
                aim,
                head("transfer-encoding: chunked\r\n") + "0\r\n",
                "x: 1\r\n".repeat(10_000),
            )
        })
        .await;
    if siege.is_long {
        siege
            .attack("chunks of one byte", MEMORY_MB_MAX, |aim| {
                endless(aim, head("transfer-encoding: chunked\r\n"), "1\r\n \r\n".repeat(10_000))
            })
            .await;
        let bodies = HELD_BODIES_MB as f64 * 2.0 + MEMORY_MB_MAX;
        siege
            .attack("more bodies than may be held", bodies, bodies_at_once)
            .await;
    }
    siege
        .attack("a thousand requests at once", MEMORY_MB_MAX, pipelined)
        .await;
    let count = if siege.is_long {
        IDLE
    } else {
        IDLE_FEW.min(descriptors() / 4)
    };
    siege
        .attack("idle connections", (IDLE * IDLE_BYTES_MAX) as f64 / 1e6, |aim| {
            idle(aim, count)
        })
        .await;
}

/// Twenty heads at one time, each of megabytes.
async fn long_heads(aim: Aim, filling: impl Fn(usize) -> String) -> Result<String, String> {
    let heads: Vec<_> = (0..20)
        .map(|index| format!("GET /v1/models HTTP/1.1\r\nx-filling: {}\r\n\r\n", filling(index)))
        .collect();
    let all = heads
        .iter()
        .map(|head| aim.tell(head.as_bytes(), Duration::from_secs(3)));
    let ends = futures_util::future::join_all(all).await;
    let mut statuses: Vec<_> = ends.iter().map(Answered::status).collect();
    statuses.sort();
    statuses.dedup();
    if ends.iter().any(|answered| !answered.is_closed) {
        return Err(format!("a connection was kept: {statuses:?}"));
    }
    Ok(format!("20 × {}", statuses.join("/")))
}

/// Sends the same piece for ever, until the gateway has had enough; ten at one time.
async fn endless(aim: Aim, begin: String, piece: String) -> Result<String, String> {
    let all = (0..10).map(|_| async {
        let mut stream = aim.connect().await;
        let mut sent = begin.len();
        if stream.write_all(begin.as_bytes()).await.is_err() {
            return (sent, read(&mut stream, QUIET).await);
        }
        loop {
            let more = tokio::time::timeout(Duration::from_secs(8), stream.write_all(piece.as_bytes()));
            match more.await {
                Ok(Ok(())) => sent += piece.len(),
                Ok(Err(_)) | Err(_) => return (sent, read(&mut stream, Duration::from_secs(8)).await),
            }
        }
    });
    let ends = futures_util::future::join_all(all).await;
    let most = ends.iter().map(|(sent, _)| *sent).max().unwrap_or_default();
    if ends.iter().any(|(_, answered)| !answered.is_closed) {
        return Err(format!("a connection was kept after {:.1} MB", most as f64 / 1e6));
    }
    Ok(format!(
        "10 × {} after {:.1} MB at most",
        ends[0].1.status(),
        most as f64 / 1e6
    ))
}

/// A thousand requests in one write, none of which waits for an answer.
async fn pipelined(aim: Aim) -> Result<String, String> {
    let all = request(&question("", false)).repeat(1_000);
    let answered = aim.tell(all.as_bytes(), Duration::from_secs(3)).await;
    let text = answered.text();
    let answers = text.matches("HTTP/1.1 200").count();
    if answers != text.matches("HTTP/1.1 ").count() || !answered.is_closed {
        return Err(format!("{answers} answers, closed: {}", answered.is_closed));
    }
    Ok(format!("{answers} answered, then closed"))
}

/// A hundred bodies of 8 MiB at one time, of which the gateway may hold four.
async fn bodies_at_once(aim: Aim) -> Result<String, String> {
    let body = question(&format!("\"user\":\"{}\",", "u".repeat(8 * 1024 * 1024 - 200)), false);
    let head = head(&format!("content-length: {}\r\n", body.len()));
    let all = (0..100).map(|_| async {
        let mut stream = aim.connect().await;
        // The gateway may answer and close before it has read all.
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = tokio::time::timeout(Duration::from_secs(10), stream.write_all(body.as_bytes())).await;
        read(&mut stream, Duration::from_secs(5)).await.status()
    });
    let ends = futures_util::future::join_all(all).await;
    let count = |status: &str| ends.iter().filter(|end| *end == status).count();
    let (served, refused) = (count("200"), count("503"));
    if refused == 0 {
        return Err(format!("none was refused: {ends:?}"));
    }
    Ok(format!(
        "{served} × 200, {refused} × 503, {} otherwise",
        100 - served - refused
    ))
}

/// As many connections as descriptors allow, which say nothing.
async fn idle(aim: Aim, count: usize) -> Result<String, String> {
    let count = count.min(descriptors() * 9 / 10);
    let mut open: Vec<TcpStream> = Vec::with_capacity(count);
    while open.len() < count {
        let more = (0..100.min(count - open.len())).map(|_| aim.connect());
        open.extend(futures_util::future::join_all(more).await);
    }
    let ends = open.iter_mut().map(|stream| read(stream, Duration::from_secs(8)));
    let kept = futures_util::future::join_all(ends)
        .await
        .iter()
        .filter(|answered| !answered.is_closed)
        .count();
    if kept > 0 {
        return Err(format!("{kept} of {count} were kept"));
    }
    Ok(format!("{count} were opened and closed after their time"))
}
