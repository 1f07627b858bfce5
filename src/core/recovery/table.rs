//! What each answer of Azure's means: one row a kind, the first that fits counts.
//!
//! After Azure's documented errors and what was seen in the wild; `tests/golden/errors.jsonl` has bodies, and what they come to.
//! Bodies differ by place and year: codes are words or numbers in text, some have no code, some no envelope, some are HTML. So a
//! row may go by status, by code, or by words in the message.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::core::recovery::outcome::{Alarm, AttemptOutcome, Next, Scope};

/// A missing deployment is looked for again after half a minute: it may just have been created.
const MISSING_FOR: Duration = Duration::from_secs(30);
/// A refused credential, a wrong path or a paused deployment changes only by an operator's hand.
const REFUSED_FOR: Duration = Duration::from_mins(1);
/// Network rules and disabled keys are somebody's intention.
const DENIED_FOR: Duration = Duration::from_mins(5);
/// A retired model does not come back, and a blocked resource must be left alone.
const GONE_FOR: Duration = Duration::from_mins(10);

/// What messages say of a tool's server that the client named.
const OF_TOOL_SERVER: &[&str] = &["mcp server"];

/// What the deployment learns, before the answer's own times are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// It works.
    Works,
    /// A failure; whether the work may have been done and be billed.
    Failure {
        /// Whether it may be billed.
        maybe_billed: bool,
    },
    /// It asks for rest.
    Rest,
    /// If the answer names a time, a pause; else a failure that may be billed.
    Pause,
    /// It cannot work for so long.
    Unusable(Duration),
}

/// Which deployments a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// All.
    Any,
    /// Those with reserved throughput.
    Provisioned,
}

/// A kind of answer.
#[derive(Debug)]
pub struct Row {
    /// What it is.
    pub name: &'static str,
    /// Its statuses.
    pub status: RangeInclusive<u16>,
    /// Its code is one of these; any if empty and `says` is, too.
    pub codes: &'static [&'static str],
    /// Its message holds one of these, in whatever case; written in lower case.
    pub says: &'static [&'static str],
    /// Where.
    pub at: At,
    /// The outcome's name.
    pub outcome: AttemptOutcome,
    /// What the request does.
    pub next: Next,
    /// What is learned.
    pub lesson: Lesson,
    /// Of whom.
    pub scope: Scope,
    /// What an operator must look at.
    pub alarm: Option<Alarm>,
}

const fn row(
    name: &'static str,
    status: RangeInclusive<u16>,
    outcome: AttemptOutcome,
    next: Next,
    lesson: Lesson,
) -> Row {
    Row {
        name,
        status,
        codes: &[],
        says: &[],
        at: At::Any,
        outcome,
        next,
        lesson,
        scope: Scope::Deployment,
        alarm: None,
    }
}

const FAILURE: Lesson = Lesson::Failure { maybe_billed: true };

use AttemptOutcome as O;

/// All kinds. The last fits everything.
pub const ROWS: &[Row] = &[
    row("answer", 200..=299, O::Success, Next::Final, Lesson::Works),
    Row {
        codes: &["content_filter", "ResponsibleAIPolicyViolation"],
        // A weaker filter elsewhere would be a way round the policy.
        ..row("content filter", 400..=400, O::Rejected, Next::Final, Lesson::Works)
    },
    Row {
        codes: &["context_length_exceeded"],
        at: At::Provisioned,
        // Provisioned deployments of some models take 128 k tokens where others take a million.
        ..row(
            "prompt too long, provisioned",
            400..=400,
            O::Rejected,
            Next::PayPerToken,
            Lesson::Works,
        )
    },
    Row {
        codes: &["OperationNotSupported"],
        // Either this deployment has another model than the pool's others, or the client asked for what none of them does. The
        // second must not cost others their deployments, so nothing is held against this one.
        ..row(
            "operation not supported",
            400..=400,
            O::Rejected,
            Next::Elsewhere,
            Lesson::Works,
        )
    },
    Row {
        codes: &["PermissionDenied"],
        says: &[
            "does not have access to api/operation",
            "lacks the required data action",
        ],
        scope: Scope::Resource,
        alarm: Some(Alarm::RoleMissing),
        ..row(
            "role missing",
            401..=403,
            O::CredentialRefused,
            Next::Elsewhere,
            Lesson::Unusable(REFUSED_FOR),
        )
    },
    Row {
        codes: &["AuthenticationTypeDisabled"],
        scope: Scope::Resource,
        alarm: Some(Alarm::KeysDisabled),
        ..row(
            "keys disabled",
            403..=403,
            O::CredentialRefused,
            Next::Elsewhere,
            Lesson::Unusable(DENIED_FOR),
        )
    },
    Row {
        says: &[
            "virtual network",
            "firewall",
            "private endpoint",
            "public access is disabled",
        ],
        scope: Scope::Resource,
        alarm: Some(Alarm::NetworkDenied),
        ..row(
            "network rules",
            403..=403,
            O::CredentialRefused,
            Next::Elsewhere,
            Lesson::Unusable(DENIED_FOR),
        )
    },
    Row {
        says: &["has been temporarily blocked", "has been blocked"],
        scope: Scope::Resource,
        alarm: Some(Alarm::ResourceBlocked),
        ..row(
            "blocked resource",
            403..=403,
            O::CredentialRefused,
            Next::Elsewhere,
            Lesson::Unusable(GONE_FOR),
        )
    },
    Row {
        scope: Scope::Resource,
        alarm: Some(Alarm::CredentialRefused),
        ..row(
            "credential refused",
            401..=401,
            O::CredentialRefused,
            Next::Elsewhere,
            Lesson::Unusable(REFUSED_FOR),
        )
    },
    Row {
        scope: Scope::Resource,
        alarm: Some(Alarm::CredentialRefused),
        ..row(
            "forbidden",
            403..=403,
            O::CredentialRefused,
            Next::Elsewhere,
            Lesson::Unusable(REFUSED_FOR),
        )
    },
    Row {
        codes: &["previous_response_not_found"],
        says: &["with id"],
        // Any client can name a response, an item or a file that is not there.
        ..row(
            "named thing unknown",
            404..=404,
            O::Rejected,
            Next::Final,
            Lesson::Works,
        )
    },
    Row {
        codes: &["DeploymentNotFound"],
        alarm: Some(Alarm::DeploymentMissing),
        ..row(
            "deployment missing",
            404..=404,
            O::Unavailable,
            Next::Elsewhere,
            Lesson::Unusable(MISSING_FOR),
        )
    },
    Row {
        alarm: Some(Alarm::PathUnknown),
        ..row(
            "path unknown",
            404..=404,
            O::Misconfigured,
            Next::Elsewhere,
            Lesson::Unusable(REFUSED_FOR),
        )
    },
    row("timeout at Azure", 408..=408, O::Failed, Next::Elsewhere, FAILURE),
    Row {
        alarm: Some(Alarm::ModelRetired),
        ..row(
            "model retired",
            410..=410,
            O::Unavailable,
            Next::Elsewhere,
            Lesson::Unusable(GONE_FOR),
        )
    },
    Row {
        alarm: Some(Alarm::Paused),
        ..row(
            "deployment paused",
            423..=423,
            O::Unavailable,
            Next::Elsewhere,
            Lesson::Unusable(REFUSED_FOR),
        )
    },
    Row {
        says: OF_TOOL_SERVER,
        // A tool's server that the client named; the model was not asked.
        ..row(
            "tool server unreachable",
            424..=424,
            O::Rejected,
            Next::Final,
            Lesson::Works,
        )
    },
    row("failed dependency", 424..=424, O::Failed, Next::Elsewhere, FAILURE),
    row("throttled", 429..=429, O::Throttled, Next::Elsewhere, Lesson::Rest),
    Row {
        alarm: Some(Alarm::TooManyHeaders),
        ..row("too many headers", 431..=431, O::Rejected, Next::Final, Lesson::Works)
    },
    // The deployment answered properly: what was sent is at fault.
    row("bad request", 400..=499, O::Rejected, Next::Final, Lesson::Works),
    row("unavailable", 503..=503, O::Failed, Next::Elsewhere, Lesson::Pause),
    row("server error", 500..=599, O::Failed, Next::Elsewhere, FAILURE),
    // 1xx never come here as final answers, and redirects are not followed: a deployment that sends one is misconfigured.
    row(
        "no answer that Azure gives",
        0..=u16::MAX,
        O::Failed,
        Next::Elsewhere,
        Lesson::Failure { maybe_billed: false },
    ),
];

/// The row of an answer. The last one fits all.
pub fn find(status: u16, code: Option<&str>, message: Option<&str>, is_provisioned: bool) -> &'static Row {
    let fits = |row: &&Row| {
        let is_named = (row.codes.is_empty() && row.says.is_empty())
            || code.is_some_and(|code| row.codes.contains(&code))
            || message.is_some_and(|message| row.says.iter().any(|words| holds(message, words)));
        row.status.contains(&status) && is_named && (row.at == At::Any || is_provisioned)
    };
    ROWS.iter().find(fits).unwrap_or(&ROWS[ROWS.len() - 1])
}

/// Whether an error is of a tool's server that the client named, whatever its status.
pub fn is_of_tool_server(code: Option<&str>, message: Option<&str>) -> bool {
    let says = |text: &str| OF_TOOL_SERVER.iter().any(|words| holds(text, words));
    message.is_some_and(says) || code.is_some_and(|code| code.starts_with("mcp_"))
}

/// Whether a text holds these words, which are in lower case.
fn holds(text: &str, words: &str) -> bool {
    let mut windows = text.as_bytes().windows(words.len());
    windows.any(|window| window.eq_ignore_ascii_case(words.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_reached_and_the_last_takes_what_is_left() {
        for row in ROWS {
            let code = row.codes.first().copied();
            let found = find(
                *row.status.start(),
                code,
                row.says.first().copied(),
                row.at == At::Provisioned,
            );
            if *row.status.start() > 0 && row.name != "bad request" && row.name != "server error" {
                assert_eq!(found.name, row.name);
            }
        }
        assert_eq!(find(418, None, None, false).name, "bad request");
        assert_eq!(find(500, None, None, false).name, "server error");
        assert_eq!(find(302, None, None, false).name, "no answer that Azure gives");
    }

    #[test]
    fn words_are_found_in_any_case_and_anywhere() {
        assert!(holds(
            "Access denied due to Virtual Network/Firewall rules.",
            "virtual network"
        ));
        assert!(!holds("Virtual", "virtual network"));
        assert_eq!(
            find(403, Some("403"), Some("due to VIRTUAL network"), false).name,
            "network rules"
        );
    }

    #[test]
    fn words_are_written_in_lower_case() {
        for row in ROWS {
            for words in row.says {
                assert_eq!(*words, words.to_lowercase());
            }
        }
    }
}
