//! What is the answer? Planned whole before the first byte is sent, so that streams and whole answers agree.
//!
//! The plan depends on the scenario's seed and the prompt only: the same question gets the same words from every
//! deployment. One output token is one word of a fixed list, or four bytes of a JSON document.

use std::fmt::Write as _;

use crate::simulator::chance::{draw, draw_between};
use crate::simulator::filters::{self, Verdict};
use crate::simulator::request::{Form, Operation, Request};
use crate::simulator::settings::EngineSettings;
use crate::simulator::tokens::BYTES_PER_TOKEN;

/// What answers are made of; each with the space before it is about one token.
const WORDS: &[&str] = &[
    " the", " ember", " keeps", " its", " warmth", " while", " every", " region", " answers", " in", " turn", " and",
    " each", " prompt", " finds", " the", " place", " where", " it", " was", " read", " before", " so", " that",
    " nothing", " is", " read", " twice", " a", " steady", " light", " over", " water",
];

/// A planned answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Chat, legacy completion or response.
    pub operation: Operation,
    /// `chatcmpl-…`, `cmpl-…` or `resp_…`.
    pub id: String,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The model's name.
    pub model: String,
    /// Its choices, at least one.
    pub choices: Vec<Choice>,
    /// Separate prompts, each with filter results of its own.
    pub prompts: u32,
    /// Tokens read.
    pub prompt_tokens: u32,
    /// Tokens of those that were cached.
    pub cached_tokens: u32,
}

/// One choice.
#[derive(Debug, Clone)]
pub struct Choice {
    seed: u64,
    form: ChoiceForm,
    /// Tokens it has.
    pub tokens: u32,
    /// Why it ends.
    pub finish: Finish,
}

#[derive(Debug, Clone)]
enum ChoiceForm {
    Words,
    Pieces(Vec<Box<str>>),
    ToolCall {
        id: String,
        name: String,
        pieces: Vec<Box<str>>,
    },
}

/// `finish_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Finish {
    /// It was complete.
    Stop,
    /// The request's limit was reached.
    Length,
    /// It ends in a tool call.
    ToolCalls,
    /// The filter cut it.
    ContentFilter,
}

/// Facts of an answer that do not come from the request.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The scenario's seed.
    pub seed: u64,
    /// The request's number, for ids.
    pub number: u64,
    /// Now, in seconds since the Unix epoch.
    pub created: u64,
    /// The deployment's model.
    pub model: &'a str,
    /// Prompt tokens found in the cache.
    pub cached_tokens: u32,
}

/// Plans the answer to a chat, a completion or a response.
pub fn plan(request: &Request, verdict: Verdict, speeds: &EngineSettings, facts: &Circumstances<'_>) -> Answer {
    let prefix = match request.operation {
        Operation::Chat => "chatcmpl-",
        Operation::Responses => "resp_",
        Operation::Completions | Operation::Embeddings => "cmpl-",
    };
    let text_seed = draw(facts.seed, &request.prompt);
    let choices = (0..request.total_choices()).map(|index| {
        let seed = draw(text_seed, index);
        plan_choice(request, verdict, speeds, seed)
    });
    Answer {
        operation: request.operation,
        id: format!(
            "{prefix}{:016x}{:012x}",
            draw(facts.seed, ("id", facts.number)),
            facts.number
        ),
        created: facts.created,
        model: facts.model.to_owned(),
        choices: choices.collect(),
        prompts: u32::try_from(request.inputs.len().max(1)).unwrap_or(u32::MAX),
        prompt_tokens: request.prompt_tokens(),
        cached_tokens: facts.cached_tokens,
    }
}

fn plan_choice(request: &Request, verdict: Verdict, speeds: &EngineSettings, seed: u64) -> Choice {
    let (form, planned, finish) = match &request.form {
        Form::Words => {
            let tokens = draw_between(seed, "length", speeds.min_output_tokens, speeds.max_output_tokens);
            (ChoiceForm::Words, tokens, Finish::Stop)
        }
        Form::Document(text) => {
            let pieces = pieces_of(text);
            let tokens = pieces.len() as u32;
            (ChoiceForm::Pieces(pieces), tokens, Finish::Stop)
        }
        Form::ToolCall { name, arguments, named } => {
            let pieces = pieces_of(arguments);
            let tokens = pieces.len() as u32;
            let id = format!("call_{seed:016x}");
            let finish = if *named { Finish::Stop } else { Finish::ToolCalls };
            (
                ChoiceForm::ToolCall {
                    id,
                    name: name.clone(),
                    pieces,
                },
                tokens,
                finish,
            )
        }
    };
    let limit = request.output_limit.unwrap_or(u32::MAX);
    let (tokens, finish) = match verdict {
        Verdict::Answer => (planned.div_ceil(2).min(limit), Finish::ContentFilter),
        _ if planned > limit => (limit, Finish::Length),
        _ => (planned, finish),
    };
    Choice {
        seed,
        form,
        tokens,
        finish,
    }
}

/// A text in pieces of a token each, cut between characters.
fn pieces_of(text: &str) -> Vec<Box<str>> {
    let mut pieces = Vec::with_capacity(text.len() / BYTES_PER_TOKEN + 1);
    let mut piece = String::new();
    for letter in text.chars() {
        piece.push(letter);
        if piece.len() >= BYTES_PER_TOKEN {
            pieces.push(std::mem::take(&mut piece).into_boxed_str());
        }
    }
    if !piece.is_empty() {
        pieces.push(piece.into_boxed_str());
    }
    pieces
}

impl Choice {
    /// Appends tokens `from..to` of the text, or of the tool call's arguments.
    pub fn write_text(&self, from: u32, to: u32, out: &mut String) {
        for index in from..to.min(self.tokens) {
            match &self.form {
                ChoiceForm::Words => {
                    let word = WORDS[(draw(self.seed, index) % WORDS.len() as u64) as usize];
                    out.push_str(if index == 0 { word.trim_start() } else { word });
                }
                ChoiceForm::Pieces(pieces) | ChoiceForm::ToolCall { pieces, .. } => {
                    out.push_str(&pieces[index as usize]);
                }
            }
        }
    }

    /// The tool call's id and function name, when the choice is one.
    pub fn tool_call(&self) -> Option<(&str, &str)> {
        match &self.form {
            ChoiceForm::ToolCall { id, name, .. } => Some((id, name)),
            ChoiceForm::Words | ChoiceForm::Pieces(_) => None,
        }
    }

    /// `content_filter_results` of the whole choice, as JSON text.
    pub fn filter_results(&self) -> &'static str {
        if self.finish == Finish::ContentFilter {
            filters::FILTERED_ANSWER
        } else {
            filters::SAFE_ANSWER
        }
    }
}

impl Answer {
    /// Tokens of all choices.
    pub fn output_tokens(&self) -> u32 {
        self.choices
            .iter()
            .map(|choice| choice.tokens)
            .fold(0, u32::saturating_add)
    }

    /// Tokens of the longest choice: choices are generated side by side.
    pub fn longest_choice(&self) -> u32 {
        self.choices.iter().map(|choice| choice.tokens).max().unwrap_or(0)
    }

    /// Tokens produced once each choice has `upto` of its tokens.
    pub fn output_tokens_at(&self, upto: u32) -> u32 {
        self.choices
            .iter()
            .map(|choice| choice.tokens.min(upto))
            .fold(0, u32::saturating_add)
    }

    /// `prompt_filter_results`, as JSON text.
    pub fn write_prompt_filter_results(&self, out: &mut String) {
        out.push('[');
        for index in 0..self.prompts {
            let comma = if index == 0 { "" } else { "," };
            push(
                out,
                format_args!(
                    r#"{comma}{{"prompt_index":{index},"content_filter_results":{}}}"#,
                    *filters::SAFE_PROMPT
                ),
            );
        }
        out.push(']');
    }

    /// `usage`, as JSON text.
    pub fn write_usage(&self, out: &mut String) {
        let (prompt, cached, output) = (self.prompt_tokens, self.cached_tokens, self.output_tokens());
        push(
            out,
            format_args!(
                r#"{{"prompt_tokens":{prompt},"completion_tokens":{output},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{cached},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#,
                prompt + output
            ),
        );
    }

    /// The whole answer as a JSON body.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(1_536);
        let object = if self.operation == Operation::Chat {
            "chat.completion"
        } else {
            "text_completion"
        };
        let Self { id, created, .. } = self;
        let model = quoted(&self.model);
        push(
            &mut out,
            format_args!(
                r#"{{"id":"{id}","object":"{object}","created":{created},"model":{model},"system_fingerprint":"{FINGERPRINT}","prompt_filter_results":"#
            ),
        );
        self.write_prompt_filter_results(&mut out);
        out.push_str(r#","choices":["#);
        for (index, choice) in self.choices.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.write_choice(index, choice, &mut out);
        }
        out.push_str(r#"],"usage":"#);
        self.write_usage(&mut out);
        out.push('}');
        out
    }

    fn write_choice(&self, index: usize, choice: &Choice, out: &mut String) {
        let mut text = String::new();
        choice.write_text(0, choice.tokens, &mut text);
        let text = quoted(&text);
        let finish: &str = choice.finish.into();
        push(
            out,
            format_args!(
                r#"{{"index":{index},"finish_reason":"{finish}","logprobs":null,"content_filter_results":{},"#,
                choice.filter_results()
            ),
        );
        match (self.operation, choice.tool_call()) {
            (Operation::Chat, Some((id, name))) => push(
                out,
                format_args!(
                    r#""message":{{"role":"assistant","content":null,"refusal":null,"annotations":[],"tool_calls":[{{"id":"{id}","type":"function","function":{{"name":{},"arguments":{text}}}}}]}}}}"#,
                    quoted(name)
                ),
            ),
            (Operation::Chat, None) => push(
                out,
                format_args!(r#""message":{{"role":"assistant","content":{text},"refusal":null,"annotations":[]}}}}"#),
            ),
            _ => push(out, format_args!(r#""text":{text}}}"#)),
        }
    }
}

/// `system_fingerprint` of every model.
pub const FINGERPRINT: &str = "fp_emberway_sim";

/// A text as a JSON string.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Appends formatted text.
pub fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a `String` cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests;
