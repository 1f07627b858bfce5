//! Requests that two parsers could read differently, and bytes that are no text: one answer at most, never one to what was smuggled.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{MEMORY_MB_MAX, Siege};
use crate::target::{Aim, head, question};
use crate::world::KEY;

/// How long nothing comes before an answer is taken to be all.
const QUIET: Duration = Duration::from_millis(250);

pub(super) async fn all(siege: &mut Siege) {
    siege
        .attack("smuggling: lengths", MEMORY_MB_MAX, |aim| probe(aim, lengths()))
        .await;
    siege
        .attack("smuggling: codings", MEMORY_MB_MAX, |aim| probe(aim, codings()))
        .await;
    siege
        .attack("smuggling: chunk sizes", MEMORY_MB_MAX, |aim| probe(aim, chunks()))
        .await;
    siege
        .attack("smuggling: line ends", MEMORY_MB_MAX, |aim| probe(aim, lines()))
        .await;
    siege
        .attack("bytes that are no text", MEMORY_MB_MAX, |aim| probe(aim, no_text()))
        .await;
}

/// A request that a wrong reading would find behind another one.
fn hidden() -> String {
    format!("GET /openai/v1/models HTTP/1.1\r\nhost: gateway\r\napi-key: {KEY}\r\n\r\n")
}

/// Sends each, all at once, and counts answers.
async fn probe(aim: Aim, probes: Vec<(&'static str, Vec<u8>)>) -> Result<String, String> {
    let asked = probes
        .iter()
        .map(|(name, bytes)| async move { (*name, aim.tell(bytes, QUIET).await) });
    let mut ends: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, answered) in futures_util::future::join_all(asked).await {
        let text = answered.text();
        let answers = text.matches("HTTP/1.1 ").count();
        if answers > 1 || text.contains("\"object\":\"list\"") {
            return Err(format!("`{name}` was answered {answers} times: {text}"));
        }
        if !answered.is_closed && answers > 0 {
            return Err(format!(
                "`{name}` was answered {} and the connection kept",
                answered.status()
            ));
        }
        ends.entry(answered.status()).or_default().push(name);
    }
    let shown = |(end, names): (&String, &Vec<&str>)| match end.as_str() {
        "400" => format!("{} × 400", names.len()),
        _ => format!("{end} for {}", names.join(", ")),
    };
    let ends: Vec<_> = ends.iter().map(shown).collect();
    Ok(format!("{} probes: {}", probes.len(), ends.join(", ")))
}

fn lengths() -> Vec<(&'static str, Vec<u8>)> {
    let body = question("", false);
    let length = body.len();
    let both = |first: String, second: String| {
        (head(&format!("{first}\r\n{second}\r\n")) + "0\r\n\r\n" + &hidden()).into_bytes()
    };
    let chunked = || "transfer-encoding: chunked".to_owned();
    let with = |value: String| (head(&format!("content-length: {value}\r\n")) + &body + &hidden()).into_bytes();
    vec![
        ("length and coding", both("content-length: 5".into(), chunked())),
        ("coding and length", both(chunked(), "content-length: 5".into())),
        ("length 0 and coding", both("content-length: 0".into(), chunked())),
        (
            "two lengths",
            (head(&format!("content-length: {length}\r\ncontent-length: 5\r\n")) + &body + &hidden()).into_bytes(),
        ),
        ("a list of lengths", with(format!("{length}, 5"))),
        ("a signed length", with(format!("+{length}"))),
        ("a negative length", with("-1".into())),
        ("a length in hexadecimal", with(format!("{length:#x}"))),
        ("a length with an underscore", with("1_0".into())),
        ("an endless length", with("99999999999999999999".into())),
        ("no number", with("five".into())),
        ("an empty length", with(String::new())),
    ]
}

fn codings() -> Vec<(&'static str, Vec<u8>)> {
    let body = question("", false);
    // Read as chunks there is an end and a hidden request, read by length or without a body there is another one.
    let with = |coding: &str| {
        let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n{}", body.len(), hidden());
        (head(&format!("{coding}\r\n")) + &chunks).into_bytes()
    };
    vec![
        ("xchunked", with("transfer-encoding: xchunked")),
        ("chunked, identity", with("transfer-encoding: chunked, identity")),
        ("identity, chunked", with("transfer-encoding: identity, chunked")),
        ("gzip, chunked", with("transfer-encoding: gzip, chunked")),
        (
            "two codings",
            with("transfer-encoding: chunked\r\ntransfer-encoding: identity"),
        ),
        ("space before the colon", with("transfer-encoding : chunked")),
        ("a vertical tab", with("transfer-encoding: \x0bchunked")),
        ("quoted", with("transfer-encoding: \"chunked\"")),
        ("folded", with("transfer-encoding:\r\n chunked")),
        ("with a parameter", with("transfer-encoding: chunked;q=1")),
        ("an empty coding", with("transfer-encoding: ")),
    ]
}

fn chunks() -> Vec<(&'static str, Vec<u8>)> {
    let body = question("", false);
    let size = format!("{:x}", body.len());
    let with = |first: String| {
        (head("transfer-encoding: chunked\r\n") + &first + &body + "\r\n0\r\n\r\n" + &hidden()).into_bytes()
    };
    vec![
        ("0x", with(format!("0x{size}\r\n"))),
        ("a sign", with(format!("+{size}\r\n"))),
        ("a negative size", with("-1\r\n".into())),
        ("a size that overflows", with("ffffffffffffffff0\r\n".into())),
        ("an enormous size", with("fffffffffffffff\r\n".into())),
        ("space before", with(format!(" {size}\r\n"))),
        ("a bare line feed", with(format!("{size}\n"))),
        ("a bare carriage return", with(format!("{size}\r"))),
        ("an underscore", with(format!("{size}_0\r\n"))),
        ("no size", with("\r\n".into())),
        ("an extension with a line feed", with(format!("{size};a\nb\r\n"))),
        (
            "no line end after the data",
            (head("transfer-encoding: chunked\r\n") + &size + "\r\n" + &body + "0\r\n\r\n" + &hidden()).into_bytes(),
        ),
    ]
}

fn lines() -> Vec<(&'static str, Vec<u8>)> {
    let body = question("", false);
    let whole = head(&format!("content-length: {}\r\n", body.len())) + &body + &hidden();
    let with =
        |more: &str| (head(&format!("content-length: {}\r\n{more}\r\n", body.len())) + &body + &hidden()).into_bytes();
    vec![
        ("a folded line", with("x-note: one\r\n two")),
        ("a folded line with a length", with("x-note: one\r\n content-length: 0")),
        (
            "a bare carriage return in a value",
            with("x-note: one\rtransfer-encoding: chunked"),
        ),
        ("a zero byte in a value", with("x-note: one\0two")),
        ("a zero byte in a name", with("x-no\0te: one")),
        ("a space in a name", with("x note: one")),
        ("no colon", with("x-note")),
        ("an empty name", with(": one")),
        (
            "HTTP/1.0 with chunks",
            whole
                .replacen("HTTP/1.1", "HTTP/1.0", 1)
                .replacen("content-length: ", "transfer-encoding: chunked\r\nx: ", 1)
                .into_bytes(),
        ),
        ("HTTP/9.9", whole.replacen("HTTP/1.1", "HTTP/9.9", 1).into_bytes()),
        ("no version", whole.replacen(" HTTP/1.1", "", 1).into_bytes()),
        (
            "a tab in the first line",
            whole.replacen("POST ", "POST\t", 1).into_bytes(),
        ),
    ]
}

fn no_text() -> Vec<(&'static str, Vec<u8>)> {
    let with_body = |body: &[u8]| {
        let mut bytes = head(&format!("content-length: {}\r\nconnection: close\r\n", body.len())).into_bytes();
        bytes.extend_from_slice(body);
        bytes
    };
    let with_header = |header: &[u8]| {
        let body = question("", false);
        let mut bytes = head(&format!("content-length: {}\r\nconnection: close", body.len())).into_bytes();
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(header);
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(body.as_bytes());
        bytes
    };
    vec![
        (
            "a body that is no UTF-8",
            with_body(b"{\"model\":\"bot\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\xfe\xc0\x80\"}]}"),
        ),
        (
            "a lone surrogate",
            with_body(br#"{"model":"bot","messages":[{"role":"user","content":"\ud800"}]}"#),
        ),
        (
            "a model that is no UTF-8",
            with_body(b"{\"model\":\"b\xffot\",\"messages\":[]}"),
        ),
        ("zero bytes", with_body(&[0; 1000])),
        ("a deep body", with_body("[".repeat(100_000).as_bytes())),
        (
            "a deep body of objects",
            with_body("{\"a\":".repeat(100_000).as_bytes()),
        ),
        ("a header that is no UTF-8", with_header(b"x-note: \xff\xfe")),
        (
            "a priority that is no UTF-8",
            with_header(b"x-emberway-priority: \xff\xfe"),
        ),
        (
            "a session that is no UTF-8",
            with_header(b"x-emberway-session: \xff\xfe"),
        ),
        ("a key that is no UTF-8", with_header(b"authorization: Bearer \xff\xfe")),
        (
            "random bytes",
            (0..4096_u32)
                .map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8)
                .collect(),
        ),
    ]
}
