//! A planned answer as a stream: which events, in which order, and after which token is each due?
//!
//! The order is Azure's: prompt annotations (empty `id`), role, text, finish, usage when asked for, `[DONE]`. With
//! the asynchronous filter, annotations without a `delta` come between the text and once after the finish, and the
//! text itself carries no filter results. Events are made one at a time, so an open stream holds its plan and not
//! its bytes. Nothing here waits or sends.

use bytes::Bytes;

use crate::simulator::answer::{Answer, FINGERPRINT, push, quoted};
use crate::simulator::filters;
use crate::simulator::request::Operation;
use crate::simulator::scenario::StreamSpec;

/// Text events between two annotations of the asynchronous filter.
const EVENTS_PER_ANNOTATION: u32 = 8;

/// One event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The bytes, with the blank line.
    pub data: Bytes,
    /// It is due with this token of each choice, counted from 0.
    pub due_token: u32,
    /// Whether it is `[DONE]`.
    pub is_done_marker: bool,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    PromptAnnotations,
    Role { choice: usize },
    Text { choice: usize, from: u32 },
    Annotation { from: u32 },
    Finish { choice: usize },
    LateAnnotation,
    Usage,
    Done,
    Ended,
}

/// The events of one answer.
#[derive(Debug)]
pub struct Script {
    answer: Answer,
    spec: StreamSpec,
    include_usage: bool,
    /// Every event's members before `choices`.
    head: String,
    phase: Phase,
}

impl Script {
    /// The stream of this answer.
    pub fn new(answer: Answer, spec: StreamSpec, include_usage: bool) -> Self {
        let object = if answer.operation == Operation::Chat {
            "chat.completion.chunk"
        } else {
            "text_completion"
        };
        let mut head = String::new();
        let Answer { id, created, .. } = &answer;
        push(
            &mut head,
            format_args!(
                r#"data: {{"id":"{id}","object":"{object}","created":{created},"model":{},"system_fingerprint":"{FINGERPRINT}","choices":["#,
                quoted(&answer.model)
            ),
        );
        Self {
            answer,
            spec,
            include_usage,
            head,
            phase: Phase::PromptAnnotations,
        }
    }

    /// The answer being streamed.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    fn prompt_annotations(&self) -> String {
        let mut out = String::with_capacity(512);
        out.push_str(r#"data: {"id":"","object":"","created":0,"model":"","prompt_filter_results":"#);
        self.answer.write_prompt_filter_results(&mut out);
        out.push_str(r#","choices":["#);
        self.close(&mut out);
        out
    }

    fn role(&self, choice: usize) -> String {
        let mut out = self.head.clone();
        let first = match self.answer.choices[choice].tool_call() {
            Some((id, name)) => format!(
                r#""content":null,"tool_calls":[{{"index":0,"id":"{id}","type":"function","function":{{"name":{},"arguments":""}}}}]"#,
                quoted(name)
            ),
            None => r#""content":"""#.to_owned(),
        };
        push(
            &mut out,
            format_args!(
                r#"{{"index":{choice},"delta":{{"role":"assistant",{first},"refusal":null}},"logprobs":null,"finish_reason":null{}}}"#,
                self.filter_member("{}")
            ),
        );
        self.close(&mut out);
        out
    }

    fn text(&self, choice: usize, from: u32, to: u32) -> String {
        let mut text = String::new();
        self.answer.choices[choice].write_text(from, to, &mut text);
        let text = quoted(&text);
        let mut out = String::with_capacity(self.head.len() + text.len() + 320);
        out.push_str(&self.head);
        push(&mut out, format_args!(r#"{{"index":{choice},"#));
        match (self.answer.operation, self.answer.choices[choice].tool_call()) {
            (Operation::Chat, Some(_)) => push(
                &mut out,
                format_args!(r#""delta":{{"tool_calls":[{{"index":0,"function":{{"arguments":{text}}}}}]}}"#),
            ),
            (Operation::Chat, None) => push(&mut out, format_args!(r#""delta":{{"content":{text}}}"#)),
            _ => push(&mut out, format_args!(r#""text":{text}"#)),
        }
        push(
            &mut out,
            format_args!(
                r#","logprobs":null,"finish_reason":null{}}}"#,
                self.filter_member(filters::SAFE_PIECE)
            ),
        );
        self.close(&mut out);
        out
    }

    fn finish(&self, choice: usize) -> String {
        let plan = &self.answer.choices[choice];
        let reason: &str = plan.finish.into();
        let piece = if self.answer.operation == Operation::Chat {
            r#""delta":{}"#
        } else {
            r#""text":"""#
        };
        let results = if plan.filter_results() == filters::FILTERED_ANSWER {
            format!(r#","content_filter_results":{}"#, filters::FILTERED_ANSWER)
        } else {
            self.filter_member("{}")
        };
        let mut out = self.head.clone();
        push(
            &mut out,
            format_args!(r#"{{"index":{choice},{piece},"logprobs":null,"finish_reason":"{reason}"{results}}}"#),
        );
        self.close(&mut out);
        out
    }

    /// An annotation of the asynchronous filter about the text up to token `checked`.
    fn annotation(&self, start: u32, checked: u32) -> String {
        // Offsets are in characters; a token is about four.
        let (start, end) = (start * 4, checked * 4);
        let mut out = String::with_capacity(512);
        out.push_str(r#"data: {"id":"","object":"","created":0,"model":"","choices":["#);
        push(
            &mut out,
            format_args!(
                r#"{{"index":0,"finish_reason":null,"content_filter_results":{},"content_filter_offsets":{{"check_offset":{end},"start_offset":{start},"end_offset":{end}}}}}"#,
                filters::SAFE_PIECE
            ),
        );
        self.close(&mut out);
        out
    }

    fn usage(&self) -> String {
        let mut out = self.head.clone();
        out.push_str(r#"],"usage":"#);
        self.answer.write_usage(&mut out);
        out.push_str("}\n\n");
        out
    }

    /// The member that the default filter adds to each choice of an event.
    fn filter_member(&self, results: &str) -> String {
        if self.spec.async_filter {
            String::new()
        } else {
            format!(r#","content_filter_results":{results}"#)
        }
    }

    fn close(&self, out: &mut String) {
        out.push_str(if self.include_usage {
            "],\"usage\":null}\n\n"
        } else {
            "]}\n\n"
        });
    }

    fn after_text(&self, from: u32) -> Phase {
        let to = from + self.spec.tokens_per_chunk;
        let round = from / self.spec.tokens_per_chunk;
        if self.spec.async_filter && round % EVENTS_PER_ANNOTATION == EVENTS_PER_ANNOTATION - 1 {
            return Phase::Annotation { from: to };
        }
        self.text_or_finish(to)
    }

    /// The first choice that still has text at `from`, or the end of all.
    fn text_or_finish(&self, from: u32) -> Phase {
        self.next_text(0, from).unwrap_or(Phase::Finish { choice: 0 })
    }

    fn next_text(&self, first: usize, from: u32) -> Option<Phase> {
        let choices = &self.answer.choices;
        let choice = (first..choices.len()).find(|choice| choices[*choice].tokens > from)?;
        Some(Phase::Text { choice, from })
    }
}

impl Iterator for Script {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let choices = self.answer.choices.len();
        let last_token = self.answer.longest_choice().saturating_sub(1);
        let per_chunk = self.spec.tokens_per_chunk;
        let (text, due_token, next) = match self.phase {
            Phase::PromptAnnotations => {
                let legacy = self.answer.operation != Operation::Chat;
                let next = if legacy {
                    self.text_or_finish(0)
                } else {
                    Phase::Role { choice: 0 }
                };
                (self.prompt_annotations(), 0, next)
            }
            Phase::Role { choice } => {
                let more = choice + 1 < choices;
                let next = if more {
                    Phase::Role { choice: choice + 1 }
                } else {
                    self.text_or_finish(0)
                };
                (self.role(choice), 0, next)
            }
            Phase::Text { choice, from } => {
                let to = (from + per_chunk).min(self.answer.choices[choice].tokens);
                let next = self
                    .next_text(choice + 1, from)
                    .unwrap_or_else(|| self.after_text(from));
                (self.text(choice, from, to), to.saturating_sub(1), next)
            }
            Phase::Annotation { from } => {
                let start = from.saturating_sub(per_chunk * EVENTS_PER_ANNOTATION);
                (
                    self.annotation(start, from),
                    from.min(last_token),
                    self.text_or_finish(from),
                )
            }
            Phase::Finish { choice } => {
                let next = match (choice + 1 < choices, self.spec.async_filter) {
                    (true, _) => Phase::Finish { choice: choice + 1 },
                    (false, true) => Phase::LateAnnotation,
                    (false, false) => Phase::Usage,
                };
                (self.finish(choice), last_token, next)
            }
            Phase::LateAnnotation => (
                self.annotation(0, self.answer.longest_choice()),
                last_token,
                Phase::Usage,
            ),
            Phase::Usage if self.include_usage => (self.usage(), last_token, Phase::Done),
            Phase::Usage | Phase::Done => ("data: [DONE]\n\n".to_owned(), last_token, Phase::Ended),
            Phase::Ended => return None,
        };
        self.phase = next;
        let is_done_marker = matches!(next, Phase::Ended);
        Some(Event {
            data: Bytes::from(text),
            due_token,
            is_done_marker,
        })
    }
}

#[cfg(test)]
mod tests;
