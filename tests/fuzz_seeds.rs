//! Runs the fuzzers' seeds through the fuzzers' properties, on any toolchain and without a fuzzer.
//!
//! What a fuzzer found is a seed afterwards, so a mistake that was mended stays mended. `fuzz/run.sh` looks for new ones.

#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test stops where its files cannot be read, and names the one that failed"
)]

#[path = "../fuzz/properties/canonical.rs"]
mod canonical;
#[path = "../fuzz/properties/config.rs"]
mod config;
#[path = "../fuzz/properties/members.rs"]
mod members;
#[path = "../fuzz/properties/request_splice.rs"]
mod request_splice;
#[path = "../fuzz/properties/sse.rs"]
mod sse;

use std::fs;
use std::path::Path;

/// Checks every seed of a target; a failure names the file.
#[track_caller]
fn check(target: &str, property: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&directory).expect("the seeds are in the repository") {
        let path = entry.expect("entry").path();
        let input = fs::read(&path).expect("reads");
        if let Err(panic) = std::panic::catch_unwind(|| property(&input)) {
            eprintln!("the seed {} failed", path.display());
            std::panic::resume_unwind(panic);
        }
        count += 1;
    }
    assert!(count >= 8, "{count} seeds in {}", directory.display());
}

#[test]
fn edited_bodies_keep_what_was_not_edited() {
    check("request_splice", request_splice::check);
}

#[test]
fn prompts_have_one_form_however_they_are_written() {
    check("canonical", canonical::check);
    check("request_splice", canonical::check);
}

#[test]
fn streams_mean_the_same_however_they_are_cut() {
    check("sse", sse::check);
}

#[test]
fn configurations_are_refused_with_a_place_and_without_a_panic() {
    check("config", config::check);
}
