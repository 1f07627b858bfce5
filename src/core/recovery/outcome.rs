//! Classifies the end of an attempt: may the request go elsewhere, and what does the deployment learn.
//!
//! The table follows Azure's documented errors. Two rules stand behind it: a refusal that another deployment would repeat
//! (bad request, content filter, too long a prompt) is final, since trying elsewhere costs time and might get round a
//! policy; and a 429 is not a failure, since the deployment works and only asks for rest.

use std::time::Duration;

use serde::Serialize;
use strum::{AsRefStr, IntoStaticStr, VariantArray};

/// How an attempt ended before anything was sent to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd<'a> {
    /// The upstream answered with this status; for errors also the code its body names and the rest it asks for.
    Status {
        /// HTTP status.
        status: u16,
        /// `error.code` of the body.
        code: Option<&'a str>,
        /// From `retry-after(-ms)`, uncapped.
        retry_after: Option<Duration>,
    },
    /// A good answer has begun and is passed on; how it ends is not known yet.
    Begun {
        /// HTTP status.
        status: u16,
    },
    /// A stream answered 200 and then sent an error before any output.
    ErrorInStream {
        /// Its `code`.
        code: Option<&'a str>,
    },
    /// No connection: name, TCP, TLS, or no answer to them in time.
    Unreachable,
    /// The connection ended before the answer was whole enough to pass on.
    Reset,
    /// The answer did not begin in time.
    Timeout,
    /// The client left.
    ClientGone,
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

/// The classification of an attempt's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome's name.
    pub outcome: AttemptOutcome,
    /// What the request does.
    pub next: Next,
    /// What the deployment learns.
    pub effect: Effect,
    /// Whether the provider may have done (and bill) the work although no answer came.
    pub maybe_billed: bool,
}

/// A missing deployment is looked for again after half a minute: it may just have been created.
const MISSING_FOR: Duration = Duration::from_secs(30);
/// A refused credential, a wrong path or a paused deployment changes only by an operator's hand.
const REFUSED_FOR: Duration = Duration::from_mins(1);
/// A retired model does not come back.
const RETIRED_FOR: Duration = Duration::from_mins(10);

/// Classifies an attempt's end.
pub fn classify(end: AttemptEnd<'_>) -> Verdict {
    use AttemptOutcome as O;
    match end {
        AttemptEnd::Status {
            status,
            code,
            retry_after,
        } => classify_status(status, code, retry_after),
        AttemptEnd::Begun { .. } => verdict(O::Success, Next::Final, Effect::Begins, false),
        AttemptEnd::ErrorInStream { code } if is_throttle(code) => {
            verdict(O::Throttled, Next::Elsewhere, Effect::Rest(None), false)
        }
        AttemptEnd::ErrorInStream { code } if is_filter(code) => {
            verdict(O::Rejected, Next::Final, Effect::Works, false)
        }
        AttemptEnd::ErrorInStream { .. } => verdict(O::Failed, Next::Elsewhere, Effect::Failure, true),
        AttemptEnd::Unreachable => verdict(O::Unreachable, Next::Elsewhere, Effect::Failure, false),
        AttemptEnd::Reset => verdict(O::Reset, Next::Elsewhere, Effect::Failure, true),
        AttemptEnd::Timeout => verdict(O::Timeout, Next::Elsewhere, Effect::Failure, true),
        AttemptEnd::ClientGone => verdict(O::ClientGone, Next::Final, Effect::Nothing, true),
    }
}

fn classify_status(status: u16, code: Option<&str>, retry_after: Option<Duration>) -> Verdict {
    use AttemptOutcome as O;
    match status {
        200..=299 => verdict(O::Success, Next::Final, Effect::Works, false),
        // Either this deployment has another model than the pool's others, or the client asked for what none of them does. The
        // second must not cost others their deployments, so nothing is held against this one.
        400 if code == Some("OperationNotSupported") => verdict(O::Rejected, Next::Elsewhere, Effect::Works, false),
        401 | 403 => verdict(
            O::CredentialRefused,
            Next::Elsewhere,
            Effect::Unusable(REFUSED_FOR),
            false,
        ),
        404 if code == Some("DeploymentNotFound") => {
            verdict(O::Unavailable, Next::Elsewhere, Effect::Unusable(MISSING_FOR), false)
        }
        404 => verdict(O::Misconfigured, Next::Elsewhere, Effect::Unusable(REFUSED_FOR), false),
        410 => verdict(O::Unavailable, Next::Elsewhere, Effect::Unusable(RETIRED_FOR), false),
        423 => verdict(O::Unavailable, Next::Elsewhere, Effect::Unusable(REFUSED_FOR), false),
        429 => verdict(O::Throttled, Next::Elsewhere, Effect::Rest(retry_after), false),
        // A 503 with a time is believed; one without is a failure like any other.
        503 => {
            let effect = retry_after.map_or(Effect::Failure, Effect::Pause);
            verdict(O::Failed, Next::Elsewhere, effect, retry_after.is_none())
        }
        408 | 424 | 500..=599 => verdict(O::Failed, Next::Elsewhere, Effect::Failure, true),
        // The deployment answered properly: what was sent is at fault.
        400..=499 => verdict(O::Rejected, Next::Final, Effect::Works, false),
        // 1xx never come here as final answers, and redirects are not followed: a deployment that sends one is misconfigured.
        _ => verdict(O::Failed, Next::Elsewhere, Effect::Failure, false),
    }
}

fn verdict(outcome: AttemptOutcome, next: Next, effect: Effect, maybe_billed: bool) -> Verdict {
    Verdict {
        outcome,
        next,
        effect,
        maybe_billed,
    }
}

/// Whether an error code inside a stream means throttling.
fn is_throttle(code: Option<&str>) -> bool {
    matches!(
        code,
        Some("429" | "RateLimitReached" | "NoCapacity" | "too_many_requests" | "rate_limit_exceeded")
    )
}

/// Whether an error code inside a stream means that the content filter stopped it.
pub fn is_filter(code: Option<&str>) -> bool {
    matches!(code, Some("content_filter" | "ResponsibleAIPolicyViolation"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, code: Option<&str>, outcome: AttemptOutcome, next: Next) {
        let verdict = classify(AttemptEnd::Status {
            status,
            code,
            retry_after: None,
        });
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
            retry_after: second,
        };
        assert_eq!(classify(end).effect, Effect::Rest(second));
        assert_eq!(
            classify(AttemptEnd::ErrorInStream { code: Some("429") }).effect,
            Effect::Rest(None)
        );
    }

    #[test]
    fn an_unavailable_service_that_names_a_time_is_believed_but_not_healthy() {
        let effect = |retry_after| {
            let end = AttemptEnd::Status {
                status: 503,
                code: None,
                retry_after,
            };
            classify(end).effect
        };
        let second = Duration::from_secs(1);
        assert_eq!(effect(Some(second)), Effect::Pause(second));
        assert_eq!(effect(None), Effect::Failure);
    }

    #[test]
    fn a_filtered_stream_is_final() {
        assert_eq!(
            classify(AttemptEnd::ErrorInStream {
                code: Some("content_filter")
            })
            .next,
            Next::Final
        );
        assert_eq!(classify(AttemptEnd::ErrorInStream { code: None }).next, Next::Elsewhere);
    }
}
