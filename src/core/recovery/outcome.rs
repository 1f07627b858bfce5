//! Classifies the end of an attempt: may the request go elsewhere, what does the deployment learn, and whom does it concern.
//!
//! What each answer means is data, in [`table`]. Two rules stand behind it: a refusal that another deployment would repeat
//! (bad request, content filter, too long a prompt) is final, since trying elsewhere costs time and might get round a
//! policy; and a 429 is not a failure, since the deployment works and only asks for rest.

use std::time::Duration;

use serde::Serialize;
use strum::{AsRefStr, IntoStaticStr, VariantArray};

use crate::core::recovery::table::{self, Lesson};

/// How an attempt ended before anything was sent to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd<'a> {
    /// The upstream answered with this status; for errors also what its body says and the rest it asks for.
    Status {
        /// HTTP status.
        status: u16,
        /// `error.code` of the body.
        code: Option<&'a str>,
        /// `error.message` of the body.
        message: Option<&'a str>,
        /// From `retry-after(-ms)`, uncapped.
        retry_after: Option<Duration>,
    },
    /// A good answer has begun and is passed on; how it ends is not known yet.
    Begun {
        /// HTTP status.
        status: u16,
    },
    /// An answer began with 200 and then told of an error.
    ErrorInStream {
        /// Its `code`.
        code: Option<&'a str>,
        /// Its `message`.
        message: Option<&'a str>,
    },
    /// No connection: name, TCP, TLS, or no answer to them in time.
    Unreachable,
    /// The connection ended before the answer was whole enough to pass on.
    Reset,
    /// The answer did not begin in time.
    Timeout,
    /// The request's own time ran out, long before the deployment's.
    OutOfTime,
    /// The client left.
    ClientGone,
    /// Another attempt of the request, begun beside this one, answered first.
    Overtaken,
}

/// An attempt's outcome, as the metric label and log field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, IntoStaticStr, AsRefStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum AttemptOutcome {
    /// A usable answer.
    Success,
    /// The request itself was refused.
    Rejected,
    /// 429.
    Throttled,
    /// 5xx, 408, 424, or an error inside a stream.
    Failed,
    /// No connection.
    Unreachable,
    /// The connection broke before the answer began.
    Reset,
    /// The answer did not begin in time.
    Timeout,
    /// The deployment does not exist, is paused, or its model is retired.
    Unavailable,
    /// The upstream does not know the path or the API version it was asked with: the configuration is wrong.
    Misconfigured,
    /// The gateway's credential was refused.
    CredentialRefused,
    /// The answer broke after its first byte had been sent.
    Broken,
    /// The client left.
    ClientGone,
    /// Another attempt of the request, begun beside this one, answered first.
    Overtaken,
    /// The gateway ended the request meanwhile: the time to stop had come.
    CutOff,
}

/// What the request does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The answer goes to the client as it is.
    Final,
    /// The next candidate is tried.
    Elsewhere,
    /// The next candidate that is paid per token: provisioned ones would refuse it too.
    PayPerToken,
}

/// What the deployment learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It works.
    Works,
    /// It has begun an answer: a probe has what it wanted, but failures are forgotten only at the answer's end.
    Begins,
    /// Nothing.
    Nothing,
    /// One failure more in a row.
    Failure,
    /// It asks for rest, for a time that it may have named.
    Rest(Option<Duration>),
    /// It cannot answer for a time that it named, which is no sign of health.
    Pause(Duration),
    /// It cannot work, whatever is sent, until somebody mends it: its breaker opens at once, for this long.
    Unusable(Duration),
}

/// Whom the end of an attempt tells about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The deployment; its resource is seen to be alive.
    Deployment,
    /// The whole resource, with all its deployments: its host, its credential.
    Resource,
    /// Either: it may be the deployment, and if others of the resource fail alike, it is the resource.
    Both,
}

/// Something that an operator must look at: no request will mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, IntoStaticStr, AsRefStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Alarm {
    /// The key or token is not accepted.
    CredentialRefused,
    /// The credential is known but lacks the role for inference.
    RoleMissing,
    /// The resource takes no keys, only Entra tokens.
    KeysDisabled,
    /// The resource's network rules keep the gateway out.
    NetworkDenied,
    /// The resource is blocked by Azure, for abuse as a rule.
    ResourceBlocked,
    /// Azure does not know the path or the API version.
    PathUnknown,
    /// The deployment does not exist: never created, or deleted.
    DeploymentMissing,
    /// The deployment's model is retired.
    ModelRetired,
    /// The deployment is paused.
    Paused,
    /// Azure found more headers than it takes.
    TooManyHeaders,
}

impl Alarm {
    /// What to do about it, for the log and the status page.
    pub fn advice(self) -> &'static str {
        match self {
            Self::CredentialRefused => "check the resource's key or token, and that the endpoint is this resource's",
            Self::RoleMissing => "give the identity the role `Cognitive Services OpenAI User` on the resource",
            Self::KeysDisabled => "the resource has keys disabled: configure a token, or allow keys",
            Self::NetworkDenied => {
                "allow the gateway's address in the resource's network rules, or use its private endpoint"
            }
            Self::ResourceBlocked => "Azure has blocked the resource: see its notifications and ask Azure's support",
            Self::PathUnknown => "check `endpoint`, `api` and `api_version` of the resource",
            Self::DeploymentMissing => "create the deployment, or take it out of the configuration",
            Self::ModelRetired => "fine-tune a newer base model and deploy that",
            Self::Paused => "resume the deployment",
            Self::TooManyHeaders => "forward fewer headers",
        }
    }

    /// Whether what Azure has differs from what is configured, so that the control plane should be asked.
    pub fn wants_reconciliation(self) -> bool {
        matches!(self, Self::DeploymentMissing | Self::ModelRetired | Self::Paused)
    }
}

/// The classification of an attempt's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome's name.
    pub outcome: AttemptOutcome,
    /// What the request does.
    pub next: Next,
    /// What the deployment learns.
    pub effect: Effect,
    /// Whom the effect is on.
    pub scope: Scope,
    /// Whether the provider may have done (and bill) the work although no answer came.
    pub maybe_billed: bool,
    /// What an operator must look at.
    pub alarm: Option<Alarm>,
}

/// Classifies an attempt's end at a deployment, provisioned or not. Linear in the table, about 30 rows, for errors; an answer is the first.
pub fn classify(end: AttemptEnd<'_>, is_provisioned: bool) -> Verdict {
    use AttemptOutcome as O;
    match end {
        AttemptEnd::Status {
            status,
            code,
            message,
            retry_after,
        } => by_table(status, code, message, retry_after, is_provisioned),
        AttemptEnd::Begun { .. } => verdict(O::Success, Next::Final, Effect::Begins, false),
        AttemptEnd::ErrorInStream { code, message } => {
            by_table(status_in_stream(code, message), code, message, None, is_provisioned)
        }
        AttemptEnd::Unreachable => Verdict {
            scope: Scope::Resource,
            ..verdict(O::Unreachable, Next::Elsewhere, Effect::Failure, false)
        },
        AttemptEnd::Reset => Verdict {
            scope: Scope::Both,
            ..verdict(O::Reset, Next::Elsewhere, Effect::Failure, true)
        },
        AttemptEnd::Timeout => Verdict {
            scope: Scope::Both,
            ..verdict(O::Timeout, Next::Elsewhere, Effect::Failure, true)
        },
        AttemptEnd::OutOfTime => verdict(O::Timeout, Next::Elsewhere, Effect::Nothing, true),
        AttemptEnd::ClientGone => verdict(O::ClientGone, Next::Final, Effect::Nothing, true),
        AttemptEnd::Overtaken => verdict(O::Overtaken, Next::Final, Effect::Nothing, true),
    }
}

fn by_table(
    status: u16,
    code: Option<&str>,
    message: Option<&str>,
    retry_after: Option<Duration>,
    is_provisioned: bool,
) -> Verdict {
    let row = table::find(status, code, message, is_provisioned);
    let (effect, maybe_billed) = match row.lesson {
        Lesson::Works => (Effect::Works, false),
        Lesson::Failure { maybe_billed } => (Effect::Failure, maybe_billed),
        Lesson::Rest => (Effect::Rest(retry_after), false),
        // One that names a time is believed; one without is a failure like any other.
        Lesson::Pause => (
            retry_after.map_or(Effect::Failure, Effect::Pause),
            retry_after.is_none(),
        ),
        Lesson::Unusable(lasting) => (Effect::Unusable(lasting), false),
    };
    Verdict {
        outcome: row.outcome,
        next: row.next,
        effect,
        scope: row.scope,
        maybe_billed,
        alarm: row.alarm,
    }
}

fn verdict(outcome: AttemptOutcome, next: Next, effect: Effect, maybe_billed: bool) -> Verdict {
    Verdict {
        outcome,
        next,
        effect,
        scope: Scope::Deployment,
        maybe_billed,
        alarm: None,
    }
}

/// The status that an error inside a stream would have had.
fn status_in_stream(code: Option<&str>, message: Option<&str>) -> u16 {
    const THROTTLES: [&str; 5] = [
        "429",
        "RateLimitReached",
        "NoCapacity",
        "too_many_requests",
        "rate_limit_exceeded",
    ];
    match code {
        Some(code) if THROTTLES.contains(&code) => 429,
        code if is_refusal(code) => 400,
        code if table::is_of_tool_server(code, message) => 424,
        _ => 500,
    }
}

/// Whether an error code inside a stream says that the request's own content is at fault: the content filter stopped it, or the
/// prompt or one of its images is none (`invalid_prompt`, `image_too_large`, `failed_to_download_image` and others of OpenAI's
/// `ResponseErrorCode`).
pub fn is_refusal(code: Option<&str>) -> bool {
    code.is_some_and(|code| {
        matches!(
            code,
            "content_filter" | "ResponsibleAIPolicyViolation" | "empty_image_file"
        ) || code.starts_with("invalid_")
            || code.contains("image")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, code: Option<&str>, outcome: AttemptOutcome, next: Next) {
        let end = AttemptEnd::Status {
            status,
            code,
            message: None,
            retry_after: None,
        };
        let verdict = classify(end, false);
        assert_eq!((verdict.outcome, verdict.next), (outcome, next), "{status} {code:?}");
    }

    #[test]
    fn the_table() {
        use AttemptOutcome as O;
        check(200, None, O::Success, Next::Final);
        check(301, None, O::Failed, Next::Elsewhere);
        check(400, None, O::Rejected, Next::Final);
        check(400, Some("content_filter"), O::Rejected, Next::Final);
        check(400, Some("context_length_exceeded"), O::Rejected, Next::Final);
        check(400, Some("OperationNotSupported"), O::Rejected, Next::Elsewhere);
        check(401, Some("401"), O::CredentialRefused, Next::Elsewhere);
        check(403, None, O::CredentialRefused, Next::Elsewhere);
        check(404, Some("DeploymentNotFound"), O::Unavailable, Next::Elsewhere);
        check(404, Some("404"), O::Misconfigured, Next::Elsewhere);
        check(404, None, O::Misconfigured, Next::Elsewhere);
        check(408, None, O::Failed, Next::Elsewhere);
        check(410, None, O::Unavailable, Next::Elsewhere);
        check(413, None, O::Rejected, Next::Final);
        check(422, None, O::Rejected, Next::Final);
        check(423, None, O::Unavailable, Next::Elsewhere);
        check(424, None, O::Failed, Next::Elsewhere);
        check(429, Some("429"), O::Throttled, Next::Elsewhere);
        check(431, None, O::Rejected, Next::Final);
        for status in [500, 502, 503, 504] {
            check(status, None, O::Failed, Next::Elsewhere);
        }
    }

    #[test]
    fn a_throttle_is_rest_and_never_a_failure() {
        let second = Some(Duration::from_secs(1));
        let end = AttemptEnd::Status {
            status: 429,
            code: None,
            message: None,
            retry_after: second,
        };
        assert_eq!(classify(end, false).effect, Effect::Rest(second));
        assert_eq!(classify(in_stream(Some("429"), None), true).effect, Effect::Rest(None));
    }

    #[test]
    fn an_unavailable_service_that_names_a_time_is_believed_but_not_healthy() {
        let effect = |retry_after| {
            let end = AttemptEnd::Status {
                status: 503,
                code: None,
                message: None,
                retry_after,
            };
            classify(end, false).effect
        };
        let second = Duration::from_secs(1);
        assert_eq!(effect(Some(second)), Effect::Pause(second));
        assert_eq!(effect(None), Effect::Failure);
    }

    fn in_stream<'a>(code: Option<&'a str>, message: Option<&'a str>) -> AttemptEnd<'a> {
        AttemptEnd::ErrorInStream { code, message }
    }

    #[test]
    fn what_ends_a_stream_by_the_clients_own_doing_is_final_and_held_against_nobody() {
        let verdict = |code, message| {
            let verdict = classify(in_stream(code, message), false);
            (verdict.next, verdict.effect)
        };
        let own = (Next::Final, Effect::Works);
        assert_eq!(verdict(Some("content_filter"), None), own);
        assert_eq!(
            verdict(Some("external_connector_error"), Some("Error reaching MCP server: 502")),
            own
        );
        assert_eq!(verdict(None, None), (Next::Elsewhere, Effect::Failure));
    }
}
