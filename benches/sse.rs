//! An answer's event stream of 200 events: cutting it into events, and listening to it with and without taking out usage.

use std::fmt;

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use emberway::openai::sse::Scanner;
use emberway::proxy::tap::StreamTap;

use crate::inputs;

const EVENTS: usize = 200;

/// How the network delivers the stream.
#[derive(Clone, Copy)]
enum Cut {
    Whole,
    PerEvent,
    /// In pieces of so many bytes, across events.
    Every(usize),
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("one chunk"),
            Self::PerEvent => f.write_str("a chunk an event"),
            Self::Every(bytes) => write!(f, "chunks of {bytes} B"),
        }
    }
}

const CUTS: [Cut; 3] = [Cut::Whole, Cut::PerEvent, Cut::Every(64)];

fn chunks(cut: Cut) -> Vec<Bytes> {
    let stream = Bytes::from(inputs::stream(EVENTS));
    match cut {
        Cut::Whole => vec![stream],
        Cut::Every(size) => stream.chunks(size).map(Bytes::copy_from_slice).collect(),
        Cut::PerEvent => {
            let mut chunks = Vec::new();
            Scanner::default().feed(&stream, |event| chunks.push(Bytes::copy_from_slice(&event)));
            chunks
        }
    }
}

fn bench<T>(bencher: Bencher<'_, '_>, cut: Cut, run: impl Fn(&[Bytes]) -> T) {
    let chunks = chunks(cut);
    bencher
        .counter(BytesCount::new(chunks.iter().map(Bytes::len).sum::<usize>()))
        .bench_local(|| run(black_box(&chunks)));
}

#[divan::bench(args = CUTS)]
fn scan(bencher: Bencher<'_, '_>, cut: Cut) {
    bench(bencher, cut, |chunks| {
        let mut scanner = Scanner::default();
        for chunk in chunks {
            scanner.feed(chunk, |event| drop(black_box(event)));
        }
    });
}

/// A growing buffer, split on blank lines.
#[divan::bench(args = CUTS)]
fn plain_split(bencher: Bencher<'_, '_>, cut: Cut) {
    bench(bencher, cut, |chunks| {
        plain_events(chunks, |event| drop(black_box(event.to_owned())));
    });
}

#[divan::bench(args = CUTS)]
fn tap_passing(bencher: Bencher<'_, '_>, cut: Cut) {
    bench(bencher, cut, |chunks| tap(chunks, false));
}

#[divan::bench(args = CUTS)]
fn tap_stripping_usage(bencher: Bencher<'_, '_>, cut: Cut) {
    bench(bencher, cut, |chunks| tap(chunks, true));
}

/// Every event to a tree and back, without its usage.
#[divan::bench(args = CUTS)]
fn plain_value_per_event(bencher: Bencher<'_, '_>, cut: Cut) {
    bench(bencher, cut, |chunks| {
        plain_events(chunks, |event| {
            let data = event.trim_start_matches("data: ");
            let Ok(mut value) = serde_json::from_str::<serde_json::Value>(data) else {
                return;
            };
            if let Some(members) = value.as_object_mut() {
                members.shift_remove("usage");
            }
            drop(black_box(format!("data: {value}\n\n")));
        });
    });
}

fn tap(chunks: &[Bytes], strips_usage: bool) {
    let mut tap = StreamTap::new(strips_usage);
    for chunk in chunks {
        drop(black_box(tap.feed(chunk)));
    }
    drop(black_box(tap.seen));
}

fn plain_events(chunks: &[Bytes], mut on_event: impl FnMut(&str)) {
    let mut buffer = String::new();
    for chunk in chunks {
        buffer.push_str(&String::from_utf8_lossy(chunk));
        let mut from = 0;
        while let Some(end) = buffer[from..].find("\n\n") {
            on_event(&buffer[from..from + end]);
            from += end + 2;
        }
        buffer.drain(..from);
    }
}
