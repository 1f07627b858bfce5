//! WHAT does an endpoint do under load? Sends chat completions to any OpenAI or Azure OpenAI compatible endpoint and
//! says what came back.
//!
//! It is a client like any other: it knows nothing of the gateway but a few optional response headers, and it shares
//! no code with it. In particular it has its own event-stream parser, since with the gateway's a wrong one would agree
//! with itself.
//!
//! [`start`] returns a [`Run`] that can be watched and stopped; [`run`] is the same for callers that only want the
//! [`Report`]. In reading order: [`plan`] (what to send, how fast, how long), [`prompt`] (the text), `pace` (when),
//! `client` and `answer` and `events` (one request), `tally` (counting), [`report`] and [`table`] (telling).

mod answer;
mod client;
mod conversation;
mod driver;
mod events;
pub mod outcome;
mod pace;
pub mod plan;
pub mod prompt;
mod record;
pub mod report;
pub mod table;
mod tally;

pub use driver::{LoadError, Observer, Run, first_body, run, start, start_observed};
pub use plan::Plan;
pub use report::{Report, Snapshot};

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;
