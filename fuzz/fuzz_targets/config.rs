//! Feeds the configuration compiler; what must hold is in `properties/config.rs`.

#![no_main]

#[path = "../properties/config.rs"]
mod config;

libfuzzer_sys::fuzz_target!(|input: &[u8]| config::check(input));
