//! Listens to an event stream on its way to the client: finds output, usage, errors and the end, and takes out a usage
//! report that the client did not ask for.
//!
//! Without stripping, bytes go through as they come and are only looked at. With stripping, an event that has not
//! ended yet is held back until it has (a client could do nothing with half of one).
//!
//! Chats and completions speak one language, responses another. A response's stream always has its usage, so nothing is ever taken
//! out of it.

use bytes::{Bytes, BytesMut};

use crate::openai::sse::{self, Scanner};
use crate::openai::stream::{self, Event, Stripped};
use crate::openai::target::WireOperation;
use crate::openai::usage::Usage;
use crate::openai::{error, responses};

/// The tap.
#[derive(Debug, Default)]
pub struct StreamTap {
    scanner: Scanner,
    strips_usage: bool,
    /// Whether the stream ended inside an event.
    was_cut: bool,
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
    /// Whether `[DONE]` has come, or the last event of a response.
    pub is_done: bool,
    /// The data of an error event.
    pub error: Option<Bytes>,
    /// What only a response's stream has; none for others.
    pub response: Option<OfResponse>,
}

/// What is known of a response from its stream.
#[derive(Debug, Default)]
pub struct OfResponse {
    /// Its name, once it is told.
    pub name: Option<String>,
    /// The whole event that came last.
    last: Bytes,
    /// Whether that one was too long for one piece and is not over.
    is_inside: bool,
    /// Whether it ends the stream.
    ends: bool,
}

impl StreamTap {
    /// A tap at the beginning of a chat's or completion's stream.
    pub fn new(strips_usage: bool) -> Self {
        Self {
            strips_usage,
            ..Self::default()
        }
    }

    /// A tap at the beginning of this operation's stream.
    pub fn of(operation: WireOperation, strips_usage: bool) -> Self {
        if operation != WireOperation::Responses {
            return Self::new(strips_usage);
        }
        let mut tap = Self::new(false);
        tap.seen.response = Some(OfResponse::default());
        tap
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
        self.was_cut = true;
        if self.strips_usage { rest } else { Bytes::new() }
    }

    /// Whether the client has been sent the beginning of an event without its end.
    pub fn is_inside_event(&self) -> bool {
        self.was_cut || (!self.strips_usage && self.scanner.is_inside_event())
    }
}

impl Seen {
    /// Whether the answer has begun, or can no longer begin.
    pub fn is_decided(&self) -> bool {
        self.output_events > 0 || self.is_done || self.error.is_some()
    }

    /// The event with which the gateway itself ends a stream that broke.
    pub fn closing_error(&self, message: &str, code: &str) -> Bytes {
        match &self.response {
            None => error::event(message, "server_error", code),
            Some(response) => {
                let last = responses::sequence_number(&response.last);
                responses::error_event(message, code, last.map_or(0, |last| last.saturating_add(1)))
            }
        }
    }

    fn look(&mut self, event: &Bytes) {
        let kind = match &mut self.response {
            Some(response) => match response.look(event) {
                Some(kind) => kind,
                None => return,
            },
            None if self.output_events == 0 => stream::classify(event),
            None => stream::classify_after_output(event),
        };
        match kind {
            Event::Done => self.is_done = true,
            Event::Last(usage) => {
                self.usage = usage.or(self.usage);
                self.is_done = true;
            }
            Event::Named(name) => {
                if let Some(response) = &mut self.response {
                    response.name = Some(name);
                }
            }
            Event::Error(data) => {
                if self.response.is_some() {
                    self.usage = responses::usage_of(event).or(self.usage);
                }
                self.error = Some(data);
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Output => {
                self.output_events += 1;
                if self.response.is_none()
                    && let Some(usage) = stream::usage_beside(event)
                {
                    self.usage = Some(usage);
                }
            }
            Event::Preamble => {}
        }
    }
}

impl OfResponse {
    /// What an event is; none for a piece of one that is too long and not over, and for its later pieces.
    fn look(&mut self, event: &Bytes) -> Option<Event> {
        let is_over = sse::is_whole(event);
        if std::mem::replace(&mut self.is_inside, !is_over) {
            return (is_over && self.ends).then_some(Event::Last(None));
        }
        if is_over {
            self.last = event.clone();
        }
        let kind = responses::classify(event);
        self.ends = matches!(kind, Event::Last(_));
        (is_over || !self.ends).then_some(kind)
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

    /// What the gateway adds after a stream that ended inside an event would have become part of it.
    #[test]
    fn a_stream_that_ends_inside_an_event_is_known_to() {
        for strips in [false, true] {
            for (stream, is_inside) in [("data: {\"choi", true), ("data: 1\n\n", false)] {
                let mut tap = StreamTap::new(strips);
                tap.feed(&Bytes::from_static(stream.as_bytes()));
                tap.finish();
                assert_eq!(tap.is_inside_event(), is_inside, "{stream} {strips}");
            }
        }
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

    const RESPONSE: &str = concat!(
        "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\"}}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"delta\":\"\\\"usage\\\"\"}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":{\"id\":\"resp_1\",\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
    );

    fn hear(chunks: &[&[u8]]) -> (Vec<u8>, Seen) {
        let mut tap = StreamTap::of(WireOperation::Responses, true);
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&tap.feed(&Bytes::copy_from_slice(chunk)));
        }
        out.extend_from_slice(&tap.finish());
        (out, tap.seen)
    }

    #[test]
    fn a_response_goes_through_as_it_is_and_tells_its_name_and_usage() {
        for chunks in [vec![RESPONSE.as_bytes()], RESPONSE.as_bytes().chunks(1).collect()] {
            let (out, seen) = hear(&chunks);
            assert_eq!(out, RESPONSE.as_bytes());
            assert_eq!((seen.output_events, seen.is_done), (1, true));
            assert_eq!(seen.usage.map(|usage| (usage.prompt, usage.completion)), Some((9, 1)));
            assert_eq!(
                seen.response.and_then(|response| response.name).as_deref(),
                Some("resp_1")
            );
        }
    }

    #[test]
    fn a_response_that_breaks_ends_with_an_error_that_is_counted_on() {
        let cut = RESPONSE.find("event: response.completed").expect("there");
        let (_, seen) = hear(&[&RESPONSE.as_bytes()[..cut]]);
        assert!(!seen.is_done);
        let closing = seen.closing_error("it broke", "stream_broken");
        assert_eq!(responses::sequence_number(&closing), Some(2));
        let (_, seen) = hear(&[&RESPONSE.as_bytes()[..cut], &closing]);
        assert!(seen.error.is_some() && !seen.is_done);
        assert_eq!(
            responses::sequence_number(&hear(&[]).1.closing_error("x", "y")),
            Some(0)
        );
    }

    #[test]
    fn a_response_that_failed_has_used_what_it_says() {
        let failed = RESPONSE
            .replace("response.completed", "response.failed")
            .replace("\"usage\":{", "\"error\":{\"code\":\"server_error\"},\"usage\":{");
        let (_, seen) = hear(&[failed.as_bytes()]);
        assert!(seen.error.is_some() && !seen.is_done);
        assert_eq!(seen.usage.map(|usage| (usage.prompt, usage.completion)), Some((9, 1)));
    }

    #[test]
    fn a_last_event_that_is_too_long_for_one_piece_is_not_cut() {
        let long = format!(
            "event: response.completed\ndata: {{\"response\":{{\"instructions\":\"{}\"}}}}\n\n",
            "x".repeat(sse::EVENT_BYTES_MAX)
        );
        let (begin, end) = long.as_bytes().split_at(long.len() - 40);
        let mut tap = StreamTap::of(WireOperation::Responses, false);
        tap.feed(&Bytes::copy_from_slice(begin));
        assert!(!tap.seen.is_done, "more of it is to come");
        tap.feed(&Bytes::copy_from_slice(end));
        assert!(tap.seen.is_done);
    }
}
