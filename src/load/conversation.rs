//! A conversation: a shared head, then user messages and the answers to them, sent whole each time.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::plan::{PromptShape, Style, Target};
use super::prompt::{CHARS_PER_TOKEN, Prompts};

/// One conversation in progress.
#[derive(Debug)]
pub(super) struct Conversation {
    number: u64,
    turn: u32,
    head: Arc<str>,
    /// User messages and answers in turn, beginning with a user's.
    history: Vec<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl Conversation {
    /// Conversation `number` with its first user message.
    pub(super) fn new(prompts: &Prompts, number: u64) -> Self {
        Self {
            number,
            turn: 0,
            head: prompts.head(number),
            history: vec![prompts.tail(number, 0)],
        }
    }

    /// The request body of the present turn, sent so long after the run's start.
    ///
    /// # Errors
    /// None in practice: strings and numbers always serialize.
    pub(super) fn body(
        &self,
        target: &Target,
        shape: &PromptShape,
        stream: bool,
        since_start: Duration,
    ) -> serde_json::Result<Vec<u8>> {
        let head = stamped(&self.head, shape.stamp_after, since_start);
        let system = (shape.head_tokens > 0).then_some(Message {
            role: "system",
            content: &head,
        });
        let talk = self.history.iter().zip(["user", "assistant"].into_iter().cycle());
        // Dated versions refuse fields they do not know, newer models refuse the old name.
        let (max_tokens, max_completion_tokens) = match target.style {
            Style::V1 => (None, Some(shape.max_tokens)),
            Style::Classic => (Some(shape.max_tokens), None),
        };
        serde_json::to_vec(&Body {
            model: &target.model,
            messages: system
                .into_iter()
                .chain(talk.map(|(content, role)| Message { role, content }))
                .collect(),
            max_tokens,
            max_completion_tokens,
            stream,
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
        })
    }

    /// Goes on with `answer`, or ends after the last turn.
    pub(super) fn next(mut self, prompts: &Prompts, shape: &PromptShape, answer: String) -> Option<Self> {
        self.turn += 1;
        if self.turn >= shape.turns.get() {
            return None;
        }
        self.history.push(answer);
        self.history.push(prompts.tail(self.number, self.turn));
        Some(self)
    }
}

/// The head with a time in it, after so many tokens: to the microsecond, so that no two requests have the same.
fn stamped(head: &str, after: Option<u32>, at: Duration) -> Cow<'_, str> {
    let Some(after) = after else {
        return Cow::Borrowed(head);
    };
    // Heads are plain words, of one byte a character.
    let (before, behind) = head.split_at(head.len().min(after as usize * CHARS_PER_TOKEN));
    let (seconds, micros) = (at.as_secs(), at.subsec_micros());
    let (hours, minutes, seconds) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    Cow::Owned(format!(
        "{before} [it is {hours:02}:{minutes:02}:{seconds:02}.{micros:06}] {behind}"
    ))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn each_turn_repeats_all_before_it() {
        let mut plan = crate::load::tests::plan("http://h:1");
        plan.prompts.turns = NonZeroU32::new(2).unwrap();
        let prompts = Prompts::new(&plan.prompts);
        let body = |talk: &Conversation| -> serde_json::Value {
            serde_json::from_slice(&talk.body(&plan.target, &plan.prompts, true, Duration::ZERO).unwrap()).unwrap()
        };
        let talk = Conversation::new(&prompts, 5);
        let first = body(&talk);
        let talk = talk.next(&prompts, &plan.prompts, "An answer.".to_owned()).unwrap();
        let second = body(&talk);
        let (before, after) = (
            first["messages"].as_array().unwrap(),
            second["messages"].as_array().unwrap(),
        );
        assert_eq!(before[..], after[..before.len()]);
        let roles: Vec<_> = after.iter().map(|message| message["role"].as_str().unwrap()).collect();
        assert_eq!(roles, ["system", "user", "assistant", "user"]);
        assert_eq!(after[2]["content"], "An answer.");
        assert_eq!(second["stream_options"]["include_usage"], true);
        assert!(talk.next(&prompts, &plan.prompts, String::new()).is_none());
    }

    #[test]
    fn a_stamp_changes_with_the_microsecond_and_leaves_what_is_before_it() {
        let at = |micros| stamped("0123456789abcdef", Some(2), Duration::from_micros(micros)).into_owned();
        assert_eq!(at(3_661_000_250), "01234567 [it is 01:01:01.000250] 89abcdef");
        assert_ne!(at(1), at(2));
        assert_eq!(
            stamped("0123", Some(9), Duration::ZERO),
            "0123 [it is 00:00:00.000000] "
        );
        assert_eq!(stamped("0123", None, Duration::MAX), "0123");
    }

    #[test]
    fn the_limit_has_the_name_that_the_style_knows() {
        let mut plan = crate::load::tests::plan("http://h:1");
        let talk = Conversation::new(&Prompts::new(&plan.prompts), 0);
        for (style, present, absent) in [
            (Style::V1, "max_completion_tokens", "max_tokens"),
            (Style::Classic, "max_tokens", "max_completion_tokens"),
        ] {
            plan.target.style = style;
            let body = talk.body(&plan.target, &plan.prompts, false, Duration::ZERO).unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body[present], 16);
            assert_eq!((body.get(absent), body.get("stream")), (None, None));
        }
    }
}
