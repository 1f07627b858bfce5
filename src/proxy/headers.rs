//! Which headers go where: allow-lists in both directions, and the gateway's own.
//!
//! Upstream heads are built from nothing. Azure answers 431 above ten custom headers, hop-by-hop headers must not pass, and
//! a client's credential must never leave; an allow-list keeps all three by construction.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use bytes::{BufMut as _, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora::http::{RequestHeader, ResponseHeader};
use smallvec::SmallVec;

use crate::core::topology::Snapshot;
use crate::core::trace_context::RequestTrace;
use crate::proxy::client_limits::{self, Standings};
use crate::proxy::context::RequestContext;
use crate::proxy::state::{Live, LiveResource};
use crate::proxy::tracing::{self, TRACEPARENT, TRACESTATE};
use crate::telemetry::clock;

/// Request headers that are passed on; the two of a trace as the request's place in it says, if it has one.
const REQUEST_ALLOWED: [&str; 7] = [
    "accept",
    "content-type",
    "user-agent",
    "openai-beta",
    "traceparent",
    "tracestate",
    "x-ms-client-request-id",
];

/// Names the deployment that Azure may spill a request over to; passed on only where that is a member of the pool.
const SPILLS_TO: HeaderName = HeaderName::from_static("x-ms-spillover-deployment");

/// Response headers that are passed on, in alphabetical order.
const RESPONSE_ALLOWED: [&str; 23] = [
    "apim-request-id",
    "azureml-model-session",
    "cache-control",
    "content-encoding",
    "content-type",
    "date",
    "ms-azureml-model-error-reason",
    "ms-azureml-model-error-statuscode",
    "openai-processing-ms",
    "x-accel-buffering",
    "x-content-type-options",
    "x-emberway-simulator",
    "x-envoy-upstream-service-time",
    "x-ms-client-request-id",
    "x-ms-deployment-name",
    "x-ms-rai-invoked",
    "x-ms-region",
    "x-ms-spillover-error",
    "x-ms-spillover-from-deployment",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
];

/// The id of a request, on every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const UPSTREAM_REQUEST_ID: HeaderName = HeaderName::from_static("x-emberway-upstream-request-id");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

const LIMIT_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
const LIMIT_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-limit-tokens");
const REMAINING_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
const REMAINING_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-tokens");
const RESET_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");
const RESET_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-reset-tokens");

/// Longest time that a client is asked to wait: the official libraries ignore longer ones, or stop retrying.
pub const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);

/// The headers of a client's request that are passed on, taken once a request.
#[derive(Debug, Default)]
pub struct Forwarded {
    always: SmallVec<[(&'static str, HeaderValue); 6]>,
    spills_to: Option<HeaderValue>,
}

impl Forwarded {
    /// Takes them from the head of a request with this place in a trace. Without one the client's own passes as it is.
    pub fn of(headers: &HeaderMap, trace: Option<RequestTrace>) -> Self {
        let allowed = |(name, value): (&HeaderName, &HeaderValue)| {
            let known = REQUEST_ALLOWED.iter().find(|allowed| **allowed == name.as_str())?;
            let passes = trace.is_none_or(|trace| {
                *name != TRACEPARENT && (*name != TRACESTATE || tracing::passes_state(headers, trace))
            });
            passes.then(|| (*known, value.clone()))
        };
        Self {
            always: headers.iter().filter_map(allowed).collect(),
            spills_to: headers.get(SPILLS_TO).cloned(),
        }
    }

    /// The deployment that the client names for Azure to spill its request over to.
    pub fn spills_to(&self) -> Option<&HeaderValue> {
        self.spills_to.as_ref()
    }
}

/// The head of an upstream request: a `POST` of a body of known length.
pub struct UpstreamHead<'a> {
    /// Path and query.
    pub path: &'a str,
    /// Whom it goes to.
    pub resource: &'a LiveResource,
    /// What the client sent along.
    pub forwarded: &'a Forwarded,
    /// The deployment that Azure may spill it over to.
    pub spills_to: Option<&'a HeaderValue>,
    /// The span that it belongs to, in place of what the client sent along.
    pub traceparent: Option<HeaderValue>,
    /// Length of the body, in bytes.
    pub body_length: usize,
}

impl UpstreamHead<'_> {
    /// Writes it in HTTP/1.1's form. Names and values were checked when they became header names and values, the path
    /// is percent-encoded, so nothing here can break out of its line.
    pub fn write_http1(&self, out: &mut BytesMut) {
        out.put_slice(b"POST ");
        out.put_slice(self.path.as_bytes());
        out.put_slice(b" HTTP/1.1\r\n");
        let mut line = |name: &str, value: &[u8]| {
            out.put_slice(name.as_bytes());
            out.put_slice(b": ");
            out.put_slice(value);
            out.put_slice(b"\r\n");
        };
        line("host", self.resource.authority.as_bytes());
        line(
            self.resource.login.name().as_str(),
            self.resource.login.value().as_bytes(),
        );
        line("content-length", HeaderValue::from(self.body_length).as_bytes());
        line("accept-encoding", b"identity");
        self.each_forwarded(|name, value| line(name, value.as_bytes()));
        out.put_slice(b"\r\n");
    }

    /// The same for pingora's sessions.
    ///
    /// # Errors
    /// When the path cannot be sent.
    pub fn to_pingora(&self) -> pingora::Result<RequestHeader> {
        let mut head = RequestHeader::build_no_case("POST", self.path.as_bytes(), Some(16))?;
        head.insert_header(header::HOST, self.resource.authority.clone())?;
        let login = &self.resource.login;
        head.insert_header(login.name().clone(), (**login.value()).clone())?;
        head.insert_header(header::CONTENT_LENGTH, HeaderValue::from(self.body_length))?;
        head.insert_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))?;
        let mut result = Ok(());
        self.each_forwarded(|name, value| {
            if result.is_ok() {
                let name = HeaderName::from_static(name);
                // One list in several headers; of the others the last counts.
                result = if name == TRACESTATE {
                    head.append_header(name, value.clone()).map(|_| ())
                } else {
                    head.insert_header(name, value.clone())
                };
            }
        });
        result.map(|()| head)
    }

    /// Every header that comes from the client or its trace, and the content type, which is JSON where the client did not say.
    fn each_forwarded(&self, mut each: impl FnMut(&'static str, &HeaderValue)) {
        if !self.forwarded.always.iter().any(|(name, _)| *name == "content-type") {
            each("content-type", &HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.forwarded.always {
            each(name, value);
        }
        if let Some(traceparent) = &self.traceparent {
            each("traceparent", traceparent);
        }
        if let Some(deployment) = self.spills_to {
            each("x-ms-spillover-deployment", deployment);
        }
    }
}

/// The head of an answer that is passed on, without its framing.
///
/// # Errors
/// When the status cannot be sent.
pub fn downstream_head(upstream: &ResponseHeader) -> pingora::Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(upstream.status, Some(24))?;
    for (name, value) in &upstream.headers {
        if *name == REQUEST_ID {
            head.insert_header(UPSTREAM_REQUEST_ID, value.clone())?;
        } else if RESPONSE_ALLOWED.binary_search(&name.as_str()).is_ok() {
            head.insert_header(name.clone(), value.clone())?;
        }
    }
    Ok(head)
}

/// Adds what every answer of the gateway carries: the request's id, where the time went, and, for clients that have them
/// switched on, who answered and why.
///
/// # Errors
/// When a value cannot be sent.
pub fn add_own(head: &mut ResponseHeader, context: &RequestContext, now: Instant) -> pingora::Result<()> {
    if let Ok(id) = HeaderValue::from_str(&context.id) {
        head.insert_header(REQUEST_ID, id)?;
    }
    head.insert_header(SERVER_TIMING, timing(context, now))?;
    let Some(live) = context.live.as_deref() else {
        return Ok(());
    };
    let snapshot = &live.config.runtime.snapshot;
    if context
        .client
        .is_some_and(|client| snapshot.clients[client.0].debug_headers)
    {
        add_debug(head, context, snapshot)?;
    }
    if let Some(standings) = client_limits::standings(live, context, now) {
        add_standings(head, standings)?;
    }
    Ok(())
}

/// Tells a client that has limits where it stands, in place of what the upstream says of the gateway's.
fn add_standings(head: &mut ResponseHeader, standings: Standings) -> pingora::Result<()> {
    let sets = [
        (LIMIT_REQUESTS, REMAINING_REQUESTS, RESET_REQUESTS, standings.requests),
        (LIMIT_TOKENS, REMAINING_TOKENS, RESET_TOKENS, standings.tokens),
    ];
    for (limit, remaining, reset, standing) in sets {
        head.remove_header(&limit);
        head.remove_header(&remaining);
        let Some(standing) = standing else { continue };
        head.insert_header(limit, HeaderValue::from(standing.limit))?;
        head.insert_header(remaining, HeaderValue::from(standing.remaining))?;
        head.insert_header(reset, reset_text(standing.reset))?;
    }
    Ok(())
}

/// A length of time as OpenAI's own reset headers have it: `6m0s`, `8.64s`, `20ms`. Rounded up.
fn reset_text(time: Duration) -> String {
    // Times here are sums of fractions; what is no millisecond is none.
    let ms = (time.as_secs_f64() * 1000.0 - 1e-3).ceil().max(0.0) as u64;
    let (minutes, seconds) = (ms / 60_000, ms % 60_000);
    match (minutes, seconds) {
        (0, ..1_000) => format!("{ms}ms"),
        (0, _) => format!("{}s", seconds as f64 / 1000.0),
        _ => format!("{minutes}m{}s", seconds as f64 / 1000.0),
    }
}

/// Tells the client when, and whether, to try again.
///
/// # Errors
/// When a value cannot be sent.
pub fn add_retry(head: &mut ResponseHeader, after: Option<Duration>, is_final: bool) -> pingora::Result<()> {
    if is_final {
        head.insert_header(SHOULD_RETRY, HeaderValue::from_static("false"))?;
    }
    if let Some(after) = after {
        let after = after.clamp(Duration::from_millis(1), RETRY_AFTER_MAX);
        let ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        head.insert_header(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1000)))?;
        head.insert_header(RETRY_AFTER_MS, HeaderValue::from(ms))?;
    }
    Ok(())
}

/// `server-timing`: the gateway's own time, the upstream's, and the time to the first token where it is known.
fn timing(context: &RequestContext, now: Instant) -> HeaderValue {
    let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
    let mut text = String::with_capacity(64);
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "gw;dur={:.3}, up;dur={:.3}",
        ms(context.overhead(now)),
        ms(context.upstream_wait)
    );
    if !context.queue_wait.is_zero() {
        let _ = write!(text, ", wait;dur={:.3}", ms(context.queue_wait));
    }
    if let Some(first) = context.first_token {
        let _ = write!(text, ", ttft;dur={:.3}", ms(first.duration_since(context.started)));
    }
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("gw"))
}

fn add_debug(head: &mut ResponseHeader, context: &RequestContext, snapshot: &Snapshot) -> pingora::Result<()> {
    head.insert_header(
        HeaderName::from_static("x-emberway-attempts"),
        HeaderValue::from(context.attempts.len()),
    )?;
    if let Some(route) = context.route {
        let name = text(&snapshot.routes[route.0].id);
        head.insert_header(HeaderName::from_static("x-emberway-route"), name)?;
    }
    let Some(attempt) = context.deciding_attempt() else {
        return Ok(());
    };
    let deployment = &snapshot.deployments[attempt.deployment.0];
    let region = &snapshot.resources[deployment.resource.0].region;
    head.insert_header(HeaderName::from_static("x-emberway-deployment"), text(&deployment.id))?;
    head.insert_header(HeaderName::from_static("x-emberway-region"), text(region))?;
    let reason: &'static str = attempt.reason.into();
    head.insert_header(
        HeaderName::from_static("x-emberway-reason"),
        HeaderValue::from_static(reason),
    )?;
    Ok(())
}

/// A configured name as a header value; one with other than visible ASCII becomes `-`.
fn text(name: &str) -> HeaderValue {
    HeaderValue::from_str(name).unwrap_or(HeaderValue::from_static("-"))
}

/// How long an upstream asks to be left alone.
pub fn retry_after(head: &ResponseHeader) -> Option<Duration> {
    let value = |name: &HeaderName| head.headers.get(name).map(HeaderValue::as_bytes);
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(clock::now_ms().unsigned_abs());
    crate::openai::azure::retry_after(value(&RETRY_AFTER_MS), value(&header::RETRY_AFTER), now)
}

/// The model names that the request's client may ask for, aliases included, in alphabetical order.
pub fn models_of(live: &Live, context: &RequestContext) -> Vec<String> {
    let snapshot = &live.config.runtime.snapshot;
    let Some(client) = context.client.map(|client| &snapshot.clients[client.0]) else {
        return Vec::new();
    };
    let mut names: Vec<String> = snapshot
        .route_by_model
        .iter()
        .filter(|(_, route)| client.routes.allows(**route))
        .map(|(name, _)| name.to_string())
        .collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_until_a_reset_are_as_openai_has_them() {
        for (ms, text) in [
            (0.0, "0ms"),
            (20.0, "20ms"),
            (20.2, "21ms"),
            (999.0, "999ms"),
            (1_000.0, "1s"),
            (8_640.0, "8.64s"),
            (59_999.5, "1m0s"),
            (360_000.0, "6m0s"),
            (61_500.0, "1m1.5s"),
        ] {
            assert_eq!(reset_text(Duration::from_secs_f64(ms / 1000.0)), text);
        }
    }
}
