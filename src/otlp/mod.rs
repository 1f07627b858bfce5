//! WHO else is told what happened? Traces and metrics for a collector of OpenTelemetry, by its protocol over HTTP (OTLP/HTTP, protobuf).
//!
//! Everything here is off the requests' way: spans and figures are made from finished requests, which are handed on once a second. On the
//! way itself `proxy::tracing` only reads and writes a header. What a slow or absent collector costs is a bounded queue.
//!
//! Names are those of OpenTelemetry's conventions for generative AI, in development, as of its own repository
//! (<https://github.com/open-telemetry/semantic-conventions-genai>), which builds on the semantic conventions 1.42. What they have no
//! name for begins with `emberway.`. Only configured names, closed words, ids and figures are told: never a prompt, an answer or a key.

pub mod collector;
pub mod consumer;
pub mod instruments;
pub mod metrics_sender;
pub mod place;
pub mod running;
pub mod span_sender;
pub mod spans;
#[cfg(test)]
pub(crate) mod testing;
pub mod told;
pub mod words;
