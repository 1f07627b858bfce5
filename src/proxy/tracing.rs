//! A request's place in a trace: what its head says, and what is sent on. Spans are built elsewhere, from finished requests.
//!
//! Where no traces are sent there is none of this: the client's own headers pass as they are. What a client sends as `baggage` never
//! passes: it is not in the list of what does.

use std::fmt::Write;
use std::num::{NonZeroU64, NonZeroU128};

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use crate::core::trace_context::{RequestTrace, Sampling, TRACEPARENT_BYTES, TraceParent};

/// Names the span that a request belongs to.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What tracing systems tell each other beside it.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Most of `tracestate` that is passed on, in bytes, all of its headers together: what the standard asks everybody to pass on.
const TRACESTATE_BYTES_MAX: usize = 512;

/// Whether requests get a place in a trace, and which traces are kept.
#[derive(Debug, Clone, Copy)]
pub struct Tracing {
    /// Which are kept.
    pub sampling: Sampling,
}

impl Tracing {
    /// The place of a request with this head.
    pub fn begin(&self, headers: &HeaderMap) -> RequestTrace {
        let id = NonZeroU128::new(rand::random()).unwrap_or(NonZeroU128::MIN);
        let span = NonZeroU64::new(rand::random()).unwrap_or(NonZeroU64::MIN);
        RequestTrace::begin(parent(headers), id, span, self.sampling)
    }
}

/// What the client says; none where it says nothing, nonsense, or two things.
fn parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut all = headers.get_all(TRACEPARENT).iter();
    let only = all.next().filter(|_| all.next().is_none())?;
    TraceParent::parse(only.as_bytes())
}

/// Whether `tracestate` is passed on. It belongs to the client's trace: without one it has no meaning.
pub fn passes_state(headers: &HeaderMap, trace: RequestTrace) -> bool {
    let bytes: usize = headers.get_all(TRACESTATE).iter().map(HeaderValue::len).sum();
    trace.parent.is_some() && bytes <= TRACESTATE_BYTES_MAX
}

/// The header that an attempt is sent with.
pub fn header(place: TraceParent) -> Option<HeaderValue> {
    let mut text = String::with_capacity(TRACEPARENT_BYTES);
    // It is digits and dashes, which a string takes and a header can hold.
    write!(text, "{place}").ok()?;
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = all.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).expect("a value");
            (HeaderName::from_static(name), value)
        });
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    }

    fn tracing() -> Tracing {
        Tracing {
            sampling: Sampling::new(0.0, true),
        }
    }

    #[test]
    fn one_sound_header_is_the_clients_word() {
        let joined = tracing().begin(&headers(&[("traceparent", PARENT)]));
        assert!(joined.own.is_sampled());
        assert_eq!(joined.parent.map(NonZeroU64::get), Some(0xb7ad_6b71_6920_3331));
        let again = tracing().begin(&headers(&[("traceparent", PARENT)]));
        assert_eq!(joined.own.trace, again.own.trace);
        assert_ne!(joined.own.span, again.own.span, "each request is a span of its own");
        for malformed in [
            headers(&[]),
            headers(&[("traceparent", "nonsense")]),
            headers(&[("traceparent", PARENT), ("traceparent", PARENT)]),
        ] {
            let begun = tracing().begin(&malformed);
            assert_eq!(begun.parent, None, "{malformed:?}");
            assert_ne!(begun.own.trace, joined.own.trace);
        }
    }

    #[test]
    fn state_is_passed_on_with_its_trace_and_up_to_a_size() {
        let longest = format!("a={}", "x".repeat(TRACESTATE_BYTES_MAX - 2));
        for (all, expected) in [
            (vec![("traceparent", PARENT), ("tracestate", "a=1")], true),
            (vec![("traceparent", PARENT), ("tracestate", &longest)], true),
            (
                vec![("traceparent", PARENT), ("tracestate", &longest), ("tracestate", "b")],
                false,
            ),
            (vec![("tracestate", "a=1")], false),
            (vec![("traceparent", "nonsense"), ("tracestate", "a=1")], false),
        ] {
            let headers = headers(&all);
            let trace = tracing().begin(&headers);
            assert_eq!(passes_state(&headers, trace), expected, "{headers:?}");
        }
    }

    #[test]
    fn an_attempt_is_sent_with_its_own_span() {
        let trace = tracing().begin(&headers(&[("traceparent", PARENT)]));
        let sent = header(trace.attempt(1)).expect("a header");
        assert_eq!(TraceParent::parse(sent.as_bytes()), Some(trace.attempt(1)));
    }
}
