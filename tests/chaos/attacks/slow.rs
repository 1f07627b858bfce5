//! Clients that take their time, one end or the other: each is let go after its time, many of them cost little.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;

use super::{MEMORY_MB_MAX, Siege};
use crate::target::{ARRIVES_WITHIN, Aim, Answered, TAKES_WITHIN, head, question, read, request};

/// How many do it at one time.
const MANY: usize = 500;

/// What more a limit may take on a busy machine.
const MARGIN: Duration = Duration::from_secs(5);

pub(super) async fn all(siege: &mut Siege) {
    siege
        .attack("slow head", MEMORY_MB_MAX, |aim| {
            trickle(aim, "POST /openai/v1/chat/completions HTTP/1.1\r\nx: ".to_owned(), "x")
        })
        .await;
    siege
        .attack("slow head, line by line", MEMORY_MB_MAX, |aim| {
            trickle(
                aim,
                "POST /openai/v1/chat/completions HTTP/1.1\r\n".to_owned(),
                "x: 1\r\n",
            )
        })
        .await;
    if siege.is_long {
        siege
            .attack("slow body", MEMORY_MB_MAX, |aim| {
                trickle(aim, head("content-length: 1000\r\n") + "{", " ")
            })
            .await;
        siege
            .attack("slow chunks", MEMORY_MB_MAX, |aim| {
                trickle(aim, head("transfer-encoding: chunked\r\n") + "1\r\n{\r\n", "1\r\n \r\n")
            })
            .await;
        siege.attack("slow read", 160.0, slow_read).await;
    }
    siege
        .attack("leave that is not used", MEMORY_MB_MAX, |aim| {
            trickle(aim, head("content-length: 1000\r\nexpect: 100-continue\r\n"), "")
        })
        .await;
    siege.attack("half-closed", MEMORY_MB_MAX, half_closed).await;
}

/// Many connections that begin like this and go on by a little now and then, until they are closed.
async fn trickle(aim: Aim, first_bytes: String, more: &'static str) -> Result<String, String> {
    let limit = ARRIVES_WITHIN + MARGIN;
    let all = (0..MANY).map(|_| {
        let first_bytes = first_bytes.clone();
        async move {
            let began = Instant::now();
            let mut stream = aim.connect().await;
            let mut next = first_bytes.as_str();
            let mut pace = tokio::time::interval(Duration::from_millis(100));
            // Ends when the gateway has closed the connection, or has answered.
            while began.elapsed() < limit {
                if stream.write_all(next.as_bytes()).await.is_err() {
                    break;
                }
                next = more;
                let answered = tokio::select! {
                    ready = stream.readable() => ready.is_ok(),
                    _ = pace.tick() => false,
                };
                if answered && began.elapsed() > ARRIVES_WITHIN / 2 {
                    break;
                }
                pace.tick().await;
            }
            let answered = read(&mut stream, Duration::from_secs(6)).await;
            (began.elapsed(), answered)
        }
    });
    let ends = futures_util::future::join_all(all).await;
    let kept = ends.iter().filter(|(_, answered)| !answered.is_closed).count();
    let slowest = ends.iter().map(|(took, _)| *took).max().unwrap_or_default();
    if kept > 0 || slowest > limit + MARGIN {
        return Err(format!("{kept} of {MANY} were kept, the last for {slowest:?}"));
    }
    Ok(format!(
        "{MANY} × {}, the last after {:.1} s",
        first(&ends),
        slowest.as_secs_f64()
    ))
}

fn first(ends: &[(Duration, Answered)]) -> String {
    let mut all: Vec<_> = ends.iter().map(|(_, answered)| answered.status()).collect();
    all.sort();
    all.dedup();
    all.join("/")
}

/// Clients that ask for streams of more megabytes than sockets hold, and take none of them.
async fn slow_read(aim: Aim) -> Result<String, String> {
    const CLIENTS: usize = 12;
    let body = question("\"n\":128,", true);
    let all = (0..CLIENTS).map(|_| async {
        let began = Instant::now();
        let mut stream = aim.connect().await;
        stream.write_all(request(&body).as_bytes()).await.expect("sent");
        // Its receive window is full long before; then it takes nothing until it is let go.
        let mut looked = [0; 1];
        stream.peek(&mut looked).await.expect("a beginning");
        tokio::time::sleep(TAKES_WITHIN * 8).await;
        (began.elapsed(), read(&mut stream, Duration::from_secs(3)).await)
    });
    let ends = futures_util::future::join_all(all).await;
    let whole = ends
        .iter()
        .filter(|(_, answered)| answered.text().contains("data: [DONE]"))
        .count();
    let kept = ends.iter().filter(|(_, answered)| !answered.is_closed).count();
    let most = ends
        .iter()
        .map(|(_, answered)| answered.bytes.len())
        .max()
        .unwrap_or_default();
    if whole + kept > 0 {
        return Err(format!(
            "{kept} of {CLIENTS} were kept, {whole} had it whole; {:.1} MB the most",
            most as f64 / 1e6
        ));
    }
    Ok(format!(
        "{CLIENTS} streams let go, of {:.1} MB that sockets held at most",
        most as f64 / 1e6
    ))
}

/// Clients that say that they have said all, and wait for the answer.
async fn half_closed(aim: Aim) -> Result<String, String> {
    let all = (0..100).map(|index| async move {
        let mut stream = aim.connect().await;
        stream
            .write_all(request(&question("", index % 2 == 0)).as_bytes())
            .await
            .expect("sent");
        stream.shutdown().await.expect("half of it");
        (Duration::ZERO, read(&mut stream, Duration::from_secs(5)).await)
    });
    let ends = futures_util::future::join_all(all).await;
    let kept = ends.iter().filter(|(_, answered)| !answered.is_closed).count();
    if kept > 0 {
        return Err(format!("{kept} connections were kept"));
    }
    Ok(format!("100 × {}", first(&ends)))
}
