//! A request body, from bytes to what is sent upstream: read the few members that matter, set the model, ask for usage.
//!
//! Results are dropped inside the measurement, as a server drops them between requests.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use emberway::openai::body::{self, Edits};
use emberway::openai::request;

use crate::inputs::chat_body;
use crate::sizes::{CALLS, SIZES, Size};

const EDITS: Edits<'_> = Edits {
    model: Some("support-2025-11"),
    ask_usage: true,
    cache_key: None,
};

#[divan::bench(args = SIZES, sample_size = CALLS)]
fn parse(bencher: Bencher<'_, '_>, size: Size) {
    let body = Bytes::from(chat_body(size.0));
    bencher
        .counter(BytesCount::new(body.len()))
        .bench_local(|| request::parse(black_box(&body)).expect("valid").closing_at);
}

#[divan::bench(args = SIZES, sample_size = CALLS)]
fn parse_and_splice(bencher: Bencher<'_, '_>, size: Size) {
    let body = Bytes::from(chat_body(size.0));
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        let request = request::parse(black_box(&body)).expect("valid");
        drop(black_box(body::edited(&body, &request, EDITS)));
    });
}

/// The tree and back.
#[divan::bench(args = SIZES, sample_size = CALLS)]
fn plain_value_round_trip(bencher: Bencher<'_, '_>, size: Size) {
    let body = Bytes::from(chat_body(size.0));
    bencher.counter(BytesCount::new(body.len())).bench_local(|| {
        let mut value: serde_json::Value = serde_json::from_slice(black_box(&body)).expect("valid");
        value["model"] = "support-2025-11".into();
        value["stream_options"]["include_usage"] = true.into();
        drop(black_box(serde_json::to_vec(&value).expect("serialises")));
    });
}
