//! A planned answer as a response's stream: which events, in which order, and after which token is each due?
//!
//! The response begins, its item, the item's part; then pieces of text; then each is told whole in turn, the response last, with its usage.
//! There is no `[DONE]`. A call has pieces of its arguments in place of a part.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::simulator::answer::Answer;
use crate::simulator::responses::Asked;
use crate::simulator::responses::shape::{self, Stage};
use crate::simulator::stream::Event;

#[derive(Debug, Clone, Copy)]
enum Phase {
    Created,
    InProgress,
    ItemAdded,
    PartAdded,
    Delta { from: u32 },
    TextDone,
    PartDone,
    ItemDone,
    Last,
    Ended,
}

/// The events of one response.
#[derive(Debug)]
pub struct ResponseScript {
    answer: Answer,
    asked: Asked,
    tokens_per_event: u32,
    phase: Phase,
    sent: u64,
}

impl ResponseScript {
    /// The stream of this answer.
    pub fn new(answer: Answer, asked: Asked, tokens_per_event: u32) -> Self {
        Self {
            answer,
            asked,
            tokens_per_event,
            phase: Phase::Created,
            sent: 0,
        }
    }

    /// The answer being streamed.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The error that breaks it here.
    pub fn error(&self) -> Bytes {
        let data = json!({
            "type": "error", "code": "server_error",
            "message": "The server had an error while processing your request. Sorry about that!",
            "param": null, "sequence_number": self.sent,
        });
        written(&data)
    }

    fn is_call(&self) -> bool {
        self.answer.choices[0].tool_call().is_some()
    }

    fn tokens(&self) -> u32 {
        self.answer.choices[0].tokens
    }

    /// What an event says, and what comes next.
    fn event(&self) -> Option<(Value, Phase)> {
        let (answer, is_call) = (&self.answer, self.is_call());
        let id = shape::item_id(answer);
        let place = |mut event: Value| {
            event["item_id"] = id.clone().into();
            event["output_index"] = 0.into();
            if !is_call {
                event["content_index"] = 0.into();
            }
            event
        };
        let named = |kind: &str, stage| json!({"type": kind, "response": shape::response(answer, &self.asked, stage)});
        Some(match self.phase {
            Phase::Created => (named("response.created", Stage::InProgress), Phase::InProgress),
            Phase::InProgress => (named("response.in_progress", Stage::InProgress), Phase::ItemAdded),
            Phase::ItemAdded => (
                json!({"type": "response.output_item.added", "output_index": 0, "item": shape::item(answer, Stage::InProgress)}),
                if is_call { self.text_from(0) } else { Phase::PartAdded },
            ),
            Phase::PartAdded => (
                place(json!({"type": "response.content_part.added", "part": shape::part("")})),
                self.text_from(0),
            ),
            Phase::Delta { from } => {
                let to = (from + self.tokens_per_event).min(self.tokens());
                let mut text = String::new();
                answer.choices[0].write_text(from, to, &mut text);
                let event = if is_call {
                    json!({"type": "response.function_call_arguments.delta", "delta": text})
                } else {
                    json!({"type": "response.output_text.delta", "delta": text, "logprobs": []})
                };
                (place(event), self.text_from(to))
            }
            Phase::TextDone if is_call => (
                place(json!({"type": "response.function_call_arguments.done", "arguments": shape::text(answer)})),
                Phase::ItemDone,
            ),
            Phase::TextDone => (
                place(json!({"type": "response.output_text.done", "text": shape::text(answer), "logprobs": []})),
                Phase::PartDone,
            ),
            Phase::PartDone => (
                place(json!({"type": "response.content_part.done", "part": shape::part(&shape::text(answer))})),
                Phase::ItemDone,
            ),
            Phase::ItemDone => (
                json!({"type": "response.output_item.done", "output_index": 0, "item": shape::item(answer, Stage::Ended)}),
                Phase::Last,
            ),
            Phase::Last => {
                let mut event = named("response.completed", Stage::Ended);
                if event["response"]["status"] == "incomplete" {
                    event["type"] = "response.incomplete".into();
                }
                (event, Phase::Ended)
            }
            Phase::Ended => return None,
        })
    }

    fn text_from(&self, from: u32) -> Phase {
        if from < self.tokens() {
            Phase::Delta { from }
        } else {
            Phase::TextDone
        }
    }

    fn due(&self) -> u32 {
        let last = self.tokens().saturating_sub(1);
        match self.phase {
            Phase::Created | Phase::InProgress | Phase::ItemAdded | Phase::PartAdded => 0,
            Phase::Delta { from } => (from + self.tokens_per_event - 1).min(last),
            _ => last,
        }
    }
}

impl Iterator for ResponseScript {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let due_token = self.due();
        let (mut data, next) = self.event()?;
        data["sequence_number"] = self.sent.into();
        self.sent += 1;
        self.phase = next;
        Some(Event {
            data: written(&data),
            due_token,
            is_done_marker: matches!(next, Phase::Ended),
        })
    }
}

fn written(data: &Value) -> Bytes {
    let kind = data["type"].as_str().unwrap_or_default();
    Bytes::from(format!("event: {kind}\ndata: {data}\n\n"))
}
