//! Feeds the event scanner, the classifier, the usage stripper and the tap; what must hold is in `properties/sse.rs`.

#![no_main]

#[path = "../properties/members.rs"]
mod members;
#[path = "../properties/sse.rs"]
mod sse;

libfuzzer_sys::fuzz_target!(|input: &[u8]| sse::check(input));
