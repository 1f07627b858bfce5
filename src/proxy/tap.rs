//! Listens to an event stream on its way to the client: finds output, usage, errors and the end, and takes out a usage
//! report that the client did not ask for.
//!
//! Without stripping, bytes go through as they come and are only looked at. With stripping, an event that has not
//! ended yet is held back until it has (a client could do nothing with half of one).

use bytes::{Bytes, BytesMut};

use crate::core::recovery::outcome;
use crate::openai::error;
use crate::openai::sse::Scanner;
use crate::openai::stream::{self, Event, Stripped};
use crate::openai::usage::Usage;

/// The tap.
#[derive(Debug, Default)]
pub struct StreamTap {
    scanner: Scanner,
    strips_usage: bool,
    /// What has been seen so far.
    pub seen: Seen,
}

/// What a stream has shown so far.
#[derive(Debug, Default)]
pub struct Seen {
    /// Events with output.
    pub output_events: u64,
    /// The last usage report.
    pub usage: Option<Usage>,
    /// Whether `[DONE]` has come.
    pub is_done: bool,
    /// The data of an error event.
    pub error: Option<Bytes>,
}

impl StreamTap {
    /// A tap at a stream's beginning.
    pub fn new(strips_usage: bool) -> Self {
        Self {
            strips_usage,
            ..Self::default()
        }
    }

    /// Takes the next bytes from upstream and returns what goes to the client now; it may be empty.
    pub fn feed(&mut self, chunk: &Bytes) -> Bytes {
        let seen = &mut self.seen;
        if !self.strips_usage {
            self.scanner.feed(chunk, |event| seen.look(&event));
            return chunk.clone();
        }
        let mut is_same = !self.scanner.is_inside_event();
        let mut out = BytesMut::with_capacity(chunk.len());
        self.scanner.feed(chunk, |event| {
            seen.look(&event);
            match stream::strip_usage(&event) {
                Stripped::Unchanged => out.extend_from_slice(&event),
                Stripped::Edited(edited) => {
                    is_same = false;
                    out.extend_from_slice(&edited);
                }
                Stripped::Dropped => is_same = false,
            }
        });
        if is_same && out.len() == chunk.len() {
            chunk.clone()
        } else {
            out.freeze()
        }
    }

    /// What is left at the stream's end: an event that was never closed. Without stripping the client has it already.
    pub fn finish(&mut self) -> Bytes {
        let rest = self.scanner.finish();
        if rest.is_empty() {
            return rest;
        }
        self.seen.look(&rest);
        if self.strips_usage { rest } else { Bytes::new() }
    }

    /// Whether the client has been sent the beginning of an event without its end.
    pub fn is_inside_event(&self) -> bool {
        !self.strips_usage && self.scanner.is_inside_event()
    }
}

impl Seen {
    /// Whether the answer has begun, or can no longer begin.
    pub fn is_decided(&self) -> bool {
        self.output_events > 0 || self.is_done || self.error.is_some()
    }

    /// Whether the error event, if there is one, tells that the content filter ended the stream.
    pub fn is_filtered(&self) -> bool {
        self.error
            .as_ref()
            .is_some_and(|data| outcome::is_filter(error::read(data).code.as_deref()))
    }

    fn look(&mut self, event: &Bytes) {
        let kind = match self.output_events {
            0 => stream::classify(event),
            _ => stream::classify_after_output(event),
        };
        match kind {
            Event::Done => self.is_done = true,
            Event::Error(data) => self.error = Some(data),
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Output => {
                self.output_events += 1;
                if let Some(usage) = stream::usage_beside(event) {
                    self.usage = Some(usage);
                }
            }
            Event::Preamble => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ASKED: &str = concat!(
        "data: {\"choices\":[],\"prompt_filter_results\":[],\"usage\":null}\n\n",
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}],\"usage\":null}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1}}\n\n",
        "data: [DONE]\n\n",
    );
    const PLAIN: &str = concat!(
        "data: {\"choices\":[],\"prompt_filter_results\":[]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: [DONE]\n\n",
    );

    fn run(stream: &str, strips: bool, cuts: &[usize]) -> (Vec<u8>, Seen) {
        let mut tap = StreamTap::new(strips);
        let mut out = Vec::new();
        let mut from = 0;
        for &cut in cuts.iter().chain([&stream.len()]) {
            let cut = cut.clamp(from, stream.len());
            out.extend_from_slice(&tap.feed(&Bytes::copy_from_slice(&stream.as_bytes()[from..cut])));
            from = cut;
        }
        out.extend_from_slice(&tap.finish());
        (out, tap.seen)
    }

    #[test]
    fn a_stripped_stream_is_what_the_client_would_have_seen() {
        let (out, seen) = run(ASKED, true, &[]);
        assert_eq!(String::from_utf8_lossy(&out), PLAIN);
        assert_eq!(
            seen.usage,
            Some(Usage {
                prompt: 9,
                cached: 0,
                completion: 1
            })
        );
        assert_eq!((seen.output_events, seen.is_done), (2, true));
    }

    #[test]
    fn a_chunk_without_usage_passes_without_a_copy() {
        let chunk = Bytes::from_static(PLAIN.as_bytes());
        let out = StreamTap::new(true).feed(&chunk);
        assert_eq!(out.as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn an_unclosed_event_is_not_lost() {
        let (out, seen) = run("data: [DONE]\n", true, &[]);
        assert_eq!(out, b"data: [DONE]\n");
        assert!(seen.is_done);
        assert_eq!(run("data: [DONE]\n", false, &[]).0, b"data: [DONE]\n");
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(mut cuts in proptest::collection::vec(0..ASKED.len(), 0..40)) {
            cuts.sort_unstable();
            let (stripped, seen) = run(ASKED, true, &cuts);
            prop_assert_eq!(stripped, PLAIN.as_bytes());
            prop_assert_eq!(seen.output_events, 2);
            let (through, seen) = run(ASKED, false, &cuts);
            prop_assert_eq!(through, ASKED.as_bytes());
            prop_assert!(seen.is_done && seen.usage.is_some());
        }
    }
}
