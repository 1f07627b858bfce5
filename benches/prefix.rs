//! The key of a prompt's head. It reads the first 3 KiB only, so its cost does not grow with the prompt.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use emberway::core::placement::head::{self, HeadKey};
use emberway::openai::request;
use sha2::{Digest, Sha256};

use crate::inputs::chat_body;
use crate::sizes::{CALLS, SIZES, Size};

#[divan::bench(args = SIZES, sample_size = CALLS)]
fn head_key(bencher: Bencher<'_, '_>, size: Size) {
    let body = chat_body(size.0);
    let request = request::parse(body.as_bytes()).expect("valid");
    bencher
        .counter(ItemsCount::new(1_usize))
        .bench_local(|| -> HeadKey { head::key(black_box("support"), black_box(&request.prompt)) });
}

/// The same hash over the whole prompt.
#[divan::bench(args = SIZES, sample_size = CALLS)]
fn plain_hash_of_all(bencher: Bencher<'_, '_>, size: Size) {
    let body = chat_body(size.0);
    let request = request::parse(body.as_bytes()).expect("valid");
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        let mut hash = Sha256::new();
        for piece in black_box(&request.prompt) {
            hash.update(piece.as_bytes());
        }
        hash.finalize()
    });
}
