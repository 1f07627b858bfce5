//! HTTP/2 in bad faith, written frame by frame since no client library would: resets, floods, endless headers, closed windows.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{MEMORY_MB_MAX, Siege};
use crate::target::{Aim, TAKES_WITHIN, question};
use crate::world::{KEY, PATH};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Frames of a flood, which is far more than any client has reason to send.
const FLOOD: u32 = 50_000;

/// How long a flood goes on before it is taken to be borne.
const FLOOD_MAX: Duration = Duration::from_secs(8);

pub(super) async fn all(siege: &mut Siege) {
    siege
        .attack("h2: rapid reset", MEMORY_MB_MAX, |aim| {
            flood(aim, |index| {
                let stream = index * 2 + 1;
                let mut frames = frame(HEADERS, END_HEADERS, stream, &fields(&[]));
                frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
                frames
            })
        })
        .await;
    siege
        .attack("h2: settings flood", MEMORY_MB_MAX, |aim| {
            flood(aim, |_| frame(SETTINGS, 0, 0, &[]))
        })
        .await;
    siege
        .attack("h2: ping flood", MEMORY_MB_MAX, |aim| {
            flood(aim, |_| frame(PING, 0, 0, &[0; 8]))
        })
        .await;
    siege.attack("h2: pings of the deaf", MEMORY_MB_MAX, deaf).await;
    siege
        .attack("h2: empty data", MEMORY_MB_MAX, |aim| {
            flood(aim, |index| match index {
                0 => frame(HEADERS, END_HEADERS, 1, &fields(&[])),
                _ => frame(DATA, 0, 1, &[]),
            })
        })
        .await;
    siege
        .attack("h2: endless continuation", MEMORY_MB_MAX, |aim| {
            flood(aim, |index| match index {
                0 => frame(HEADERS, 0, 1, &fields(&[])),
                _ => frame(CONTINUATION, 0, 1, &literal(&format!("x-{index}"), &"f".repeat(100))),
            })
        })
        .await;
    siege
        .attack("h2: empty continuation", MEMORY_MB_MAX, |aim| {
            flood(aim, |index| match index {
                0 => frame(HEADERS, 0, 1, &fields(&[])),
                _ => frame(CONTINUATION, 0, 1, &[]),
            })
        })
        .await;
    siege
        .attack("h2: one header a million times", MEMORY_MB_MAX, |aim| {
            flood(aim, repeated)
        })
        .await;
    siege
        .attack("h2: windows that overflow", MEMORY_MB_MAX, |aim| {
            flood(aim, |_| frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes()))
        })
        .await;
    if siege.is_long {
        siege.attack("h2: closed windows", MEMORY_MB_MAX, closed_windows).await;
    }
    siege
        .attack("h2: bodies that never come", MEMORY_MB_MAX, no_bodies)
        .await;
    siege.attack("h2: half a preface", MEMORY_MB_MAX, half_a_preface).await;
}

/// Sends frames, reading what comes back, until the gateway has had enough; says what it said.
async fn flood(aim: Aim, frames: impl Fn(u32) -> Vec<u8>) -> Result<String, String> {
    let mut stream = begin(aim, &[]).await;
    let (mut reader, mut writer) = stream.split();
    let mut sent = 0;
    let sending = async {
        let end = Instant::now() + FLOOD_MAX;
        for index in 0..FLOOD {
            if Instant::now() > end || writer.write_all(&frames(index)).await.is_err() {
                return;
            }
            sent += 1;
        }
    };
    let mut answered = Vec::new();
    let reading = async { while reader.read_buf(&mut answered).await.is_ok_and(|read| read > 0) {} };
    tokio::select! {
        () = sending => {}
        () = reading => {}
    }
    // What it says last, if it says anything.
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_millis(500), stream.read_to_end(&mut rest)).await;
    answered.extend(rest);
    Ok(format!("{sent} sent, {}", last_word(&answered, closed.is_ok())))
}

/// Sends pings and takes none of the answers, so that they have nowhere to go.
async fn deaf(aim: Aim) -> Result<String, String> {
    let mut stream = begin(aim, &[]).await;
    let pings = frame(PING, 0, 0, &[0; 8]).repeat(1_000);
    let mut sent = 0_usize;
    let end = Instant::now() + FLOOD_MAX;
    while Instant::now() < end {
        match tokio::time::timeout(Duration::from_secs(2), stream.write_all(&pings)).await {
            Ok(Ok(())) => sent += 1_000,
            Ok(Err(_)) => return Ok(format!("{sent} sent, closed")),
            Err(_) => return Ok(format!("{sent} sent, then no more taken")),
        }
    }
    Ok(format!("{sent} sent, borne"))
}

/// What the gateway said last: the code of its GOAWAY, or how many streams it reset.
fn last_word(answered: &[u8], is_closed: bool) -> String {
    let mut resets = 0;
    let mut at = 0;
    while let Some(head) = answered.get(at..at + 9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        if head[3] == GOAWAY
            && let Some(code) = answered.get(at + 13..at + 17)
        {
            let name = match code[3] {
                0 => "NO_ERROR",
                1 => "PROTOCOL_ERROR",
                3 => "FLOW_CONTROL_ERROR",
                6 => "FRAME_SIZE_ERROR",
                9 => "COMPRESSION_ERROR",
                11 => "ENHANCE_YOUR_CALM",
                _ => "another error",
            };
            return format!("GOAWAY {name}");
        }
        resets += u32::from(head[3] == RST_STREAM);
        at += 9 + length;
    }
    match (resets, is_closed) {
        (0, true) => "closed".to_owned(),
        (0, false) => "borne".to_owned(),
        _ => format!("{resets} streams reset"),
    }
}

/// A hundred streams to a client whose windows are closed, and stay so.
async fn closed_windows(aim: Aim) -> Result<String, String> {
    // INITIAL_WINDOW_SIZE 0.
    let mut stream = begin(aim, &[0, 4, 0, 0, 0, 0]).await;
    let body = question("", true);
    for index in 0..100_u32 {
        let id = index * 2 + 1;
        let mut frames = frame(HEADERS, END_HEADERS, id, &fields(&[]));
        frames.extend(frame(DATA, END_STREAM, id, body.as_bytes()));
        if stream.write_all(&frames).await.is_err() {
            break;
        }
    }
    let began = Instant::now();
    let mut answered = Vec::new();
    let until = TAKES_WITHIN * 15;
    let _ = tokio::time::timeout(until, async {
        while stream.read_buf(&mut answered).await.is_ok_and(|read| read > 0) {
            if count(&answered, RST_STREAM) + ended(&answered) >= 100 {
                break;
            }
        }
    })
    .await;
    let (reset, ended) = (count(&answered, RST_STREAM), ended(&answered));
    if reset + ended < 100 {
        return Err(format!(
            "{reset} streams were reset and {ended} ended, of 100, after {:?}",
            began.elapsed()
        ));
    }
    Ok(format!(
        "{reset} streams reset, {ended} ended, after {:.1} s",
        began.elapsed().as_secs_f64()
    ))
}

/// Streams whose bodies are announced and never come.
async fn no_bodies(aim: Aim) -> Result<String, String> {
    let mut stream = begin(aim, &[]).await;
    for index in 0..100_u32 {
        let frames = frame(
            HEADERS,
            END_HEADERS,
            index * 2 + 1,
            &fields(&[("content-length", "1000")]),
        );
        stream.write_all(&frames).await.expect("sent");
    }
    let mut answered = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(8), async {
        while stream.read_buf(&mut answered).await.is_ok_and(|read| read > 0) {
            if ended(&answered) + count(&answered, RST_STREAM) >= 100 {
                break;
            }
        }
    })
    .await;
    let ended = ended(&answered);
    if ended < 100 {
        return Err(format!("{ended} of 100 were answered"));
    }
    Ok("100 streams answered when their time was over".to_owned())
}

/// Connections that begin to speak HTTP/2 and stop in the middle of a word.
async fn half_a_preface(aim: Aim) -> Result<String, String> {
    let all = (0..200).map(|_| aim.tell(b"PRI * HTTP/2.0\r\n", Duration::from_secs(8)));
    let ends = futures_util::future::join_all(all).await;
    let kept = ends.iter().filter(|answered| !answered.is_closed).count();
    if kept > 0 {
        return Err(format!("{kept} of 200 were kept"));
    }
    Ok(format!("200 × {}", ends[0].status()))
}

/// A connection, with these settings of the client's.
async fn begin(aim: Aim, settings: &[u8]) -> TcpStream {
    let mut stream = aim.connect().await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, settings));
    stream.write_all(&bytes).await.expect("sent");
    stream
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A request's fields, compressed by nothing.
fn fields(more: &[(&str, &str)]) -> Vec<u8> {
    let usual = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", "gateway"),
        ("api-key", KEY),
    ];
    usual
        .iter()
        .chain(more)
        .flat_map(|(name, value)| literal(name, value))
        .collect()
}

/// A field without indexing; name and value shorter than 127 bytes.
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, name.len() as u8];
    bytes.extend(name.as_bytes());
    bytes.push(value.len() as u8);
    bytes.extend(value.as_bytes());
    bytes
}

/// A long field is put into the table once, and named by one byte ever after: 16 KiB of frames stand for megabytes.
fn repeated(index: u32) -> Vec<u8> {
    let stream = index * 2 + 1;
    let mut block = fields(&[]);
    if index == 0 {
        // With indexing: a value of 3,000 bytes, its length as HPACK writes numbers beyond 126.
        block.extend([0x40, 1, b'x', 127, 0xb9, 0x16]);
        block.extend([b'f'; 3_000]);
    }
    block.extend(std::iter::repeat_n(0x80 | 0x3e, 12_000));
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
}

/// How many frames of a kind there are.
fn count(answered: &[u8], kind: u8) -> usize {
    frames(answered).filter(|(own, _)| *own == kind).count()
}

/// How many streams the gateway has ended in order.
fn ended(answered: &[u8]) -> usize {
    frames(answered)
        .filter(|(kind, flags)| matches!(*kind, DATA | HEADERS) && flags & END_STREAM != 0)
        .count()
}

/// Kinds and flags of the frames that have come whole.
fn frames(answered: &[u8]) -> impl Iterator<Item = (u8, u8)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let head = answered.get(at..at + 9)?;
        at += 9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        Some((head[3], head[4]))
    })
}
