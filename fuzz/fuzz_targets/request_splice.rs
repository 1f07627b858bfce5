//! Feeds the body splicer; what must hold is in `properties/request_splice.rs`.

#![no_main]

#[path = "../properties/members.rs"]
mod members;
#[path = "../properties/request_splice.rs"]
mod request_splice;

libfuzzer_sys::fuzz_target!(|input: &[u8]| request_splice::check(input));
