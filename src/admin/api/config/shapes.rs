//! What is sent and answered where it is about the configuration.

use crate::admin::api::whole;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::admin::api::answer::ErrorMembers;

/// Changes that a version's summary names.
const SUMMARY_CHANGES: usize = 3;
/// Longest summary, in characters.
const SUMMARY_CHARS: usize = 300;

/// The configuration's file.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ConfigText {
    /// What it holds; what is a secret and written out is masked.
    pub text: String,
    /// Where it is; none where the gateway was started without one.
    pub path: Option<String>,
    /// SHA-256 of what it holds, as hexadecimal digits: what `base_sha256` is compared with.
    pub sha256: String,
    /// Counts configurations put to use, the first one included.
    pub generation: u64,
    /// Whether it may be changed from here.
    pub writable: bool,
    /// Why not, and what to do instead.
    pub reason: Option<String>,
    /// Why what it holds is not in use.
    pub last_error: Option<String>,
    /// Where its JSON Schema is.
    pub schema_url: &'static str,
}

/// A text to judge.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TextBody {
    /// The whole configuration, YAML.
    pub text: String,
}

/// A text to play requests on.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WhatIfBody {
    /// The whole configuration, YAML.
    pub text: String,
    /// Seconds back from now whose requests are counted; an hour without.
    #[serde(default = "an_hour", deserialize_with = "whole::number")]
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub window_s: u64,
}

fn an_hour() -> u64 {
    3_600
}

/// A text to put to use.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyBody {
    /// The whole configuration, YAML.
    pub text: String,
    /// The `sha256` of the text that was changed.
    pub base_sha256: String,
    /// Why, for the list of versions; at most 500 characters.
    #[serde(default)]
    pub note: String,
}

/// How a version is to be restored.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreBody {
    /// The `sha256` of the file that is replaced.
    pub base_sha256: String,
    /// Why; at most 500 characters.
    #[serde(default)]
    pub note: String,
}

/// What a text would mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Judgement {
    /// Whether it could be used, be it after a restart.
    pub ok: bool,
    /// What was found.
    pub problems: Vec<Problem>,
    /// What it would change of the configuration in use.
    pub changes: Vec<Change>,
    /// The difference to the file as `diff -u` shows it; empty where there is none. Secrets are masked.
    pub diff: String,
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// `error`, `warning` or `remark`.
    pub severity: &'static str,
    /// The field, such as `pools[0].tiers[1][0]`; empty where it is about the whole text.
    pub path: String,
    /// Line, from 1; null where it is not about a place.
    pub line: Option<u32>,
    /// Column in characters, from 1.
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
}

/// A difference to the configuration in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    /// In words.
    pub text: String,
    /// Whether only a restart can make it.
    pub needs_restart: bool,
}

/// A refusal with what was found wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProblemsBody {
    /// The error.
    #[schema(value_type = ErrorMembers)]
    pub error: serde_json::Value,
    /// What was found.
    pub problems: Vec<Problem>,
}

/// What was put to use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Applied {
    /// Its version; null where the store could not keep it.
    pub version: Option<i64>,
    /// Counts configurations put to use.
    pub generation: u64,
    /// What changed.
    pub changes: Vec<Change>,
}

/// The versions that are kept.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Versions {
    /// Newest first.
    pub versions: Vec<Version>,
}

/// A text that was put to use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Version {
    /// Its number.
    pub id: i64,
    /// When it was put to use, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// By whom; `file` where the file was changed by other means.
    pub who: String,
    /// Why.
    pub note: String,
    /// SHA-256 of the text.
    pub sha256: String,
    /// Whether the file holds it now.
    pub current: bool,
    /// What it changed, in a line.
    pub summary: String,
}

/// A version with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VersionText {
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// The text.
    pub text: String,
}

/// What a text would have done to recorded requests.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WhatIf {
    /// Which requests.
    pub recorded: Recorded,
    /// With the configuration in use.
    pub today: Outcome,
    /// With the proposed one.
    pub proposed: Outcome,
    /// What to know before believing it.
    pub notes: Vec<String>,
}

/// Recorded requests that are counted.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Recorded {
    /// How many.
    pub requests: u64,
    /// When the first arrived, in milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// When the last did.
    pub to_ms: i64,
    /// `memory`, or `trace` where they are read from the trace file.
    pub source: &'static str,
    /// Cached ÷ prompt tokens that their answers really reported; null where none did.
    pub hit_ratio: Option<f64>,
}

/// What a configuration would have done to them. Ratios are parts of 1.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Outcome {
    /// Requests.
    pub requests: u64,
    /// Cached ÷ prompt tokens.
    pub hit_ratio: f64,
    /// Prompt tokens found cached.
    pub cached_tokens: u64,
    /// Prompt tokens of requests that were let in.
    pub prompt_tokens: u64,
    /// Requests that went elsewhere than where they belong, for want of room.
    pub spills: u64,
    /// Requests that nobody took.
    pub refused: u64,
    /// US dollars for tokens, of all traffic that they stand for; null where a price is not known.
    pub token_usd: Option<f64>,
    /// US dollars for the existence of all configured deployments meanwhile; null where a price is not known.
    pub hosting_usd: Option<f64>,
    /// Each configured deployment, the busiest first.
    pub by_deployment: Vec<DeploymentOutcome>,
    /// Each route that was asked for.
    pub by_route: Vec<RouteOutcome>,
}

/// What a deployment would have got.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DeploymentOutcome {
    /// `resource/name`.
    pub deployment: String,
    /// Its region.
    pub region: String,
    /// Requests.
    pub requests: u64,
    /// Part of all that were let in.
    pub share: f64,
    /// Cached ÷ prompt tokens.
    pub hit_ratio: f64,
    /// Prompt and completion tokens.
    pub tokens: u64,
}

/// What would have become of a route's requests.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RouteOutcome {
    /// Its name.
    pub route: String,
    /// Requests.
    pub requests: u64,
    /// Cached ÷ prompt tokens.
    pub hit_ratio: f64,
    /// Requests that went elsewhere than where they belong.
    pub spills: u64,
    /// Requests that nobody took.
    pub refused: u64,
}

/// What a version changed, in a line.
pub fn summary(changes: &[Change]) -> String {
    let named: Vec<&str> = changes
        .iter()
        .take(SUMMARY_CHANGES)
        .map(|change| change.text.as_str())
        .collect();
    let more = changes.len().saturating_sub(SUMMARY_CHANGES);
    let text = match (named.is_empty(), more) {
        (true, _) => "nothing that has a meaning".to_owned(),
        (false, 0) => named.join("; "),
        (false, more) => format!("{}; and {more} more", named.join("; ")),
    };
    text.chars().take(SUMMARY_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_a_line_of_bounded_length() {
        let change = |text: &str| Change {
            text: text.to_owned(),
            needs_restart: false,
        };
        let check = |texts: &[&str], expected: &str| {
            let changes: Vec<Change> = texts.iter().map(|text| change(text)).collect();
            assert_eq!(summary(&changes), expected);
        };
        check(&[], "nothing that has a meaning");
        check(&["a"], "a");
        check(&["a", "b", "c", "d", "e"], "a; b; c; and 2 more");
        assert_eq!(summary(&[change(&"a".repeat(400))]).len(), SUMMARY_CHARS);
    }
}
