//! Where does a request stand in a trace, and is the trace kept? The W3C's Trace Context, and the one decision about it.
//!
//! A header is read strictly: one that is malformed is as good as none, and the trace begins here. Ids of attempts are not drawn but
//! follow from the request's, so that whoever tells of an attempt later, off the request's way, knows what was sent.
//! <https://www.w3.org/TR/trace-context/> is the standard; version `00` is what is written.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// Length of a header of version `00`, in bytes.
pub const TRACEPARENT_BYTES: usize = 55;

/// The flag that says that whoever sends the header keeps the trace.
const SAMPLED: u8 = 0b01;
/// Flags that have a meaning: that of [`SAMPLED`], and that the trace's id is random (which is passed on and never set).
const KNOWN_FLAGS: u8 = 0b11;

/// A step of the generator that spreads ids, from the fraction of the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What `traceparent` says: a trace, a span of it, and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: NonZeroU128,
    /// The span that whatever is done next belongs to.
    pub span: NonZeroU64,
    /// Bits of the standard's second version at most.
    flags: u8,
}

impl TraceParent {
    /// Reads a header's value. None for anything that the standard calls invalid: letters other than lower-case hexadecimal ones, ids of
    /// zeros only, version `ff`, more than 55 bytes in version `00`; later versions may have more behind a `-`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (head, more) = value.split_at_checked(TRACEPARENT_BYTES)?;
        let version = hex(&head[..2])?;
        let has_more = match version {
            0xff => return None,
            0 => !more.is_empty(),
            _ => more.first().is_some_and(|byte| *byte != b'-'),
        };
        let is_divided = [2, 35, 52].iter().all(|&at| head[at] == b'-');
        if has_more || !is_divided {
            return None;
        }
        Some(Self {
            trace: NonZeroU128::new(hex(&head[3..35])?)?,
            span: NonZeroU64::new(u64::try_from(hex(&head[36..52])?).ok()?)?,
            flags: u8::try_from(hex(&head[53..])?).ok()? & KNOWN_FLAGS,
        })
    }

    /// The trace's id as logs and headers have it: 32 hexadecimal digits.
    pub fn trace_text(self) -> impl fmt::Display {
        struct Text(NonZeroU128);
        impl fmt::Display for Text {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }
        Text(self.trace)
    }

    /// Whether its sender keeps the trace.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }
}

/// Lower-case hexadecimal digits, at most 32.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

/// Which traces are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// A trace is kept if the 63 bits that decide are below this; at most 2^63.
    bound: u64,
    /// Whether a client that says so decides instead.
    follows_parent: bool,
}

impl Sampling {
    /// A share of traces, from 0 to 1, or what the client says if it says something.
    pub fn new(share: f64, follows_parent: bool) -> Self {
        Self {
            bound: (share.clamp(0.0, 1.0) * (1_u64 << 63) as f64) as u64,
            follows_parent,
        }
    }

    /// Whether a trace is kept. By its id, as OpenTelemetry's `TraceIdRatioBased` does it, so that everybody with the same share keeps
    /// the same traces.
    fn keeps(self, trace: NonZeroU128, parent: Option<TraceParent>) -> bool {
        match parent {
            Some(parent) if self.follows_parent => parent.is_sampled(),
            _ => (trace.get() as u64) >> 1 < self.bound,
        }
    }
}

/// A request's place in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestTrace {
    /// The request's own span.
    pub own: TraceParent,
    /// The span of the client's that it belongs to; none where the trace begins here.
    pub parent: Option<NonZeroU64>,
}

impl RequestTrace {
    /// Takes a request's place: in the trace of the client's header, or in a new one with this id. Both ids are random.
    pub fn begin(parent: Option<TraceParent>, new: NonZeroU128, span: NonZeroU64, sampling: Sampling) -> Self {
        let trace = parent.map_or(new, |parent| parent.trace);
        let random = parent.map_or(0, |parent| parent.flags & !SAMPLED);
        let own = TraceParent {
            trace,
            span,
            flags: random | u8::from(sampling.keeps(trace, parent)),
        };
        Self {
            own,
            parent: parent.map(|parent| parent.span),
        }
    }

    /// The place of the request's attempt with this number, from 0: another span of the same trace.
    pub fn attempt(self, number: usize) -> TraceParent {
        let step = GOLDEN.wrapping_mul(number as u64 + 1);
        let mut id = self.own.span.get().wrapping_add(step);
        id = (id ^ (id >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        id = (id ^ (id >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        TraceParent {
            span: NonZeroU64::new(id ^ (id >> 31)).unwrap_or(NonZeroU64::MIN),
            ..self.own
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn place(trace: u128, span: u64, flags: u8) -> TraceParent {
        TraceParent {
            trace: NonZeroU128::new(trace).expect("a trace"),
            span: NonZeroU64::new(span).expect("a span"),
            flags,
        }
    }

    fn known(flags: u8) -> TraceParent {
        place(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331, flags)
    }

    #[track_caller]
    fn check(value: &str, expected: Option<TraceParent>) {
        assert_eq!(TraceParent::parse(value.as_bytes()), expected, "`{value}`");
    }

    #[test]
    fn what_the_standard_allows_is_read() {
        for (flags, known_flags) in [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("09", 1), ("ff", 3)] {
            check(&format!("00-{TRACE}-{SPAN}-{flags}"), Some(known(known_flags)));
        }
        // Of later versions what is known of this one.
        for later in ["01", "cc", "fe"] {
            check(&format!("{later}-{TRACE}-{SPAN}-01"), Some(known(1)));
            check(&format!("{later}-{TRACE}-{SPAN}-01-more"), Some(known(1)));
        }
    }

    #[test]
    fn what_the_standard_calls_invalid_is_none() {
        for malformed in [
            String::new(),
            "00".to_owned(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-001"),
            format!("01-{TRACE}-{SPAN}-01more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("0A-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0A"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00_{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}_{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}_01"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!("00-+{}-{SPAN}-01", &TRACE[1..]),
            format!("00-{}é-{SPAN}-01", &TRACE[2..]),
        ] {
            check(&malformed, None);
        }
    }

    #[test]
    fn the_client_decides_where_it_says_something_and_is_believed() {
        let (always, never) = (Sampling::new(1.0, true), Sampling::new(0.0, true));
        let (id, span) = (known(0).trace, NonZeroU64::MIN);
        let is_kept = |parent, sampling| RequestTrace::begin(parent, id, span, sampling).own.is_sampled();
        for (parent, sampling, expected) in [
            (None, always, true),
            (None, never, false),
            (Some(known(1)), never, true),
            (Some(known(0)), always, false),
            (Some(known(1)), Sampling::new(0.0, false), false),
            (Some(known(0)), Sampling::new(1.0, false), true),
        ] {
            assert_eq!(is_kept(parent, sampling), expected, "{parent:?} with {sampling:?}");
        }
    }

    #[test]
    fn a_share_is_decided_by_the_id_alone() {
        let kept = |low: u64, share: f64| {
            let id = NonZeroU128::new((7_u128 << 64) | u128::from(low)).expect("an id");
            RequestTrace::begin(None, id, NonZeroU64::MIN, Sampling::new(share, true))
                .own
                .is_sampled()
        };
        // As the SDKs have it: the lower half's upper 63 bits against the share of 2^63.
        for (low, share, expected) in [
            (0, 0.0, false),
            (u64::MAX, 1.0, true),
            (0x7fff_ffff_ffff_ffff, 0.5, true),
            (0x8000_0000_0000_0000, 0.5, false),
            (0x0ccc_cccc_cccc_c000, 0.05, true),
            (0x0ccc_cccc_cccd_0000, 0.05, false),
        ] {
            assert_eq!(kept(low, share), expected, "{low:x} of {share}");
        }
    }

    #[test]
    fn a_request_stays_in_its_clients_trace() {
        let (new, span) = (NonZeroU128::MAX, NonZeroU64::MAX);
        let joined = RequestTrace::begin(Some(known(3)), new, span, Sampling::new(0.0, true));
        assert_eq!(joined.parent, Some(known(3).span));
        assert_eq!(joined.own.to_string(), format!("00-{TRACE}-ffffffffffffffff-03"));
        let begun = RequestTrace::begin(None, new, span, Sampling::new(1.0, true));
        assert_eq!(begun.parent, None);
        assert_eq!(begun.own, place(u128::MAX, u64::MAX, 1));
    }

    #[test]
    fn attempts_have_spans_of_their_own() {
        let request = RequestTrace::begin(
            Some(known(1)),
            NonZeroU128::MIN,
            NonZeroU64::MIN,
            Sampling::new(1.0, true),
        );
        let mut spans: HashSet<_> = (0..1_000).map(|number| request.attempt(number).span).collect();
        spans.insert(request.own.span);
        assert_eq!(spans.len(), 1_001);
        assert_eq!(request.attempt(0), request.attempt(0));
        assert_eq!(request.attempt(3).trace, request.own.trace);
        assert!(request.attempt(3).is_sampled());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(trace in 1_u128.., span in 1_u64.., flags in 0_u8..=3) {
            let written = place(trace, span, flags);
            let text = written.to_string();
            prop_assert_eq!(text.len(), TRACEPARENT_BYTES);
            prop_assert_eq!(TraceParent::parse(text.as_bytes()), Some(written));
        }

        #[test]
        fn nothing_that_is_sent_breaks_it(value in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(read) = TraceParent::parse(&value) {
                prop_assert!(value.len() >= TRACEPARENT_BYTES);
                let written = read.to_string();
                prop_assert_eq!(&value[3..52], &written.as_bytes()[3..52]);
            }
        }
    }
}
