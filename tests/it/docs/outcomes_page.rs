//! Writes `docs/outcomes.md`: what the bodies of `tests/golden/errors.jsonl` come to.

use std::fmt::Write as _;
use std::time::Duration;

use emberway::core::recovery::outcome::{AttemptEnd, Effect, Next, Scope, Verdict, classify};
use emberway::openai::error;
use serde::Deserialize;

/// An answer as it was seen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    what: String,
    #[serde(default)]
    status: u16,
    #[serde(default)]
    body: String,
    #[serde(default)]
    provisioned: bool,
    retry_after_s: Option<u64>,
    /// The code of an error inside a stream; there is no status then.
    in_stream: Option<String>,
}

/// The page.
pub(super) fn render(golden: &str) -> String {
    let mut page = String::from(
        "# What each answer means\n\n\
         <!-- Generated from tests/golden/errors.jsonl; UPDATE_GENERATED=1 cargo test --test it docs rewrites it. -->\n\n\
         Bodies as Azure and what stands before it send them, and what Emberway makes of each. The rows behind it are in\n\
         `core/recovery/table.rs`; the first that fits counts. What the words mean: [failover.md](failover.md).\n\n\
         | seen | status, code | outcome | the request | learned | of | alarm |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for line in golden.lines() {
        let seen: Seen = serde_json::from_str(line).expect(line);
        let (place, verdict) = judged(&seen);
        let alarm = verdict.alarm.map_or("", Into::into);
        let _ = writeln!(
            page,
            "| {} | {place} | `{}` | {} | {}{} | {} | {alarm} |",
            seen.what,
            verdict.outcome.as_ref(),
            next(verdict.next),
            effect(verdict.effect),
            if verdict.maybe_billed { "; maybe billed" } else { "" },
            scope(verdict.scope),
        );
    }
    page
}

fn judged(seen: &Seen) -> (String, Verdict) {
    if let Some(code) = &seen.in_stream {
        let end = AttemptEnd::ErrorInStream {
            code: Some(code),
            message: None,
        };
        return (format!("200, `{code}`"), classify(end, seen.provisioned));
    }
    let read = error::read(seen.body.as_bytes());
    let end = AttemptEnd::Status {
        status: seen.status,
        code: read.code.as_deref(),
        message: read.message.as_deref(),
        retry_after: seen.retry_after_s.map(Duration::from_secs),
    };
    let code = read
        .code
        .as_ref()
        .map_or_else(String::new, |code| format!(", `{code}`"));
    (format!("{}{code}", seen.status), classify(end, seen.provisioned))
}

fn next(next: Next) -> &'static str {
    match next {
        Next::Final => "ends",
        Next::Elsewhere => "goes elsewhere",
        Next::PayPerToken => "goes to one paid per token",
    }
}

fn effect(effect: Effect) -> String {
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    match effect {
        Effect::Works | Effect::Begins => "works".to_owned(),
        Effect::Nothing => "nothing".to_owned(),
        Effect::Failure => "one failure more".to_owned(),
        Effect::Rest(None) => "rests".to_owned(),
        Effect::Rest(Some(time)) => format!("rests {}, within bounds", seconds(time)),
        Effect::Pause(time) => format!("rests {}, not shown to work", seconds(time)),
        Effect::Unusable(time) => format!("set aside {}", seconds(time)),
    }
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Deployment => "deployment",
        Scope::Resource => "resource",
        Scope::Both => "both",
    }
}
